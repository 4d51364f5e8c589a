// The list in shape: every mutation can be made, and its test is there. Whether the test notices it says `npm run test:mutations`.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { mutations } from './list.ts'
import { lineOf, mutated, namePattern, pathOfTest } from './place.ts'

const top = fileURLToPath(new URL('../..', import.meta.url))
const text = (file: string) => readFileSync(join(top, file), 'utf8')
const tests = readdirSync(join(top, 'test'), { recursive: true, encoding: 'utf8' }).map(
  (file) => `test/${file}`,
)
/** The folder below src or device-plugin; `device` for the files beside the folders of device-plugin. */
const folderOf = ({ file }: { readonly file: string }) => {
  const [first = '', second = ''] = file.split('/')
  return first === 'device-plugin' && second.endsWith('.ts') ? 'device' : second
}

describe('the list', () => {
  test('has enough of each folder of src, and of undoing', () => {
    expect(mutations.length).toBeGreaterThanOrEqual(40)
    for (const folder of ['attach', 'offload', 'kernel', 'netlink', 'ops', 'cni', 'sys']) {
      const own = mutations.filter((one) => folderOf(one) === folder)
      expect([folder, own.length >= 6]).toEqual([folder, true])
    }
    expect(mutations.filter(({ undo }) => undo === true).length).toBeGreaterThanOrEqual(16)
    expect(mutations.filter(({ tier }) => tier === 'quick').length).toBeGreaterThanOrEqual(30)
  })

  test('has each name once, and it begins with the folder', () => {
    const ids = mutations.map(({ id }) => id)
    expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([])
    expect(mutations.filter((one) => !one.id.startsWith(`${folderOf(one)}-`)).map(({ id }) => id)).toEqual([])
  })

  test('says of each what the mistake is, in a sentence', () => {
    expect(mutations.filter(({ mistake }) => !/^[A-Z].*\.$/.test(mistake)).map(({ id }) => id)).toEqual([])
  })
})

test('every mutation applies: its old text is in its file exactly once, and the mistake changes it', () => {
  const bad = mutations.filter((one) => {
    const before = text(one.file)
    const after = mutated(before, one)
    return after === undefined || after === before
  })
  expect(bad.map(({ id }) => id)).toEqual([])
})

test('every mutation names one test file, and the title of a test in it', () => {
  const bad = mutations.filter(({ test: [end, title] }) => {
    const file = pathOfTest(tests, end)
    return file === undefined || title === '' || !text(file).includes(title)
  })
  expect(bad.map(({ id }) => id)).toEqual([])
})

test('what has its test in the virtual machine is of the tier lab, and nothing else is', () => {
  const bad = mutations.filter(({ test: [end], tier }) => {
    const isInMachine = pathOfTest(tests, end)?.startsWith('test/lab/') === true
    return isInMachine !== (tier === 'lab')
  })
  expect(bad.map(({ id }) => id)).toEqual([])
})

describe('places', () => {
  test('an old text that is not there, or twice, is not changed', () => {
    expect(mutated('a b c', { old: 'b', now: '$&x' })).toBe('a $&x c')
    expect(mutated('a b b', { old: 'b', now: 'x' })).toBeUndefined()
    expect(mutated('aaa', { old: 'aa', now: 'x' })).toBeUndefined()
    expect(mutated('a', { old: 'b', now: 'x' })).toBeUndefined()
    expect(mutated('a', { old: '', now: 'x' })).toBeUndefined()
  })

  test('the line is that on which the old text begins', () => {
    expect([lineOf('a\nb\nc', { old: 'b\nc' }), lineOf('a', { old: 'b' })]).toEqual([2, 0])
  })

  test('a test file is meant by an end of its path that no other one has', () => {
    const files = ['test/a/x.test.ts', 'test/b/x.test.ts', 'test/b/yx.test.ts']
    expect(pathOfTest(files, 'b/x.test.ts')).toBe('test/b/x.test.ts')
    expect(pathOfTest(files, 'yx.test.ts')).toBe('test/b/yx.test.ts')
    expect(pathOfTest(files, 'x.test.ts')).toBeUndefined()
  })

  test('titles are taken literally', () => {
    const pattern = new RegExp(namePattern(['a (b) [c].*', 'd | e', 'd | e']))
    expect(['x a (b) [c].* y', 'd | e', 'a b c', 'd', 'e'].map((title) => pattern.test(title))).toEqual([
      ...[true, true, false, false, false],
    ])
  })
})
