// Host ports are reserved whole or not at all in the host's table, and given back without a look at those of others.
import { beforeEach, expect, describe as group, test } from 'vitest'
import {
  everyOpenedPort,
  loopbackPorts,
  openedPorts,
  reservedCookies,
} from '../../../src/kernel/nftables/map-elements.ts'
import { releasePorts } from '../../../src/kernel/nftables/release-ports.ts'
import { reservePorts } from '../../../src/kernel/nftables/reservations.ts'
import type { Message, Request } from '../../../src/netlink/message.ts'
import { createElements } from '../../../src/netlink/nf/rules.ts'
import { decodeElements, dumpElements, type NftElement, userdataOf } from '../../../src/netlink/nf/tables.ts'
import { NetlinkError, type NetlinkSocket, type Reply } from '../../../src/netlink/socket.ts'

const table = 'vf-flower'
const sets = ['ports4', 'ports6', 'snat4', 'snat6', 'steered4', 'steered6'] as const
type SetName = (typeof sets)[number]

const [mine, others] = ['76660101'.padEnd(32, 'a'), '76660101'.padEnd(32, 'b')]
const asMessage = (request: Request): Message => ({ ...request, type: 0, flags: 0, seq: 0, pid: 0 })
const same = (a: Uint8Array | undefined, b: Uint8Array | undefined) =>
  Buffer.from(a ?? []).equals(Buffer.from(b ?? []))
const keyOf = (element: NftElement) => element.NFTA_SET_ELEM_KEY?.NFTA_DATA_VALUE

/** 10.1.0.1:PORT/tcp, or another address. */
const element = (port: number, cookie = mine, address = [10, 1, 0, 1]): NftElement => ({
  NFTA_SET_ELEM_KEY: { NFTA_DATA_VALUE: Uint8Array.of(...address, 6, 0, 0, 0, port >> 8, port & 255, 0, 0) },
  NFTA_SET_ELEM_USERDATA: userdataOf(`${cookie} container/net1`),
})

/** The content of nf_tables, and the next dumps, which may show something else of ports4. */
class Tables {
  content: Record<SetName, NftElement[]> = {
    ...{ ports4: [], ports6: [], snat4: [], snat6: [], steered4: [], steered6: [] },
  }
  /** Change the next dumps of ports4. Later dumps show all elements. */
  looks: ((elements: readonly NftElement[]) => readonly NftElement[])[] = []
  exists = true
  guard = true
  dumps = 0

  dump(request: Request): Message[] {
    this.dumps++
    if (!this.exists) throw new NetlinkError({ operation: request.name, errno: 2 })
    const set = sets.find((name) => same(dumpElements(table, name).payload, request.payload))
    if (set === undefined) throw new TypeError(request.name)
    const look = set === 'ports4' ? this.looks.shift() : undefined
    const shown = look?.(this.content[set]) ?? this.content[set]
    return shown.length === 0 ? [] : [asMessage(createElements(table, set, shown))]
  }

  /** Answers questions by key: the kernel ends the answer to a request at the first key that is absent. */
  batch(requests: readonly Request[]): (Reply | NetlinkError)[] {
    return requests.map((request) => {
      const set = sets.find((name) => Buffer.from(request.payload).includes(`${name}\0`)) ?? 'ports4'
      const wanted = decodeElements(asMessage(request))
      const found = wanted.map((one) => this.content[set].find((has) => same(keyOf(has), keyOf(one))))
      if (!this.exists || found.includes(undefined))
        return new NetlinkError({ operation: request.name, errno: 2 })
      return { messages: found.map((one) => asMessage(createElements(table, set, [one as NftElement]))) }
    })
  }

  transaction(_ends: unknown, requests: readonly Request[]): void {
    const after = structuredClone(this.content)
    for (const request of requests) {
      if (request.name === 'NFT_MSG_DELTABLE') this.exists = false
      if (request.name === 'NFT_MSG_DELCHAIN' && Buffer.from(request.payload).includes('guard\0'))
        this.guard = false
      if (request.name !== 'NFT_MSG_DELSETELEM') continue
      const set = sets.find((name) => Buffer.from(request.payload).includes(`${name}\0`)) ?? 'ports4'
      for (const one of decodeElements(asMessage(request))) {
        const at = after[set].findIndex((found) => same(keyOf(found), keyOf(one)))
        if (at < 0) throw new NetlinkError({ operation: request.name, errno: 2 })
        after[set].splice(at, 1)
      }
    }
    this.content = after
  }
}

let tables: Tables
const release = (cookie = mine) => releasePorts(tables as unknown as NetlinkSocket, cookie).keys
const owners = () =>
  sets.flatMap((set) =>
    tables.content[set].map((one) =>
      same(one.NFTA_SET_ELEM_USERDATA, element(1).NFTA_SET_ELEM_USERDATA) ? 'mine' : 'others',
    ),
  )

beforeEach(() => {
  tables = new Tables()
})

group('a dump during a resize of the hash table', () => {
  test('may show an element twice, which is deleted once and reported once', () => {
    tables.content.ports4 = [element(80), element(81), element(90, others)]
    tables.looks = [(all) => [...all, ...all]]
    expect(release().map(({ port }) => port)).toEqual([80, 81])
    expect(owners()).toEqual(['others'])
  })

  test('may leave elements out, so it is repeated until two in a row show none', () => {
    tables.content.ports4 = [element(80), element(81), element(82), element(90, others)]
    tables.looks = [([a, , , o]) => [a, o] as NftElement[], (all) => all.slice(-1)]
    expect(
      release()
        .map(({ port }) => port)
        .toSorted(),
    ).toEqual([80, 81, 82])
    expect(owners()).toEqual(['others'])
  })

  test('may leave out elements of others, with which the table stays', () => {
    tables.content.ports4 = [element(80), element(90, others)]
    tables.looks = [([own]) => [own] as NftElement[]]
    release()
    expect(tables.exists).toBe(true)
    expect(owners()).toEqual(['others'])
  })

  test('may leave out another owner on 127.0.0.1, with whom the guard stays', () => {
    const local = [127, 0, 0, 1]
    tables.content.ports4 = [element(80, mine, local), element(90, others), element(91, others, local)]
    tables.looks = [(all) => all.slice(0, 2)]
    release()
    expect(tables.guard).toBe(true)
    expect(owners()).toEqual(['others', 'others'])
  })
})

test('elements that are gone before their deletion are read anew', () => {
  tables.content.ports4 = [element(81), element(90, others)]
  tables.looks = [(all) => [element(80), ...all]]
  expect(release().map(({ port }) => port)).toContain(81)
  expect(owners()).toEqual(['others'])
})

test('elements that keep coming back are an error', () => {
  tables.content.ports4 = [element(81), element(90, others)]
  tables.transaction = () => undefined
  expect(() => release()).toThrow(/keep coming back/)
})

test('a release covers all sets; the guard goes with the last owner on 127.0.0.1, the table with the last owner', () => {
  const local = [127, 0, 0, 1]
  tables.content.ports4 = [element(80), element(80, mine, local), element(90, others)]
  tables.content.snat4 = [element(80)]
  expect(release()).toHaveLength(2)
  expect(owners()).toEqual(['others'])
  expect([tables.exists, tables.guard]).toEqual([true, false])
  expect(release()).toEqual([])
  expect(release(others)).toHaveLength(1)
  expect(tables.exists).toBe(false)
  expect(release()).toEqual([])
})

group('a release with a record', () => {
  const key = (port: number, address = '10.1.0.1') => ({
    ...({ address, proto: 'tcp', port, toAddress: '10.2.0.5', toPort: 80 } as const),
  })
  const source = (port: number) =>
    ({ address: '10.1.0.1', proto: 'tcp', port, source: '10.2.0.0/24' }) as const
  const releaseKnown = (ports: readonly number[], masqueraded: readonly number[] = ports) =>
    releasePorts(tables as unknown as NetlinkSocket, mine, {
      keys: ports.map((port) => key(port)),
      masquerade: masqueraded.map(source),
    }).keys

  test('needs one dump of the map with its ports, and removes the masquerade elements too', () => {
    tables.content.ports4 = [element(80), element(81), element(90, others)]
    tables.content.snat4 = [element(80), element(81), element(90, others)]
    expect(releaseKnown([80, 81]).map(({ port }) => port)).toEqual([80, 81])
    expect(tables.dumps).toBe(1)
    expect(owners()).toEqual(['others', 'others'])
  })

  test('dumps all maps before it removes the parts that nobody else needs', () => {
    tables.content.ports4 = [element(80)]
    tables.content.ports6 = [element(90, others)]
    expect(releaseKnown([80], [])).toHaveLength(1)
    expect(owners()).toEqual(['others'])
    expect(tables.exists).toBe(true)
    tables.content.ports6 = []
    tables.content.ports4 = [element(80)]
    releaseKnown([80], [])
    expect(tables.exists).toBe(false)
  })

  test.each([
    ['more than the record', [80], [80, 81], [80, 81]],
    ['fewer than the record', [80, 81, 82], [80, 81], [80]],
    ['no masquerade elements', [80, 81], [80, 81], []],
    ['nothing', [80], [], []],
  ])('goes by cookie through all maps when the kernel has %s', (_, known, inPorts, inMasquerades) => {
    tables.content.ports4 = [...inPorts.map((port) => element(port)), element(90, others)]
    tables.content.snat4 = inMasquerades.map((port) => element(port))
    // A port whose element a flush has removed is free too.
    expect(releaseKnown(known).map(({ port }) => port)).toEqual(inPorts.length === 0 ? known : inPorts)
    expect(owners()).toEqual(['others'])
  })

  test('leaves a port that another attachment has by now', () => {
    tables.content.ports4 = [element(80, others), element(81)]
    releaseKnown([80, 81])
    expect(owners()).toEqual(['others'])
  })
})

test('reservedCookies() returns the cookie of each owner once', () => {
  tables.content.ports4 = [element(80), element(81), element(90, others)]
  const found = (prefix: string) => reservedCookies(tables as unknown as NetlinkSocket, prefix)
  expect(found('766601').toSorted()).toEqual([mine, others])
  expect(found(others)).toEqual([others])
})

test('loopbackPorts() returns the keys of 127.0.0.0/8 alone, with the pod’s address', () => {
  const bytes = (...all: number[]) => ({ NFTA_DATA_VALUE: Uint8Array.from(all) })
  const local = (cookie: string): NftElement => ({
    ...element(80, cookie),
    NFTA_SET_ELEM_KEY: bytes(127, 0, 0, 1, 6, 0, 0, 0, 0, 80, 0, 0),
    NFTA_SET_ELEM_DATA: bytes(10, 0, 0, 2, 0, 80, 0, 0),
  })
  tables.content.ports4 = [element(81), local(mine)]
  expect(loopbackPorts(tables as unknown as NetlinkSocket)).toEqual([{ cookie: mine, toAddress: '10.0.0.2' }])
})

group('openedPorts()', () => {
  const counting = (port: number, cookie: string, packets: bigint): NftElement => ({
    ...element(port, cookie),
    NFTA_SET_ELEM_EXPR: {
      NFTA_EXPR_NAME: 'counter',
      NFTA_EXPR_DATA: { NFTA_COUNTER_BYTES: 60n * packets, NFTA_COUNTER_PACKETS: packets },
    },
  })
  const key = (port: number) => ({ address: '10.1.0.1', proto: 'tcp', port }) as const
  const opened = (...ports: number[]) => openedPorts(tables as unknown as NetlinkSocket, mine, ports.map(key))

  test('returns the counters of one cookie, undefined for a map that does not count', () => {
    tables.content.ports4 = [counting(80, mine, 7n), element(81), counting(90, others, 9n)]
    expect(opened(80, 81, 90)).toEqual([
      { ...key(80), opened: 7n },
      { ...key(81), opened: undefined },
    ])
  })

  test('asks for the ports alone, however many others there are, and leaves out those that are gone', () => {
    tables.content.ports4 = [counting(80, mine, 7n), counting(81, mine, 8n)]
    expect(opened(80, 82, 81).map(({ port }) => port)).toEqual([80, 81])
    expect(tables.dumps).toBe(0)
    tables.exists = false
    expect(opened(80)).toEqual([])
  })

  test('of all owners come with their cookies, and are none without the table', () => {
    tables.content.ports4 = [counting(80, mine, 7n), element(81), counting(90, others, 1n << 40n)]
    const all = () => everyOpenedPort(tables as unknown as NetlinkSocket)
    expect(all()).toEqual([
      { ...key(80), cookie: mine, opened: 7n },
      { ...key(81), cookie: mine, opened: undefined },
      { ...key(90), cookie: others, opened: 1n << 40n },
    ])
    tables.exists = false
    expect(all()).toEqual([])
  })
})

test('maps are made with counters, and maps of an old version without counters are accepted', () => {
  const asked: Request[][] = []
  const keys = [{ address: '10.1.0.1', proto: 'tcp', port: 80, toAddress: '10.2.0.5', toPort: 80 }] as const
  const wanted = { keys, masquerade: [], owner: `${mine} a/b` }
  const isCounting = (requests: readonly Request[] = []) =>
    requests.some(({ payload }) => Buffer.from(payload).includes('counter'))
  const socketOf = (refusal: string | undefined) => {
    const transaction = (_ends: unknown, requests: Request[]) => {
      asked.push(requests)
      if (refusal !== undefined && isCounting(requests))
        throw new NetlinkError({ operation: refusal, errno: 17 })
    }
    return { transaction, batch: () => [] } as unknown as NetlinkSocket
  }
  reservePorts(socketOf(undefined), wanted)
  expect(asked.map(isCounting)).toEqual([true])
  reservePorts(socketOf('NFT_MSG_NEWSET'), wanted)
  expect(asked.map(isCounting)).toEqual([true, true, false])
  expect(() => reservePorts(socketOf('NFT_MSG_NEWSETELEM'), wanted)).toThrow('EEXIST')
})

group('a reservation in a known table', () => {
  const keys = [{ address: '10.1.0.1', proto: 'tcp', port: 80, toAddress: '10.2.0.5', toPort: 80 }] as const
  const wanted = { keys, masquerade: [], owner: `${mine} a/b` }
  const refusing = (operation: string | undefined, errno: number, owner?: string) => {
    const asked: string[] = []
    const transaction = (_ends: unknown, requests: Request[]) => {
      asked.push(...requests.map(({ name }) => name))
      if (operation !== undefined) throw new NetlinkError({ operation, errno })
      return [{ messages: [] }]
    }
    const found =
      owner === undefined ? [] : [asMessage(createElements(table, 'ports4', [element(80, owner)]))]
    const batch = (all: readonly Request[]) => all.map(() => ({ messages: found }))
    return { asked, socket: { transaction, batch } as unknown as NetlinkSocket }
  }

  test('creates no table that is present, and requires that an absent table is absent', () => {
    const [there, none] = [refusing(undefined, 0), refusing(undefined, 0)]
    expect(reservePorts(there.socket, wanted, 'present')).toEqual({ made: undefined })
    expect(there.asked).not.toContain('NFT_MSG_NEWTABLE')
    reservePorts(none.socket, wanted, 'absent')
    expect(none.asked[0]).toBe('NFT_MSG_NEWTABLE')
  })

  test.each([
    ['is gone', 'present', 'NFT_MSG_NEWCHAIN', 2],
    ['has come', 'absent', 'NFT_MSG_NEWTABLE', 17],
    ['has lost the element that was in the way', 'present', 'NFT_MSG_NEWSETELEM', 17],
  ] as const)('returns the refusal when the table %s', (_, expected, operation, errno) => {
    const { changed } = reservePorts(refusing(operation, errno).socket, wanted, expected)
    expect(changed).toMatchObject({ operation, errno })
  })

  test('names the owner of a taken port', () => {
    const { socket } = refusing('NFT_MSG_NEWSETELEM', 17, others)
    expect(() => reservePorts(socket, wanted, 'present')).toThrow(
      'port 80 is taken by container/interface "container/net1"',
    )
  })
})
