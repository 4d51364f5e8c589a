// Each source file has tests that a reader finds by its name, by its folder, or by the list of those that have none of their own name.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { covers, coversPlugin, testsOf } from './covers.ts'

const top = join(import.meta.dirname, '..')
const list = ['-c', 'safe.directory=*', 'ls-files', '--cached', '--others', '--exclude-standard']
const files = execFileSync('git', [...list, 'src', 'device-plugin'], { cwd: top, encoding: 'utf8' })
  .split('\n')
  .filter((file) => existsSync(join(top, file)))
/** Paths below a folder without their ending. */
const below = (folder: string) =>
  files.flatMap((file) =>
    file.startsWith(`${folder}/`) ? (/\/(.+)\.(?:ts|c|h)$/.exec(file)?.[1] ?? []) : [],
  )
const sources = below('src')

test('each file of src has a test of its name, or stands in the list', () => {
  expect(sources.length).toBeGreaterThan(150)
  const without = sources.filter(
    (name) => !(name in covers) && !existsSync(join(top, `test/${name}.test.ts`)),
  )
  expect(without).toEqual([])
})

test('the list has no file that is gone, or that has a test of its name', () => {
  const needless = Object.keys(covers).filter(
    (name) => !sources.includes(name) || existsSync(join(top, `test/${name}.test.ts`)),
  )
  expect(needless).toEqual([])
})

test('each file of device-plugin has tests: its own, those of its folder, or those of the list', () => {
  const plugin = below('device-plugin')
  expect(plugin.length).toBeGreaterThan(90)
  expect(plugin.filter((name) => !name.includes('/')).sort()).toEqual(Object.keys(coversPlugin).sort())
  const all = plugin.flatMap((name) => testsOf(`device-plugin/${name}.ts`) ?? [])
  expect(all.filter((path) => !existsSync(join(top, path)))).toEqual([])
})

test('the list names tests that exist', () => {
  const all = Object.keys(covers).flatMap((name) => testsOf(`src/${name}.ts`) ?? [])
  expect(all.filter((file) => !existsSync(join(top, file)))).toEqual([])
})

test('a file of src stands for its tests, any other word for itself', () => {
  expect(testsOf('src/lib/mac.ts')).toEqual(['test/lib/mac.test.ts'])
  expect(testsOf('src/sys/lock/flock.ts')).toEqual(['test/native/program/sys.test.ts'])
  expect(testsOf('device-plugin/pools/assign.ts')).toEqual(['test/device-plugin/pools/assign.test.ts'])
  expect(testsOf('device-plugin/pools/entry.ts')).toEqual(['test/device-plugin/pools'])
  expect(testsOf('device-plugin/inventory/watch/window.ts')).toEqual([
    'test/device-plugin/watch/window.test.ts',
  ])
  expect(testsOf('attach-del')).toBeUndefined()
})

test('docs/testing.md says of each file of the kernel tests which claim it shows', () => {
  const text = readFileSync(join(top, 'docs/testing.md'), 'utf8')
  const start = text.indexOf('## Where each claim is shown')
  const rows = text.slice(start, text.indexOf('\n## ', start + 1)).split('\n')
  const named = (column: number) =>
    rows.flatMap((row) =>
      [...(row.split('|')[column] ?? '').matchAll(/`([\w-]+\/[\w-]+)`/g)].map(([, name]) => name),
    )
  const filesOf = (folder: string) =>
    readdirSync(join(top, 'test', folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => name.slice(0, -'.test.ts'.length))
      .sort()
  expect([...new Set(named(2))].sort()).toEqual(filesOf('native'))
  expect([...new Set(named(3))].sort()).toEqual(filesOf('lab'))
})
