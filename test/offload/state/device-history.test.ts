// A VF or devlink port on its way from one attachment to the next: who put which rate there, and whose it is to take back.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, describe as group, test } from 'vitest'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import { featuresOf } from '../../../src/offload/features.ts'
import { isTakenOver, type RatesNow, ratesBefore } from '../../../src/offload/state/device-history.ts'
import { removeAttachment } from '../../../src/offload/verbs/del.ts'
import type { Op } from '../../../src/ops/op.ts'
import { anyJournal, type OffloadJournal, offloadJournal } from '../../../src/records/offload.ts'
import { type RecordStore, recordStore } from '../../../src/records/store.ts'
import { requestOf } from '../../support/request.ts'
import { Node } from '../node.ts'

const device = '0000:3b:02.1'
const handle = 'pci/0000:3b:00.0/65539'
const rate = (max: number, min = 0) => ({ rate: { min, max } })
const vfSet = (set: number, was: number): Op => ({
  ...{ do: 'vf.set', pf: 'pf0', vf: 3, set: rate(set), was: rate(was) },
})
const portSet = (set: number, was: number): Op => ({
  ...{ do: 'devlink.rate.set', handle, set: { max: set, share: 0 }, was: { max: was, share: 0 } },
})

let stateDir: string
let node: Node
let stores: Record<'offload' | 'bandwidth', RecordStore<OffloadJournal>>
let attached: RecordStore<unknown>

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'handover-'))
  node = new Node(join(stateDir, 'shared'))
  const store = (folder: string) => recordStore(stateDir, folder, offloadJournal)
  stores = { offload: store('offload'), bandwidth: store('bandwidth') }
  attached = recordStore(stateDir, 'attach', anyJournal)
})
afterEach(() => rmSync(stateDir, { recursive: true }))

/** A namespace of each container's own. */
const idOf = (containerID: string) => `4:${containerID.charCodeAt(0)}`

/** The record of an attachment that has limited the device, in a namespace that lives or not. */
function record(
  containerID: string,
  op: Op,
  where: keyof typeof stores,
  isAlive: boolean,
  bootId = node.boot,
) {
  const netns = `/run/netns/${containerID}`
  if (isAlive) node.namespaces.set(netns, idOf(containerID))
  const owner = { containerID, ifname: 'net1', network: 'net', netns, netnsId: idOf(containerID), bootId }
  const limits = [{ direction: 'fromPod' as const, rate: 1, burst: 1, ops: [op] }]
  const journal = { device, keys: [], ops: [], rules: [], notes: [], limits }
  stores[where].write('net', { schema: 1, plugin: 'vf-offload', phase: 'attached', owner, journal })
}
const owns = (containerID: string) => {
  const owner = { containerID, ifname: 'net1', network: 'net', netns: `/run/netns/${containerID}` }
  const journal = { anything: 'else' }
  attached.write(device, {
    schema: 1,
    plugin: 'vf-attach',
    phase: 'attached',
    owner: { ...owner, netnsId: idOf(containerID), bootId: node.boot },
    journal,
  })
}

/** The view of a DEL of `containerID`; its own records are in `offload`. */
const setting = () => ({
  ...{ machine: node, store: stores.offload, otherStores: [stores.bandwidth], attachStore: attached },
})
const me = (containerID: string) => ({ network: 'net', containerID, ifname: 'net1' })

group('what was there before the limits of others', () => {
  const before = (now: RatesNow) => ratesBefore(setting(), me('b'), device, now)
  const vf = (max: number) => ({ vf: { index: 3, rate: { min: 0, max } }, port: undefined })

  test('is in the record of the one that is still in force, under whichever name', () => {
    record('a', vfSet(100, 50), 'bandwidth', false)
    expect(before(vf(100))).toEqual({ vf: { min: 0, max: 50 }, port: undefined })
    const port = { handle, max: 100, share: 0 }
    record('c', portSet(100, 0), 'offload', false)
    expect(before({ vf: undefined, port })).toEqual({ vf: undefined, port: { max: 0, share: 0 } })
  })

  test('is what is there now, where nobody’s limit is', () => {
    record('a', vfSet(100, 50), 'bandwidth', false)
    expect(before(vf(99))).toEqual({ vf: { min: 0, max: 99 }, port: undefined })
    record('old', vfSet(99, 7), 'offload', false, 'boot-0')
    expect(before(vf(99))).toEqual({ vf: { min: 0, max: 99 }, port: undefined })
  })

  test('is not looked for where there is no limit', () => {
    stores.bandwidth.list = () => {
      throw new TypeError('the records are of no interest')
    }
    expect(before(vf(0))).toEqual({ vf: { min: 0, max: 0 }, port: undefined })
  })
})

group('a device is taken over', () => {
  const taken = (containerID: string) => isTakenOver(setting(), me(containerID), device)

  test('by an attachment that lives, under whichever name', () => {
    record('a', vfSet(100, 0), 'offload', false)
    expect(taken('a')).toBe(false)
    record('b', vfSet(100, 0), 'bandwidth', true)
    expect(taken('a')).toBe(true)
  })

  test('not by one that died before', () => {
    record('a', vfSet(100, 0), 'offload', false)
    record('b', vfSet(100, 0), 'offload', true)
    expect(taken('b')).toBe(false)
  })

  test('by whom vf-attach has given it, whatever else is recorded', () => {
    owns('b')
    node.namespaces.set('/run/netns/b', idOf('b'))
    expect(taken('a')).toBe(true)
    record('a', vfSet(100, 0), 'bandwidth', true)
    expect(taken('b')).toBe(false)
  })

  test('by nobody for the one that has it now and has set nothing yet', () => {
    owns('b')
    node.namespaces.set('/run/netns/b', idOf('b'))
    const takenFor = (heir: string) => isTakenOver({ ...setting(), heir: me(heir) }, me('a'), device)
    expect([takenFor('b'), takenFor('c')]).toEqual([false, true])
    record('b', vfSet(100, 0), 'bandwidth', true)
    expect(takenFor('b')).toBe(true)
  })

  test('not by a dead one whose record vf-attach still has: another plugin may have given it on', () => {
    owns('a')
    expect(taken('b')).toBe(false)
  })
})

/** A PF that limits VF 3 to so much: reads what it is now. */
function limitedTo(first: number): () => number {
  let now = first
  const openKernel = node.openKernel.bind(node)
  node.openKernel = (pod) => ({
    ...openKernel(pod),
    link: () => ({ name: 'pf0', vfs: new Map([[3, rate(now)]]) }) as unknown as LinkFacts,
    run: (op) => {
      if (op.do === 'vf.set') now = op.set.rate?.max ?? -1
      return {}
    },
  })
  return () => now
}

function del(where: keyof typeof stores, containerID: string): void {
  const { [where]: store, ...others } = stores
  removeAttachment(
    { ...setting(), store, otherStores: Object.values(others), features: featuresOf('bandwidth') },
    requestOf({}, { CNI_COMMAND: 'DEL', CNI_CONTAINERID: containerID, CNI_NETNS: '' }),
    (action) => action(),
  )
}

test('the late DEL of the first leaves the rate, the DEL of the second brings back what was before both', () => {
  const now = limitedTo(100)
  record('a', vfSet(100, 7), 'offload', false)
  record('b', vfSet(100, 7), 'bandwidth', true)
  del('offload', 'a')
  expect(now()).toBe(100)
  del('bandwidth', 'b')
  expect(now()).toBe(7)
})

test('DEL leaves a rate that somebody else has set since', () => {
  const now = limitedTo(55)
  record('a', vfSet(100, 7), 'offload', false)
  del('offload', 'a')
  expect(now()).toBe(55)
})
