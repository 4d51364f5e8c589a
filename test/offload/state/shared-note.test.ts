// A note that attachments share is written, and a note that cannot be written is told.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { forgivingNote } from '../../../src/offload/state/shared-note.ts'

let folder: string
const told: string[] = []
vi.mock('../../../src/lib/log/notice.ts', () => ({ notice: (line: string) => told.push(line) }))

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shared-note-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

test('what can be written is written', () => {
  const path = `${folder}/note`
  const note = forgivingNote(path, 'volatile')
  note.set('text')
  expect(readFileSync(path, 'utf8')).toBe('text')
  note.clear()
  expect(() => readFileSync(path)).toThrow('ENOENT')
})

test('what can not be written is told', () => {
  // A file where the folder should be refuses everything, also to root.
  writeFileSync(`${folder}/file`, '')
  const note = forgivingNote(`${folder}/file/note`)
  expect(() => note.set('text')).not.toThrow()
  expect(told).toEqual([expect.stringMatching(/^vf-offload: .*(ENOTDIR|EEXIST)/)])
  expect(() => note.clear()).not.toThrow()
})
