// A DEL of port mappings on a wire: whose note and table were lost, and whose ADD did not come to its end.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { featuresOf } from '../../../src/offload/features.ts'
import { portmapRemoval } from '../../../src/offload/portmap/removal.ts'
import { filterPriority, onlyPriority } from '../../../src/offload/state/identity.ts'
import { removeAttachment } from '../../../src/offload/verbs/del.ts'
import { emptyJournal, type OffloadJournal, offloadJournal } from '../../../src/records/offload.ts'
import { type RecordStore, recordStore } from '../../../src/records/store.ts'
import { requestOf } from '../../support/request.ts'
import { attached, path } from '../attached.ts'
import { Node } from '../node.ts'

let stateDir: string
let node: Node
let store: RecordStore<OffloadJournal>
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'ports-removal-'))
  node = new Node(join(stateDir, 'shared'))
  store = recordStore(stateDir, 'offload', offloadJournal)
})
afterEach(() => rmSync(stateDir, { recursive: true }))

test('makes the host’s table whole before it asks whose ports are kept, and knows its own by the record', () => {
  attached(
    node,
    store,
    { containerID: 'container', network: 'net', netnsId: '4:1' },
    {
      ops: [{ do: 'localports.reserve', ports: [7000, 8080], were: [7000] }],
    },
  )
  // All of it has been flushed.
  node.ports.clear()
  for (const port of [7000, 8080, 9090]) node.localPorts.add(port)
  const asked: string[] = []
  const other = { cookie: '76660101'.padEnd(32, 'b'), port: 9090 }
  const { openKernel } = node
  vi.spyOn(node, 'openKernel').mockImplementation((pod) => ({
    ...openKernel.call(node, pod),
    completeTable: () => {
      asked.push('whole')
      return { table: undefined, restored: [], refused: [] }
    },
    steeredPorts: () => (asked.includes('whole') ? [other] : []),
  }))
  const setting = {
    machine: node,
    store,
    otherStores: [],
    attachStore: { list: () => [], read: () => undefined },
  }
  removeAttachment(
    { ...setting, features: featuresOf('vf-offload') },
    requestOf({ stateDir }, { CNI_COMMAND: 'DEL', CNI_NETNS: path }),
    (action) => action(),
  )
  expect([...node.localPorts]).toEqual([7000, 9090])
  expect(readFileSync(`${node.sharedDir}/local-ports`, 'utf8')).toContain(`${other.cookie} 9090`)
  expect(store.list()).toEqual([])
})

test('an ADD that did not come to its end: without a representor filters may be at the first priority', () => {
  const uplink = { name: 'pf0', ifindex: 2 }
  const all = Object.values(filterPriority)
  const placesOf = (journal: Partial<OffloadJournal>) =>
    portmapRemoval.places({ ...emptyJournal, ...journal }, false).interfaces
  expect(placesOf({ uplink })).toEqual([{ ifindex: 2, priorities: [...all, onlyPriority] }])
  const representor = { name: 'rep0', ifindex: 7 }
  expect(placesOf({ uplink, representor })).toEqual([
    { ifindex: 2, priorities: all },
    { ifindex: 7, priorities: all },
  ])
})
