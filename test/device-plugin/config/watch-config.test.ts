// The watch of the config file tells each new content once: swaps of a ConfigMap as kubelet makes them, files that are replaced, that
// are written anew, that come later and that go. The same content is no change. Events alone tell of it: the slow look is far away.
import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type FileRead, readConfigFile } from '../../../device-plugin/config/config-file.ts'
import { type ConfigWatch, watchConfig } from '../../../device-plugin/config/watch-config.ts'

const top = join(import.meta.dirname, '../../..')
let folder: string
let told: FileRead[]
let running: ConfigWatch | undefined
const far = 1e9

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vf-config-'))
  told = []
})
afterEach(() => {
  running?.close()
  rmSync(folder, { recursive: true, force: true })
})

const follow = (file: string, options: object = {}) => {
  running = watchConfig(file, (read) => told.push(read), { settle: 5, poll: far, ...options })
  return running
}
const isTold = (...reads: readonly FileRead[]) =>
  vi.waitFor(() => expect(told).toEqual(reads), { timeout: 10_000, interval: 5 })
const text = (content: string): FileRead => ({ text: content })

/** A volume as kubelet lays it out (pkg/volume/util/atomic_writer.go): files are links through `..data` into a folder with a date. */
class Volume {
  #number = 0

  /** Swaps in a new set of files by one rename. */
  publish(files: Readonly<Record<string, string>>): void {
    const dated = `..2026_11_28_${++this.#number}`
    mkdirSync(join(folder, dated))
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, dated, name), content)
    symlinkSync(dated, join(folder, '..data_tmp'))
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
    for (const name of Object.keys(files)) {
      if (this.#number === 1) symlinkSync(join('..data', name), join(folder, name))
    }
    if (this.#number > 1) rmSync(join(folder, `..2026_11_28_${this.#number - 1}`), { recursive: true })
  }
}

describe('a ConfigMap', () => {
  test('each swap with another content is told, one with the same is not', async () => {
    const volume = new Volume()
    const file = join(folder, 'config.json')
    volume.publish({ 'config.json': 'a', other: '1' })
    follow(file)
    volume.publish({ 'config.json': 'b', other: '1' })
    await isTold(text('b'))
    volume.publish({ 'config.json': 'b', other: '2' })
    volume.publish({ 'config.json': 'c', other: '2' })
    await isTold(text('b'), text('c'))
    volume.publish({ 'config.json': 'd', other: '2' })
    await isTold(text('b'), text('c'), text('d'))
  })
})

test('in Bun, which runs the program: each of many swaps is told, and no file stays open', async () => {
  const { stdout } = await execa('sh', ['hack/bun.sh', 'test/device-plugin/config/watch-swaps.ts', '50'], {
    cwd: top,
  })
  const { told, before, after } = JSON.parse(stdout) as Readonly<Record<string, unknown>>
  expect(told).toEqual(Array.from({ length: 50 }, (_, index) => ({ text: `${index + 1}` })))
  expect(after).toBe(before)
})

describe('a file', () => {
  test('that is replaced, and one that is written into', async () => {
    const file = join(folder, 'config.json')
    writeFileSync(file, 'a')
    follow(file)
    writeFileSync(join(folder, 'new'), 'b')
    renameSync(join(folder, 'new'), file)
    await isTold(text('b'))
    writeFileSync(file, 'c')
    await vi.waitFor(() => expect(told.at(-1)).toEqual(text('c')), { timeout: 10_000, interval: 5 })
  })

  test('that comes later, in folders that come later', async () => {
    const file = join(folder, 'etc', 'pcidp', 'config.json')
    follow(file)
    mkdirSync(join(folder, 'etc'))
    mkdirSync(join(folder, 'etc', 'pcidp'))
    writeFileSync(join(folder, 'new'), 'a')
    renameSync(join(folder, 'new'), file)
    await isTold(text('a'))
    // The folder that had to be watched in its place tells of this no more.
    writeFileSync(join(folder, 'etc', 'new'), 'b')
    renameSync(join(folder, 'etc', 'new'), file)
    await isTold(text('a'), text('b'))
  })

  test('that goes and comes again', async () => {
    const file = join(folder, 'config.json')
    writeFileSync(file, 'a')
    follow(file)
    unlinkSync(file)
    await isTold({
      problem: expect.stringMatching(/^Cannot read .*config\.json: ENOENT/) as unknown as string,
    })
    writeFileSync(join(folder, 'new'), 'a')
    renameSync(join(folder, 'new'), file)
    await vi.waitFor(() => expect(told.at(-1)).toEqual(text('a')), { timeout: 10_000, interval: 5 })
  })

  test('whose folder is replaced by another one', async () => {
    const [one, two] = [join(folder, 'one'), join(folder, 'two')]
    for (const [dir, content] of [
      [one, 'a'],
      [two, 'b'],
    ] as const) {
      mkdirSync(dir)
      writeFileSync(join(dir, 'config.json'), content)
    }
    follow(join(one, 'config.json'))
    renameSync(one, join(folder, 'old'))
    renameSync(two, one)
    running?.check()
    await isTold(text('b'))
    writeFileSync(join(folder, 'new'), 'c')
    renameSync(join(folder, 'new'), join(one, 'config.json'))
    await isTold(text('b'), text('c'))
  })

  test('behind a link that leads elsewhere', async () => {
    mkdirSync(join(folder, 'real'))
    mkdirSync(join(folder, 'seen'))
    const real = join(folder, 'real', 'config.json')
    writeFileSync(real, 'a')
    symlinkSync(real, join(folder, 'seen', 'config.json'))
    follow(join(folder, 'seen', 'config.json'))
    writeFileSync(join(folder, 'new'), 'b')
    renameSync(join(folder, 'new'), real)
    await isTold(text('b'))
  })
})

test('a touched file is no change, and a look tells at once', async () => {
  const file = join(folder, 'config.json')
  writeFileSync(file, 'a')
  const watch = follow(file, { settle: far })
  utimesSync(file, 1, 1)
  watch.check()
  expect(told).toEqual([])
  writeFileSync(file, 'b')
  watch.check()
  watch.check()
  expect(told).toEqual([text('b')])
})

test('a change between the look of the caller and the watch is told', () => {
  const file = join(folder, 'config.json')
  writeFileSync(file, 'a')
  const since = readConfigFile(file)
  writeFileSync(file, 'b')
  follow(file, { since })
  expect(told).toEqual([text('b')])
})

test('the slow look finds what no event tells', async () => {
  const file = join(folder, 'config.json')
  writeFileSync(file, 'a')
  follow(file, { settle: far, poll: 5 })
  writeFileSync(join(folder, 'new'), 'b')
  renameSync(join(folder, 'new'), file)
  await isTold(text('b'))
})

test('after close nothing is told', () => {
  const file = join(folder, 'config.json')
  writeFileSync(file, 'a')
  const watch = follow(file)
  watch.close()
  writeFileSync(file, 'b')
  watch.check()
  expect(told).toEqual([])
})

describe('a look at the file', () => {
  test('reads text, and says why there is none', () => {
    writeFileSync(join(folder, 'a'), '{"ä":1}')
    expect(readConfigFile(join(folder, 'a'))).toEqual(text('{"ä":1}'))
    expect(readConfigFile(folder)).toEqual({ problem: `Cannot read ${folder}: it is no regular file` })
    expect(readConfigFile('/dev/zero')).toEqual({ problem: 'Cannot read /dev/zero: it is no regular file' })
    writeFileSync(join(folder, 'big'), Buffer.alloc((4 << 20) + 1))
    expect(readConfigFile(join(folder, 'big'))).toEqual({
      problem: `Cannot read ${join(folder, 'big')}: it has 4194305 bytes; must be at most 4194304`,
    })
  })
})
