// The store as DEL sees it where a later version wrote the record.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { log } from '../../src/lib/log/log.ts'
import { at, maybe, object } from '../../src/records/form.ts'
import { keepingNewer } from '../../src/records/newer.ts'
import type { PluginRecord } from '../../src/records/record.ts'
import { type RecordStore, recordStore } from '../../src/records/store.ts'
import { anyInt, anyText } from '../../src/records/values.ts'

const journal = object({ note: at('note', anyText), count: maybe('count', anyInt) })
type Journal = { note: string; count?: number | undefined }
const own = { containerID: 'c', ifname: 'net1' }
let stateDir: string
let plain: RecordStore<Journal>
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'newer-'))
  plain = recordStore(stateDir, 'attach', journal)
})
afterEach(() => {
  rmSync(stateDir, { recursive: true })
  vi.restoreAllMocks()
})

function written(schema: number, more: object = {}) {
  const owner = { ...own, network: 'net', netns: '/n', netnsId: '4:1', bootId: 'b' }
  const record: PluginRecord<Journal> = {
    ...{ schema: 1, plugin: 'vf-attach', phase: 'attached', owner, journal: { note: 'x' } },
  }
  const name = plain.write('net', record)
  plain.writeReport(name, '{}')
  const text = JSON.stringify({ ...record, schema, journal: { note: 'x', ...more } })
  writeFileSync(name.path, text)
  return { name, text, record }
}

test('it is read as far as it is understood, said once, and neither changed nor removed', () => {
  const said = vi.spyOn(log, 'warn').mockReturnValue(undefined)
  const { name, text, record } = written(3, { count: 'many', color: 'red' })
  const store = keepingNewer(plain, 'vf-attach', own)
  for (let time = 0; time < 2; time++)
    expect(store.read(name)).toMatchObject({ ...record, phase: 'applying', journal: { note: 'x' } })
  expect(store.write('net', { ...record, phase: 'applying' })).toEqual(name)
  store.remove(name)
  expect(readFileSync(name.path, 'utf8')).toBe(text)
  expect(store.readReport(name)).toBe('{}')
  expect(said.mock.calls.map(([, line]) => line)).toEqual([
    `vf-attach: Cannot read record "${name.path}": schema 3 is newer than 1, the newest known here; DEL restores what it understands of it (it does not understand journal.count, journal.color), and the record is kept`,
  ])
})

test('that of another attachment is only looked at, and nothing is said of it', () => {
  const said = vi.spyOn(log, 'warn').mockReturnValue(undefined)
  const { name, record } = written(3)
  const store = keepingNewer(plain, 'vf-attach', { ...own, containerID: 'other' })
  expect(store.read(name)).toMatchObject({ ...record, phase: 'applying' })
  expect(said).not.toHaveBeenCalled()
})

test('one that is not understood at all is an error', () => {
  const { name } = written(3, { note: 7 })
  expect(() => keepingNewer(plain, 'vf-attach', own).read(name)).toThrow('schema 3 is newer than 1')
})

test('one of a known format is read, written and removed as ever', () => {
  const { name, record } = written(1)
  const store = keepingNewer(plain, 'vf-attach', own)
  expect(store.read(name)).toEqual(record)
  store.write('net', { ...record, phase: 'applying' })
  expect(store.read(name)?.phase).toBe('applying')
  store.remove(name)
  expect([store.list(), store.readReport(name)]).toEqual([[], undefined])
})
