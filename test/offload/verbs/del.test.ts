// DEL of vf-offload on the fake node: it takes its own by record, by cookie, and with next to nothing to go by.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import { log } from '../../../src/lib/log/log.ts'
import { offloadDel } from '../../../src/offload/del.ts'
import { featuresOf } from '../../../src/offload/features.ts'
import { claimClsact, releaseClsact } from '../../../src/offload/state/clsact-owner.ts'
import { rateIdentityOf } from '../../../src/offload/state/identity.ts'
import { removeAttachment } from '../../../src/offload/verbs/del.ts'
import { type OffloadJournal, offloadJournal } from '../../../src/records/offload.ts'
import { noteAt, type RecordStore, recordStore } from '../../../src/records/store.ts'
import { refusalOf, requestOf } from '../../support/request.ts'
import { attached, path, pf } from '../attached.ts'
import { Node } from '../node.ts'

const features = featuresOf('vf-offload')
let stateDir: string
let node: Node
let store: RecordStore<OffloadJournal>

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'offload-'))
  node = new Node(join(stateDir, 'shared'))
  store = recordStore(stateDir, 'offload', offloadJournal)
})
afterEach(() => rmSync(stateDir, { recursive: true }))

const del = (variables: Record<string, string> = {}, config: Record<string, unknown> = {}) =>
  requestOf({ ...config, stateDir }, { CNI_COMMAND: 'DEL', CNI_NETNS: path, ...variables })

/** Makes what an ADD leaves; `containerID` tells attachments apart. */
const attach = (
  containerID = 'container',
  network = 'net',
  netnsId = '4:1',
  more: Partial<OffloadJournal> = {},
  phase: 'applying' | 'attached' = 'attached',
) => attached(node, store, { containerID, network, netnsId }, more, phase)

const remove = (request = del()) =>
  removeAttachment(
    {
      machine: node,
      store,
      otherStores: [],
      attachStore: { list: () => [], read: () => undefined },
      features,
    },
    request,
    (action) => node.withLock('', 0, action),
  )

function expectNothingLeft(): void {
  expect(node.filters).toEqual([])
  expect([...node.ports]).toEqual([])
  expect(store.list()).toEqual([])
}

describe('DEL', () => {
  test('takes the pod’s half, with no lock, then filters, then the reservation, then the record', () => {
    const { tables } = attach()
    remove()
    expect(node.steps).toEqual(['replies', 'nat', 'filter', 'ports'])
    expect(node.underLock).toEqual(['filter', 'ports'])
    expect([...tables]).toEqual([])
    expectNothingLeft()
    expect(node.open).toBe(0)
  })

  test('asks for nothing of port mappings where the record says that there never were any', () => {
    attach('container', 'net', '4:1', { keys: [], limits: [] })
    remove()
    // The filter is another entry's of the same list, under another name.
    expect(node.steps).toEqual([])
    expect(node.filters).toHaveLength(1)
    expect(store.list()).toEqual([])
  })

  test('looks neither for filters nor into the pod where the host’s map did it all', () => {
    const { record, tables } = attach('container', 'net', '4:1', { nat: 'host' })
    node.filters = []
    tables.clear()
    remove()
    expect(node.steps).toEqual(['ports'])
    expect(node.dumps).toBe(0)
    expectNothingLeft()
    expect(store.read(record)).toBeUndefined()
  })

  test('works under the lock of the node from its first step to its last', () => {
    attach()
    const left: number[] = []
    node.withLock = (lock, _milliseconds, action) => {
      expect(lock).toBe(join(node.sharedDir, 'lock'))
      left.push(node.filters.length + store.list().length)
      const result = action()
      left.push(node.filters.length + store.list().length)
      return result
    }
    offloadDel(node, 'vf-offload')(del())
    expect(left).toEqual([2, 0])
  })

  test('a second one has nothing to do and succeeds', () => {
    attach()
    remove()
    remove()
    expectNothingLeft()
  })

  test('without a record: by cookie', () => {
    const { record, tables } = attach()
    store.remove(record)
    remove()
    expectNothingLeft()
    expect([...tables]).toEqual([])
  })

  test('the report goes with the record, and when the record is lost', () => {
    const { record } = attach()
    store.writeReport(record, '{}')
    expect(store.readReport(record)).toBe('{}')
    remove()
    expect(store.readReport(record)).toBeUndefined()
    store.writeReport(record, '{}')
    remove()
    expect(store.readReport(record)).toBeUndefined()
  })

  test('rate limits without a record: filters by a cookie of their own, the ifb by its name; those of others stay', () => {
    const sha256 = (text: string) => node.sha256(text)
    const own = { network: 'net', containerID: 'container', ifname: 'net1' }
    const limitsOf = (containerID: string) => {
      const { cookie, ifb, ifbMac } = rateIdentityOf({ ...own, containerID }, sha256)
      const place = { ifindex: 77, prio: 60_000, handle: node.filters.length + 1, protocol: 3 }
      node.filters.push({ ...place, kind: 'matchall', cookie, packets: 0n, inHw: false })
      node.ifbs.set(ifb, ifbMac)
      // Both wanted the same index, and the second took the next one.
      const index = rateIdentityOf(own, sha256).limiter + node.limiters.length
      node.limiters.push({ index, cookie, bytesPerSecond: 1, burst: 1, users: 0 })
      node.shapers.set(index, { bytesPerSecond: 1, burst: 1, limit: 1, cookie })
      return { ifb, index }
    }
    const other = limitsOf('other')
    const mine = limitsOf('container')
    // The pod of the call has, or looks as if it had, the veth pair of the other.
    const veth = { kind: 'veth', lowerNetns: 0 } as const
    const [net1, peer] = [mine.index, other.index]
    node.interfaces.push({
      side: 'pod',
      link: { ...veth, name: 'net1', ifindex: net1, lower: peer } as LinkFacts,
    })
    node.interfaces.push({
      side: 'host',
      link: { ...veth, name: 'veth1', ifindex: peer, lower: net1 } as LinkFacts,
    })
    node.namespaces.set(path, '4:1')
    remove()
    expect(node.filters).toHaveLength(1)
    expect([...node.ifbs.keys()]).toEqual([other.ifb])
    expect(node.limiters.map(({ index }) => index)).toEqual([other.index])
    expect([...node.shapers.keys()]).toEqual([other.index])
  })

  test('with a whole record each filter is asked for by its number, and nobody looks through those of others', () => {
    const own = { network: 'net', containerID: 'container', ifname: 'net1' }
    const { cookie } = rateIdentityOf(own, (text) => node.sha256(text))
    const detour = { side: 'host', link: 'veth1', ifindex: 77, through: 'vfr0', cookie } as const
    const limit = { direction: 'fromPod', rate: 1, burst: 1, where: 'host', means: 'ifb', notes: [] } as const
    attach('container', 'net', '4:1', {
      limits: [{ ...limit, notes: [], ops: [{ do: 'detour.add', detour }] }],
    })
    const place = { ifindex: 77, prio: 60_000, handle: 1, protocol: 3, kind: 'matchall' } as const
    const rate = { ...place, cookie, packets: 0n, inHw: false }
    const elsewhere = { ...rate, ifindex: 78 }
    node.filters.push(rate, elsewhere)
    const looked: unknown[] = []
    const { openKernel } = node
    node.openKernel = (pod) => {
      const kernel = openKernel.call(node, pod)
      return {
        ...kernel,
        ownFilters: (prefix, side, places) => {
          looked.push(places)
          return kernel.ownFilters(prefix, side, places)
        },
      }
    }
    remove()
    expect(node.filters).toEqual([elsewhere])
    // The filter of a limit bears a mark and no number: it is looked for in its priority, until two looks show none.
    const where = [{ ifindex: 77, priorities: [60_000] }]
    expect(looked).toEqual([where, where, where])
  })

  test('with a record of an ADD that was cut short: on the interfaces that it names', () => {
    attach(
      'container',
      'net',
      '4:1',
      { rules: [], ops: [], representor: { name: 'pf0vf1', ifindex: 77 } },
      'applying',
    )
    const [filter] = node.filters
    if (filter === undefined) throw new Error('no filter')
    node.filters.push({ ...filter, ifindex: 77 })
    remove()
    expectNothingLeft()
    expect(node.dumpsWithLock).toBe(0)
    expect(node.steps).toEqual(['routes', 'routes', 'nat', 'mark', 'filter', 'filter', 'ports'])
  })

  test('without a record filters of both parts are looked for in the same dumps, and nobody waits for the lock meanwhile', () => {
    const { record } = attach('container', 'net', '4:1', { limits: [] })
    store.remove(record)
    const { cookie } = rateIdentityOf({ network: 'net', containerID: 'container', ifname: 'net1' }, (text) =>
      node.sha256(text),
    )
    const place = { ifindex: pf, prio: 60_000, handle: 1, protocol: 3 }
    node.filters.push({ ...place, kind: 'matchall', cookie, packets: 0n, inHw: false })
    const dumps = (netns: string) => {
      node.dumps = 0
      remove(del({ CNI_NETNS: netns }))
      return node.dumps
    }
    // One that shows them, two that show that they are gone; of an attachment with nothing left, two. And two of the pod.
    expect(dumps(path)).toBe(3)
    expectNothingLeft()
    expect(dumps('')).toBe(2)
    expect(node.dumpsWithLock).toBe(0)
  })

  test('without a record what a look has shown is asked for again under the lock: it may be another one’s by then', () => {
    const { record } = attach()
    store.remove(record)
    const [filter] = node.filters
    if (filter === undefined) throw new Error('no filter')
    const { openKernel } = node
    node.openKernel = (pod) => {
      const kernel = openKernel.call(node, pod)
      return {
        ...kernel,
        ownFilters: (...which) => {
          const found = kernel.ownFilters(...which)
          // Somebody empties the table, and the next ADD gets the same number.
          if (found.length > 0) node.filters = [{ ...filter, cookie: `${filter.cookie.slice(0, 30)}ff` }]
          return found
        },
      }
    }
    remove()
    expect(node.filters).toHaveLength(1)
  })

  test('an ADD that comes while a DEL without a record looks around is removed by its record', () => {
    const { record } = attach()
    store.remove(record)
    const { openKernel } = node
    let isNew = true
    node.openKernel = (pod) => {
      const kernel = openKernel.call(node, pod)
      return {
        ...kernel,
        ownFilters: (...which) => {
          if (isNew) {
            isNew = false
            attach()
          }
          return kernel.ownFilters(...which)
        },
      }
    }
    remove()
    expect(store.list()).toEqual([])
    expect([...node.ports]).toEqual([])
  })

  test('a port whose filters could not be removed is not given away', () => {
    attach()
    node.openKernel = () => ({
      ...Node.prototype.openKernel.call(node),
      removeFilters: () => {
        throw new Error('RTM_DELTFILTER: EBUSY')
      },
    })
    expect(refusalOf(() => remove())).toMatchObject({ code: 103, details: 'RTM_DELTFILTER: EBUSY' })
    expect(node.ports.size).toBe(1)
    expect(store.list()).toHaveLength(1)
  })

  test('a record without limits speaks of an attachment that never had any: nothing is looked for', () => {
    attach()
    const own = { network: 'net', containerID: 'container', ifname: 'net1' }
    const { ifb, ifbMac } = rateIdentityOf(own, (text) => node.sha256(text))
    node.ifbs.set(ifb, ifbMac)
    remove()
    expect(node.ifbs.size).toBe(1)
  })

  test.each([
    ['where the NIC has refused another way, whose filter may have stayed: it goes', ['police: EBUSY'], 0],
    ['where no other way was tried: nobody looks', undefined, 1],
  ])('a limit in the pod of a VF with a representor, %s', (_, refusals, left) => {
    const limit = {
      direction: 'fromPod',
      rate: 8000,
      burst: 80,
      where: 'pod',
      means: 'tbf',
      ops: [],
    } as const
    attach('container', 'net', '4:1', {
      ...{ keys: [], representor: { name: 'pf0vf1', ifindex: 77 } },
      limits: [{ ...limit, ops: [], ...(refusals === undefined ? {} : { refusals }) }],
    })
    const own = { network: 'net', containerID: 'container', ifname: 'net1' }
    const { cookie } = rateIdentityOf(own, (text) => node.sha256(text))
    const place = { ifindex: 77, prio: 1, handle: 1, protocol: 3 }
    node.filters = [{ ...place, kind: 'matchall', cookie, packets: 0n, inHw: true }]
    node.namespaces.delete(path)
    remove(del({ CNI_NETNS: '' }))
    expect(node.filters).toHaveLength(left)
  })

  test('without a record and without a filter a reservation is looked for all the same', () => {
    attach()
    for (const name of store.list()) store.remove(name)
    node.filters = []
    remove()
    expectNothingLeft()
  })

  test('with a record that is broken: by cookie, reservation included, even if no filter is left', () => {
    const { record } = attach()
    store.writeReport(record, '{}')
    writeFileSync(record.path, '{"schema":1')
    node.filters = []
    const said = vi.spyOn(log, 'warn').mockReturnValue(undefined)
    remove()
    expectNothingLeft()
    expect(said.mock.calls.join()).toContain(
      `put aside as "${record.path}.broken"; a rate of the VF or its devlink port, if it spoke of one, is as it was set`,
    )
    said.mockRestore()
    // Its words about rates are lost to the program, not to people.
    expect(readFileSync(`${record.path}.broken`, 'utf8')).toBe('{"schema":1')
    expect(store.readReport(record)).toBeUndefined()
  })

  test('a record of a newer version is left to it', () => {
    const { record } = attach()
    writeFileSync(record.path, '{"schema":2}')
    expect(() => remove()).toThrow('schema 2 is newer than 1')
    expect(store.list()).toHaveLength(1)
    expect(node.filters).toHaveLength(1)
  })

  test('without a namespace: all of the host’s half', () => {
    attach()
    node.namespaces.clear()
    remove(del({ CNI_NETNS: '' }))
    expect(node.steps).toEqual(['filter', 'ports'])
    expectNothingLeft()
  })

  test('the namespace by the path of the ADD where this call names another one', () => {
    const { tables } = attach()
    node.namespaces.set('/recycled', '4:99')
    const stranger = new Set<string | number>(tables)
    node.podTables.set('4:99', stranger)
    remove(del({ CNI_NETNS: '/recycled' }))
    expect([...tables]).toEqual([])
    expect(stranger.size).toBe(2)
    expect(node.open).toBe(0)
  })

  test('a recycled path is a stranger’s namespace and is not touched', () => {
    const { tables } = attach()
    const left = new Set(tables)
    node.namespaces.set(path, '4:99')
    node.podTables.set('4:99', left)
    remove()
    expect(left.size).toBe(2)
    expectNothingLeft()
    expect(node.open).toBe(0)
  })

  test('after a reboot equal numbers mean nothing', () => {
    const { tables } = attach()
    node.boot = 'boot-2'
    remove()
    expect(tables.size).toBe(2)
    expectNothingLeft()
  })

  test('what another network has made for the same container and interface stays while the pod lives', () => {
    const { tables } = attach('container', 'other')
    remove()
    expect(store.list().map(({ subject }) => subject)).toEqual(['other'])
    expect([node.filters.length, node.ports.size, tables.size]).toEqual([1, 1, 2])
    attach('container', 'net')
    remove()
    expect(store.list().map(({ subject }) => subject)).toEqual(['other'])
    node.namespaces.clear()
    remove()
    expectNothingLeft()
  })

  test('other attachments stay', () => {
    attach('other', 'net', '4:7')
    attach()
    remove()
    expect(store.list().map(({ containerID }) => containerID)).toEqual(['other'])
    expect(node.filters).toHaveLength(1)
    expect(node.ports.size).toBe(1)
  })

  test('a dump that loses filters is not believed', () => {
    const { record } = attach()
    store.remove(record)
    node.blindDumps = 1
    remove()
    expectNothingLeft()
  })

  test('filters that keep coming back end in code 103, and the record stays', () => {
    const { identity } = attach('container', 'net', '4:1', {}, 'applying')
    const kernel = node.openKernel()
    const [filter] = kernel.ownFilters(identity.cookie)
    node.openKernel = () => ({ ...kernel, ownFilters: () => (filter === undefined ? [] : [filter]) })
    expect(refusalOf(() => remove()).code).toBe(103)
    expect(store.list()).toHaveLength(1)
  })
})

describe('the clsact of the uplink', () => {
  test('goes with our last filter if we made it', () => {
    attach()
    attach('other', 'net', '4:7')
    node.qdiscs.add(pf)
    claimClsact(node, pf)
    remove()
    expect([...node.qdiscs]).toEqual([pf])
    remove(del({ CNI_CONTAINERID: 'other' }))
    expect([...node.qdiscs]).toEqual([])
    expect(noteAt(`${node.sharedDir}/clsact-${pf}`).get()).toBeUndefined()
  })

  test('stays if it was there before', () => {
    attach()
    node.qdiscs.add(pf)
    remove()
    expect([...node.qdiscs]).toEqual([pf])
  })

  test('a note from before the last boot speaks of another interface', () => {
    node.qdiscs.add(pf)
    claimClsact(node, pf)
    node.boot = 'boot-2'
    releaseClsact(node, node.openKernel(), pf)
    expect([...node.qdiscs]).toEqual([pf])
    expect(noteAt(`${node.sharedDir}/clsact-${pf}`).get()).toBeUndefined()
  })

  test.each([
    ['empty: it is removed', true],
    ['gone with its interface: only the note is', false],
  ])('one on an interface that nothing but the record names any more, %s', (_, isThere) => {
    // The other end of a veth, whose filters a removal before this one has taken; the pod is gone.
    const peer = 77
    const clsact = { do: 'clsact.add', side: 'host', link: 'veth1', ifindex: peer } as const
    const limit = { direction: 'fromPod', rate: 8000, burst: 80, ops: [clsact] } as const
    attach('container', 'net', '4:1', { keys: [], limits: [{ ...limit, ops: [clsact] }] })
    node.namespaces.delete(path)
    node.filters.length = 0
    if (isThere) node.qdiscs.add(peer)
    claimClsact(node, peer)
    remove(del({ CNI_NETNS: '' }))
    expect([...node.qdiscs]).toEqual([])
    expect(noteAt(join(node.sharedDir, `clsact-${peer}`)).get()).toBeUndefined()
  })

  test('the note stays with a qdisc that others use', () => {
    node.qdiscs.add(pf)
    attach()
    claimClsact(node, pf)
    releaseClsact(node, node.openKernel(), pf)
    expect(noteAt(`${node.sharedDir}/clsact-${pf}`).get()).toBe('boot-1')
  })
})
