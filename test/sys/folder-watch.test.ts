// The watch of folders looks at once, after changes in folders that are there, that come later and that are replaced, and rarely
// without an event. Events of one moment are one look. After close nothing is called, and no file stays open.
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { identityAt } from '../../src/sys/file-sign.ts'
import { type FolderWatch, type FolderWatchOptions, watchFolders } from '../../src/sys/folder-watch.ts'

const far = 1e9
const running: FolderWatch[] = []
let top = ''
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'vf-folders-'))
})
afterEach(() => {
  for (const one of running.splice(0)) one.close()
  rmSync(top, { recursive: true, force: true })
})

/** Follows folders; `looks` counts, `names` is the content of the first folder at the last look. */
function follow(folders: readonly string[], options: Partial<FolderWatchOptions> = {}) {
  const seen = { looks: 0, names: [] as readonly string[] }
  const following = watchFolders({
    folders: () => folders,
    look: () => {
      seen.looks++
      seen.names = identityAt(folders[0] ?? '') === undefined ? [] : readdirSync(folders[0] ?? '')
    },
    ...{ settle: 5, poll: () => far, ...options },
  })
  running.push(following)
  return { seen, watch: following }
}
const isSeen = (seen: { readonly names: readonly string[] }, ...names: readonly string[]) =>
  vi.waitFor(() => expect(seen.names).toEqual(names), { timeout: 10_000, interval: 5 })

describe('looks', () => {
  test('at once, and after a change', async () => {
    const { seen } = follow([top])
    expect(seen.looks).toBe(1)
    writeFileSync(join(top, 'a'), '')
    await isSeen(seen, 'a')
  })

  test('at a folder that comes later, below others that come later', async () => {
    const folder = join(top, 'one', 'two')
    const { seen } = follow([folder])
    mkdirSync(join(top, 'one'))
    mkdirSync(folder)
    writeFileSync(join(folder, 'a'), '')
    await isSeen(seen, 'a')
    writeFileSync(join(folder, 'b'), '')
    await isSeen(seen, 'a', 'b')
  })

  test('at a folder that is removed and made again, and has the same number', async () => {
    const folder = join(top, 'one')
    for (let round = 0; round < 5; round++) {
      mkdirSync(folder)
      const { seen } = follow([folder, top])
      rmSync(folder, { recursive: true })
      mkdirSync(folder)
      writeFileSync(join(folder, 'a'), '')
      await isSeen(seen, 'a')
      writeFileSync(join(folder, 'b'), '')
      await isSeen(seen, 'a', 'b')
      rmSync(folder, { recursive: true })
    }
  })

  test('at a folder that takes the place of another one', async () => {
    const [one, two] = [join(top, 'one'), join(top, 'two')]
    for (const folder of [one, two]) mkdirSync(folder)
    const { seen } = follow([one, top])
    renameSync(one, join(top, 'former'))
    writeFileSync(join(two, 'a'), '')
    renameSync(two, one)
    await isSeen(seen, 'a')
    writeFileSync(join(one, 'b'), '')
    await isSeen(seen, 'a', 'b')
  })

  test('once for many events, and at once when asked', async () => {
    const { seen, watch: following } = follow([top], { settle: far })
    const names = new Set<string | null>()
    // A second watch of the folder hears of each event after the first one.
    const witness = watch(top, (_, name) => void names.add(name))
    for (let number = 0; number < 50; number++) writeFileSync(join(top, `${number}`), '')
    await vi.waitFor(() => expect(names).toContain('49'), { timeout: 10_000, interval: 5 })
    witness.close()
    expect(seen.looks).toBe(1)
    following.look()
    expect([seen.looks, seen.names.length]).toEqual([2, 50])
  })

  test('without an event, as often as is said then', async () => {
    let pause = 5
    const { seen } = follow([top], { settle: far, poll: () => pause })
    writeFileSync(join(top, 'a'), '')
    await isSeen(seen, 'a')
    pause = far
  })
})

test('after close nothing is called, and no file is open', () => {
  const before = readdirSync('/proc/self/fd').length
  const { seen, watch: following } = follow([top, join(top, 'none')])
  following.close()
  following.close()
  following.look()
  expect(seen.looks).toBe(1)
  expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before + 1)
})

test('in Bun, which runs the program: a watch that does not keep the process lets it end', async () => {
  const script = `
    const { watchFolders } = await import('${join(import.meta.dirname, '../../src/sys/folder-watch.ts')}')
    watchFolders({ folders: () => ['${top}'], look: () => console.log('look'), settle: 1, poll: () => 1e9, keepsProcess: false })`
  const { stdout } = await execa('sh', ['hack/bun.sh', '-e', script], {
    cwd: join(import.meta.dirname, '../..'),
    timeout: 60_000,
  })
  expect(stdout).toBe('look')
})
