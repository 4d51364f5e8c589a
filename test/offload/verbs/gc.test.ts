// GC: what goes, and what stays because it is valid or may be a living pod's.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import { featuresOf } from '../../../src/offload/features.ts'
import { claimLocalPorts } from '../../../src/offload/portmap/host/local-ports.ts'
import { claimClsact } from '../../../src/offload/state/clsact-owner.ts'
import { identityOf, rateIdentityOf } from '../../../src/offload/state/identity.ts'
import type { Locked } from '../../../src/offload/verbs/context.ts'
import { collectGarbage } from '../../../src/offload/verbs/gc.ts'
import { collectOrphans } from '../../../src/offload/verbs/gc-orphans.ts'
import { type OffloadJournal, offloadJournal } from '../../../src/records/offload.ts'
import { noteAt, type RecordStore, recordStore } from '../../../src/records/store.ts'
import { requestOf } from '../../support/request.ts'
import { attached, path } from '../attached.ts'
import { Node } from '../node.ts'

/** Interfaces on the host of PCI functions. */
const functions = new Map<string, readonly string[]>()
vi.mock('../../../src/nic/pci.ts', () => ({
  readPciFunction: (address: string) => {
    const netdevs = functions.get(address)
    return netdevs === undefined ? undefined : { netdevs, parents: [address] }
  },
}))
/** Attachments that vf-attach has records of. */
const ofAttach: { subject: string; containerID: string; ifname: string }[] = []
const features = featuresOf('vf-offload')
let stateDir: string
let node: Node
let store: RecordStore<OffloadJournal>

const net1 = { name: 'net1', altnames: [], parent: '0000:3b:02.1' } as unknown as LinkFacts
/** The state of the pods. */
const inPods = (...links: readonly LinkFacts[]) =>
  node.interfaces.splice(0, node.interfaces.length, ...links.map((link) => ({ side: 'pod', link }) as const))

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'gc-'))
  node = new Node(join(stateDir, 'shared'))
  store = recordStore(stateDir, 'offload', offloadJournal)
  inPods(net1)
  functions.clear()
  functions.set('0000:3b:02.1', [])
  ofAttach.length = 0
})
afterEach(() => rmSync(stateDir, { recursive: true }))

/** Makes what an ADD leaves; `containerID` tells attachments apart. */
const attach = (containerID: string, network = 'net', netnsId = '4:1', more: Partial<OffloadJournal> = {}) =>
  attached(node, store, { containerID, network, netnsId }, more)

const locked: Locked = (action) => node.withLock('', 0, action)

function gc(valid?: readonly string[], name = 'net', gcLive = false) {
  const attachments = valid?.map((one) => {
    const [containerID, ifname = 'net1'] = one.split('/')
    return { containerID, ifname }
  })
  const config = {
    name,
    ...(attachments === undefined ? {} : { 'cni.dev/valid-attachments': attachments }),
  }
  const request = requestOf(config, { CNI_COMMAND: 'GC' })
  return [
    ...collectGarbage(
      {
        machine: node,
        store,
        otherStores: [],
        attachStore: {
          list: () => ofAttach as never,
          read: ({ containerID }) =>
            ({ owner: ofAttach.find((one) => one.containerID === containerID) }) as never,
        },
        features,
      },
      request,
      gcLive,
      locked,
    ),
    ...collectOrphans(node, [store], features, request, gcLive, locked),
  ]
}
const left = () => store.list().map(({ containerID }) => containerID)

describe('GC', () => {
  test('of a node where nothing was found computes nothing for the attachments of the list', () => {
    let hashes = 0
    const { sha256 } = node
    node.sha256 = (text) => {
      hashes++
      return sha256(text)
    }
    gc(Array.from({ length: 1_000 }, (_, index) => `c${index}`))
    expect(hashes).toBeLessThan(20)
  })

  test('without a list only what is dead goes', () => {
    attach('alive')
    attach('dead', 'net', '4:2')
    node.namespaces.set(path, '4:1')
    expect(gc()).toEqual([])
    expect(left()).toEqual(['alive'])
  })

  test('valid ones stay, dead or alive', () => {
    attach('dead')
    node.namespaces.clear()
    expect(gc(['dead'])).toEqual([])
    expect(left()).toEqual(['dead'])
    expect(gc([])).toEqual([])
    expect(left()).toEqual([])
  })

  test('one of which another interface of the same container is valid goes', () => {
    attach('dead')
    node.namespaces.clear()
    expect(gc(['dead/net2'])).toEqual([])
    expect(left()).toEqual([])
  })

  test('one that is missing from the list but alive is reported and stays', () => {
    attach('alive')
    const [error, ...more] = gc(['other'])
    expect(more).toEqual([])
    expect(error).toMatchObject({ code: 103, message: expect.stringContaining('container "alive"') })
    expect(left()).toEqual(['alive'])
    expect(node.filters).toHaveLength(1)
  })

  test('other networks are not looked at', () => {
    attach('dead')
    node.namespaces.clear()
    expect(gc([], 'elsewhere')).toEqual([])
    expect(left()).toEqual(['dead'])
  })

  test('what lost its record goes only when the runtime’s list says so', () => {
    const { record } = attach('lost')
    attach('other', 'elsewhere')
    const { record: valid } = attach('valid')
    store.remove(record)
    for (const name of [record, valid]) store.writeReport(name, '{}')
    expect(gc()).toEqual([])
    expect(node.filters).toHaveLength(3)
    expect(gc(['lost', 'valid'])).toEqual([])
    expect(node.filters).toHaveLength(3)
    expect(store.readReport(record)).toBe('{}')
    expect(gc(['valid'])).toEqual([])
    expect([record, valid].map((name) => store.readReport(name))).toEqual([undefined, '{}'])
    expect(node.filters).toHaveLength(2)
    expect(node.ports.size).toBe(2)
    expect(left()).toEqual(['other', 'valid'])
  })

  test('ports of which a note alone tells, where an ADD was killed before it had more', () => {
    const { cookie } = identityOf({ network: 'net', containerID: 'lost', ifname: 'net1' }, node.sha256)
    const key = {
      address: '10.1.0.1',
      proto: 'tcp',
      port: 50_050,
      toAddress: '10.1.0.5',
      toPort: 80,
    } as const
    claimLocalPorts(node, node.openKernel(), [key], cookie, { whole: () => undefined })
    for (const port of [7000, 50_050]) node.localPorts.add(port)
    gc()
    gc(['lost'])
    gc([], 'other')
    expect([...node.localPorts]).toEqual([7000, 50_050])
    expect(gc([])).toEqual([])
    expect([...node.localPorts]).toEqual([7000])
  })

  test('rate limits that lost their record: filters, ifb, policer, also where the filter has gone with its interface; those of others stay', () => {
    const limit = (containerID: string, network = 'net') => {
      const own = { network, containerID, ifname: 'net1' }
      const { cookie, ifb, ifbMac, limiter } = rateIdentityOf(own, (text) => node.sha256(text))
      const place = { ifindex: 77, prio: 60_000, handle: node.filters.length + 1, protocol: 3 }
      node.filters.push({ ...place, kind: 'matchall', cookie, packets: 0n, inHw: false })
      node.ifbs.set(ifb, ifbMac)
      node.limiters.push({ index: limiter, cookie, bytesPerSecond: 1, burst: 1, users: 0 })
      return { cookie, ifb }
    }
    const [valid, , elsewhere] = [limit('valid'), limit('lost'), limit('other', 'elsewhere')]
    node.ifbs.set('ifb0', '02:00:00:00:00:01')
    // The pod of this one has died, and its veth pair with it.
    const gone = rateIdentityOf({ network: 'net', containerID: 'gone', ifname: 'net1' }, (text) =>
      node.sha256(text),
    )
    node.ifbs.set(gone.ifb, gone.ifbMac)
    claimClsact(node, 78)
    const { record } = attach('lost')
    store.remove(record)
    expect(gc()).toEqual([])
    expect(node.limiters).toHaveLength(3)
    expect(gc(['valid'])).toEqual([])
    const cookies = [valid.cookie, elsewhere.cookie]
    expect(node.filters.map(({ cookie }) => cookie)).toEqual(cookies)
    expect([...node.ifbs.keys()]).toEqual([valid.ifb, elsewhere.ifb, 'ifb0'])
    expect(noteAt(`${node.sharedDir}/clsact-78`).get()).toBeUndefined()
    expect(node.limiters.map(({ cookie }) => cookie)).toEqual(cookies)
    // Filters of port mappings may use the policer.
    expect(node.steps).toEqual(['filter', 'filter', 'limiter', 'ports'])
  })

  test('ports that lost their record go, though the interfaces of the node can not be read for ifbs of limits', () => {
    store.remove(attach('lost').record)
    const openKernel = node.openKernel.bind(node)
    const unread = () => {
      throw Object.assign(new Error('ENOBUFS: no interfaces'), { code: 'ENOBUFS' })
    }
    node.openKernel = (pod) => ({ ...openKernel(pod), linksOfKind: unread })
    expect(gc([]).map(({ message }) => message)).toEqual(['ENOBUFS: no interfaces'])
    expect([node.filters, [...node.ports]]).toEqual([[], []])
  })

  test('nobody waits for the lock while GC looks around, and each removal has a turn of its own', () => {
    attach('dead')
    attach('lost', 'net', '4:2')
    attach('other', 'net', '4:3')
    for (const name of store.list()) if (name.containerID === 'lost') store.remove(name)
    node.namespaces.clear()
    let turns = 0
    const { withLock } = node
    node.withLock = (path, milliseconds, action) => {
      turns++
      return withLock.call(node, path, milliseconds, action) as ReturnType<typeof action>
    }
    expect(gc([])).toEqual([])
    expect([left(), node.filters]).toEqual([[], []])
    expect([node.dumpsWithLock, node.locks]).toEqual([0, 0])
    // Two with a record, the filters of the one without, and what else that one has.
    expect(turns).toBe(4)
  })

  test('one that an ADD has served anew since GC looked at it stays', () => {
    attach('dead')
    node.namespaces.clear()
    const { withLock } = node
    node.withLock = (path, milliseconds, action) => {
      if (node.namespaces.size === 0) attach('dead', 'net', '4:9')
      return withLock.call(node, path, milliseconds, action) as ReturnType<typeof action>
    }
    expect(gc()).toEqual([])
    expect(left()).toEqual(['dead'])
  })

  test('one that an ADD has served anew just before GC begins to remove it keeps what is in its pod, too', () => {
    const { record } = attach('dead')
    node.namespaces.clear()
    const { read } = store
    let looks = 0
    let tables: ReadonlySet<unknown> = new Set()
    vi.spyOn(store, 'read').mockImplementation((name) => {
      if (looks++ === 1) tables = attach('dead', 'net', '4:9').tables
      return read.call(store, name)
    })
    expect(gc()).toEqual([])
    expect(looks).toBeGreaterThan(2)
    expect(left()).toEqual(['dead'])
    expect(tables.size).toBe(2)
    expect(node.steps).toEqual([])
    expect(store.read(record)?.owner.netnsId).toBe('4:9')
  })

  test('goes on after an error', () => {
    const { record } = attach('newer')
    writeFileSync(record.path, readFileSync(record.path, 'utf8').replace('"schema": 1', '"schema": 99'))
    attach('dead')
    node.namespaces.clear()
    expect(gc([]).map(({ code }) => code)).toEqual([5])
    expect(left()).toEqual(['newer'])
  })
})

describe('an attachment that is not valid any more, whose namespace lives', () => {
  test('stays whatever the pod calls its interface, and wherever that is', () => {
    attach('container')
    for (const links of [[{ ...net1, name: 'wan', altnames: ['net1'] }], [{ ...net1, name: 'wan' }], []]) {
      inPods(...links)
      expect(gc([]).map(({ code }) => code)).toEqual([103])
    }
    expect(left()).toEqual(['container'])
  })

  test('goes when the other end of its veth pair is no more', () => {
    const link = { ifindex: 3, mac: '02:00:00:00:00:05', peer: 77 }
    attach('container', 'net', '4:1', { device: undefined, port: 'veth', link })
    node.interfaces.push({ side: 'host', link: { name: 'veth1', ifindex: 77, kind: 'veth' } as LinkFacts })
    expect(gc([]).map(({ code }) => code)).toEqual([103])
    node.interfaces.pop()
    expect(gc()).toEqual([])
    expect(left()).toEqual(['container'])
    expect(gc([])).toEqual([])
    expect([left(), node.filters, node.ports.size, node.open]).toEqual([[], [], 0, 0])
  })

  test('goes when its device is on the host, or vf-attach has given it to another pod that lives', () => {
    attach('container')
    functions.set('0000:3b:02.1', ['eth7'])
    inPods()
    expect(gc()).toEqual([])
    expect(left()).toEqual(['container'])
    expect(gc([])).toEqual([])
    expect(left()).toEqual([])
    functions.set('0000:3b:02.1', [])
    attach('container')
    expect(gc([]).map(({ code }) => code)).toEqual([103])
    const owner = { containerID: 'next', ifname: 'net1', netns: path, netnsId: '4:1', bootId: node.boot }
    ofAttach.push({ subject: '0000:3b:02.1', ...owner })
    expect(gc([])).toEqual([])
    expect(left()).toEqual([])
  })

  test('stays when another interface of its device is on the host', () => {
    attach('container')
    functions.set('0000:3b:02.1', ['eth7'])
    expect(gc([]).map(({ code }) => code)).toEqual([103])
    expect(left()).toEqual(['container'])
    expect(node.open).toBe(0)
  })

  test.each(['nic', 'userspace'])('goes when its device is no more: %s', (port) => {
    attach('container', 'net', '4:1', { port })
    inPods()
    functions.clear()
    expect(gc([])).toEqual([])
    expect(left()).toEqual([])
  })

  test('stays when a program drives its VF, which has no interface', () => {
    attach('container', 'net', '4:1', { port: 'userspace' })
    inPods()
    expect(gc([]).map(({ code }) => code)).toEqual([103])
    expect(left()).toEqual(['container'])
  })

  test('goes with gcLive, if there is a list', () => {
    const { tables } = attach('container')
    expect(gc(undefined, 'net', true)).toEqual([])
    expect(gc(['container'], 'net', true)).toEqual([])
    expect(left()).toEqual(['container'])
    expect(gc([], 'net', true)).toEqual([])
    expect([left(), node.filters, [...tables]]).toEqual([[], [], []])
  })
})

describe('a record that can’t be read', () => {
  const spoil = () => {
    const { record } = attach('container')
    writeFileSync(record.path, '{')
    return record
  }

  test('is nobody’s error, and goes with what the cookie finds when it is not valid any more', () => {
    const record = spoil()
    expect([gc(), gc(['container'])]).toEqual([[], []])
    expect([left(), node.filters.length]).toEqual([['container'], 1])
    node.namespaces.clear()
    store.writeReport(record, JSON.stringify({ netns: path }))
    expect(gc([])).toEqual([])
    expect([left(), node.filters, node.ports.size]).toEqual([[], [], 0])
  })

  test('stays while its report tells of a pod that lives', () => {
    const record = spoil()
    store.writeReport(record, JSON.stringify({ netns: path }))
    expect(gc([]).map(({ code, message }) => [code, message])).toEqual([
      [103, expect.stringContaining('container "container", interface "net1"')],
    ])
    expect([left(), node.filters.length]).toEqual([['container'], 1])
    // A pod can call its interface what it likes.
    inPods()
    expect(gc([]).map(({ code }) => code)).toEqual([103])
    node.namespaces.clear()
    expect(gc([])).toEqual([])
    expect([left(), node.filters, node.open]).toEqual([[], [], 0])
  })
})

test('what lost its record stays while its report tells of a pod that lives, unless gcLive is set', () => {
  const { record } = attach('container')
  store.remove(record)
  store.writeReport(record, JSON.stringify({ netns: path, device: '0000:3b:02.1' }))
  expect(gc([]).map(({ code }) => code)).toEqual([103])
  expect([node.filters.length, node.ports.size]).toEqual([1, 1])
  expect(gc([], 'net', true)).toEqual([])
  expect([node.filters, node.ports.size, store.lone()]).toEqual([[], 0, []])
})
