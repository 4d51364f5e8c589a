// An ADD that is cut off or fails: what a later DEL goes by, and what it takes back by itself.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { offloadPlugin } from '../../../src/offload/plugin.ts'
import { offloadJournal } from '../../../src/records/offload.ts'
import { recordStore } from '../../../src/records/store.ts'
import { requestOf } from '../../support/request.ts'
import { bandwidth, path, portMappings, prevResult, VethNode } from '../veth-node.ts'

let stateDir: string
let node: VethNode

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'failed-add-'))
  node = new VethNode(join(stateDir, 'shared'))
  node.namespaces.set(path, '4:1')
})
afterEach(() => rmSync(stateDir, { recursive: true }))

const add = (runtimeConfig: object) =>
  offloadPlugin(node).add(requestOf({ stateDir, prevResult, runtimeConfig }))
const records = () => {
  const store = recordStore(stateDir, 'offload', offloadJournal)
  return store.list().flatMap((name) => store.read(name) ?? [])
}

test('the record is there before the first change, and says what is to come', () => {
  const seen: unknown[] = []
  node.look = () => {
    const [record] = records()
    seen.push([record?.phase, record?.journal.keys.length])
  }
  add({ portMappings, bandwidth })
  expect(seen.length).toBeGreaterThan(1)
  for (const one of seen) expect(one).toEqual(['applying', 2])
  expect(records().map(({ phase }) => phase)).toEqual(['attached'])
})

test('a step whose answer is lost is taken back all the same', () => {
  node.lost = 'detour.add'
  expect(() => add({ portMappings, bandwidth })).toThrow('the answer is lost')
  expect([node.filters, [...node.ports], records()]).toEqual([[], [], []])
})
