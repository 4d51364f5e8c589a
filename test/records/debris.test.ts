// Temporary files of calls that were killed are cleared, and no others.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { clear, clearFolder, isDue, temporariesIn } from '../../src/records/debris.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'debris-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

test('temporary files are known by their names, and each by the file that it was to become', () => {
  for (const name of [
    '.net c@net1.json.17.tmp',
    '.kept',
    'x.17.tmp',
    '.a.b.tmp',
    'net c@net1.json',
    '..17.tmp',
  ])
    writeFileSync(join(folder, name), '')
  mkdirSync(join(folder, 'report'))
  expect(temporariesIn(folder)).toEqual([
    { name: 'net c@net1.json', path: join(folder, '.net c@net1.json.17.tmp') },
  ])
  clearFolder(folder)
  expect(readdirSync(folder)).toHaveLength(6)
  clearFolder(join(folder, 'gone'))
  clear({ name: 'x', path: join(folder, '.x.1.tmp') })
})

test('is due at first, and then half a day later, or when the clock was set back', () => {
  const mark = join(folder, 'state/lock/cleared-attach')
  const writtenHoursAgo = (hours: number) => {
    const at = Date.now() / 1000 - hours * 3600
    utimesSync(mark, at, at)
  }
  expect(isDue(join(folder, 'state'), 'attach')).toBe(true)
  expect(existsSync(mark)).toBe(true)
  expect(statSync(mark).mode & 0o777).toBe(0o600)
  expect(isDue(join(folder, 'state'), 'attach')).toBe(false)
  expect(isDue(join(folder, 'state'), 'offload')).toBe(true)
  for (const [hours, due] of [
    [11, false],
    [13, true],
    [1, false],
    [-1, true],
  ] as const) {
    writtenHoursAgo(hours)
    expect([hours, isDue(join(folder, 'state'), 'attach')]).toEqual([hours, due])
    if (due) expect(isDue(join(folder, 'state'), 'attach')).toBe(false)
  }
})
