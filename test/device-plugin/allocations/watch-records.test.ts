// A record of vf-attach that comes or goes is told, also when its folder comes later or is made anew.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { watchRecords } from '../../../device-plugin/allocations/watch-records.ts'
import type { FolderWatch } from '../../../src/sys/folder-watch.ts'
import { eventually } from '../../support/eventually.ts'

let state = ''
let calls = 0
let watch: FolderWatch | undefined
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'records-'))
  calls = 0
})
afterEach(() => {
  watch?.close()
  rmSync(state, { recursive: true, force: true })
})
const begin = () => {
  watch = watchRecords(state, () => calls++)
  return watch
}
const more = async (change: () => void) => {
  const before = calls
  change()
  await eventually(() => expect(calls).toBeGreaterThan(before))
}

test('a record that comes, and one that goes', async () => {
  mkdirSync(join(state, 'attach'))
  await more(begin)
  await more(() => writeFileSync(join(state, 'attach', 'a'), ''))
  await more(() => rmSync(join(state, 'attach', 'a')))
})

test('a folder that comes after the start, and one that is made anew', async () => {
  begin()
  for (let count = 0; count < 2; count++) {
    rmSync(join(state, 'attach'), { recursive: true, force: true })
    await more(() => mkdirSync(join(state, 'attach')))
    await more(() => writeFileSync(join(state, 'attach', 'a'), ''))
  }
})

test('a state that is no folder fails nobody', () => {
  state = join(state, 'file')
  writeFileSync(state, '')
  begin().look()
  expect(calls).toBe(0)
})
