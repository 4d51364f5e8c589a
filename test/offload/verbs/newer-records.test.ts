// DEL of vf-offload by a record that a later version wrote, in a format of its own.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { log } from '../../../src/lib/log/log.ts'
import { offloadDel } from '../../../src/offload/del.ts'
import { type OffloadJournal, offloadRecords } from '../../../src/records/offload.ts'
import type { RecordStore } from '../../../src/records/store.ts'
import { requestOf } from '../../support/request.ts'
import { attached, path } from '../attached.ts'
import { Node } from '../node.ts'

let stateDir: string
let node: Node
let store: RecordStore<OffloadJournal>
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'offload-'))
  node = new Node(join(stateDir, 'shared'))
  store = offloadRecords(stateDir, 'offload')
})
afterEach(() => rmSync(stateDir, { recursive: true }))

const attach = () => attached(node, store, { containerID: 'container', network: 'net', netnsId: '4:1' })
const call = () =>
  offloadDel(node, 'vf-offload')(requestOf({ stateDir }, { CNI_COMMAND: 'DEL', CNI_NETNS: path }))

test('one that is not understood at all is left to the version that can read it', () => {
  const { record } = attach()
  writeFileSync(record.path, '{"schema":2}')
  expect(() => call()).toThrow('schema 2 is newer than 1')
  expect(store.list()).toHaveLength(1)
  expect(node.filters).toHaveLength(1)
})

test('removes what it understands, says what not, and keeps the record as it is', () => {
  const { record } = attach()
  store.writeReport(record, '{}')
  const later = JSON.parse(readFileSync(record.path, 'utf8')) as { journal: OffloadJournal }
  const ops = [...later.journal.ops, { do: 'mirror.add', to: 'eth7' }]
  const rules = later.journal.rules.map(({ handle: _, ...rest }) => ({ ...rest, place: 'here' }))
  const text = JSON.stringify({ ...later, schema: 2, journal: { ...later.journal, ops, rules } })
  writeFileSync(record.path, text)
  const said = vi.spyOn(log, 'warn').mockReturnValue(undefined)
  call()
  expect([node.filters, [...node.ports]]).toEqual([[], []])
  expect(node.steps).toEqual(['replies', 'nat', 'mark', 'filter', 'ports'])
  expect(said.mock.calls.join()).toContain('(it does not understand journal.ops.1), and the record is kept')
  call()
  expect([readFileSync(record.path, 'utf8'), store.readReport(record)]).toEqual([text, '{}'])
  said.mockRestore()
})
