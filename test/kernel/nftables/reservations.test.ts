// Host ports are reserved whole or not at all in the host's table, and given back without a look at those of others.
import { beforeEach, expect, describe as group, test } from 'vitest'
import { loopbackPorts, openedPorts, reservedCookies } from '../../../src/kernel/nftables/map-elements.ts'
import { releasePorts, reservePorts } from '../../../src/kernel/nftables/reservations.ts'
import type { Message, Request } from '../../../src/netlink/message.ts'
import { createElements } from '../../../src/netlink/nf/rules.ts'
import { decodeElements, dumpElements, type NftElement, userdataOf } from '../../../src/netlink/nf/tables.ts'
import { NetlinkError, type NetlinkSocket } from '../../../src/netlink/socket.ts'

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

/** nf_tables with what is in it, and dumps to come that show something else of a set. */
class Tables {
  content: Record<SetName, NftElement[]> = {
    ...{ ports4: [], ports6: [], snat4: [], snat6: [], steered4: [], steered6: [] },
  }
  /** The entries that the next dumps of ports4 show; all that are there when the list is empty. */
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

group('a dump of a hash table that is resized meanwhile', () => {
  test('shows an element twice: it is deleted once, and told once', () => {
    tables.content.ports4 = [element(80), element(81), element(90, others)]
    tables.looks = [(all) => [...all, ...all]]
    expect(release().map(({ port }) => port)).toEqual([80, 81])
    expect(owners()).toEqual(['others'])
  })

  test('leaves elements out: it is asked again until two in a row show none', () => {
    tables.content.ports4 = [element(80), element(81), element(82), element(90, others)]
    tables.looks = [([a, , , o]) => [a, o] as NftElement[], (all) => all.slice(-1)]
    expect(
      release()
        .map(({ port }) => port)
        .toSorted(),
    ).toEqual([80, 81, 82])
    expect(owners()).toEqual(['others'])
  })

  test('leaves out what is of others: the table stays with it', () => {
    tables.content.ports4 = [element(80), element(90, others)]
    tables.looks = [([own]) => [own] as NftElement[]]
    release()
    expect(tables.exists).toBe(true)
    expect(owners()).toEqual(['others'])
  })

  test('leaves out another one on 127.0.0.1: the guard stays', () => {
    const local = [127, 0, 0, 1]
    tables.content.ports4 = [element(80, mine, local), element(90, others), element(91, others, local)]
    tables.looks = [(all) => all.slice(0, 2)]
    release()
    expect(tables.guard).toBe(true)
    expect(owners()).toEqual(['others', 'others'])
  })
})

test('elements that are gone when they are deleted are asked for anew', () => {
  tables.content.ports4 = [element(81), element(90, others)]
  tables.looks = [(all) => [element(80), ...all]]
  expect(release().map(({ port }) => port)).toContain(81)
  expect(owners()).toEqual(['others'])
})

test('elements that never go are an error', () => {
  tables.content.ports4 = [element(81), element(90, others)]
  tables.transaction = () => undefined
  expect(() => release()).toThrow(/keep coming back/)
})

test('all sets; the guard goes with the last on 127.0.0.1, the table with the last of all', () => {
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

group('with a record', () => {
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

  test('one look at the map that it has ports in is enough, and whom to masquerade goes with them', () => {
    tables.content.ports4 = [element(80), element(81), element(90, others)]
    tables.content.snat4 = [element(80), element(81), element(90, others)]
    expect(releaseKnown([80, 81]).map(({ port }) => port)).toEqual([80, 81])
    expect(tables.dumps).toBe(1)
    expect(owners()).toEqual(['others', 'others'])
  })

  test('what nobody else needs goes after a look at all maps', () => {
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
    ['more than it says', [80], [80, 81], [80, 81]],
    ['fewer', [80, 81, 82], [80, 81], [80]],
    ['nobody to masquerade any more', [80, 81], [80, 81], []],
    ['nothing', [80], [], []],
  ])('of what is there it has %s: by cookie in all maps', (_, known, inPorts, inMasquerades) => {
    tables.content.ports4 = [...inPorts.map((port) => element(port)), element(90, others)]
    tables.content.snat4 = inMasquerades.map((port) => element(port))
    // A port that a flush has taken is free, too.
    expect(releaseKnown(known).map(({ port }) => port)).toEqual(inPorts.length === 0 ? known : inPorts)
    expect(owners()).toEqual(['others'])
  })

  test('a port that another attachment has by now stays with it', () => {
    tables.content.ports4 = [element(80, others), element(81)]
    releaseKnown([80, 81])
    expect(owners()).toEqual(['others'])
  })
})

test('cookies of all who have something reserved, each once', () => {
  tables.content.ports4 = [element(80), element(81), element(90, others)]
  const found = (prefix: string) => reservedCookies(tables as unknown as NetlinkSocket, prefix)
  expect(found('766601').toSorted()).toEqual([mine, others])
  expect(found(others)).toEqual([others])
})

test('keys of 127.0.0.0/8 with the address that they lead to; no others', () => {
  const bytes = (...all: number[]) => ({ NFTA_DATA_VALUE: Uint8Array.from(all) })
  const local = (cookie: string): NftElement => ({
    ...element(80, cookie),
    NFTA_SET_ELEM_KEY: bytes(127, 0, 0, 1, 6, 0, 0, 0, 0, 80, 0, 0),
    NFTA_SET_ELEM_DATA: bytes(10, 0, 0, 2, 0, 80, 0, 0),
  })
  tables.content.ports4 = [element(81), local(mine)]
  expect(loopbackPorts(tables as unknown as NetlinkSocket)).toEqual([{ cookie: mine, toAddress: '10.0.0.2' }])
})

group('connections that were opened to ports', () => {
  const counting = (port: number, cookie: string, packets: bigint): NftElement => ({
    ...element(port, cookie),
    NFTA_SET_ELEM_EXPR: {
      NFTA_EXPR_NAME: 'counter',
      NFTA_EXPR_DATA: { NFTA_COUNTER_BYTES: 60n * packets, NFTA_COUNTER_PACKETS: packets },
    },
  })
  const opened = (expected: number) => openedPorts(tables as unknown as NetlinkSocket, mine, expected)
  const key = (port: number) => ({ address: '10.1.0.1', proto: 'tcp', port })

  test('of one cookie; none is told of a map that does not count', () => {
    tables.content.ports4 = [counting(80, mine, 7n), element(81), counting(90, others, 9n)]
    expect(opened(2)).toEqual([
      { ...key(80), opened: 7n },
      { ...key(81), opened: undefined },
    ])
  })

  test('a dump that leaves some out is repeated, once', () => {
    tables.content.ports4 = [counting(80, mine, 7n), counting(81, mine, 8n)]
    tables.looks = [([first]) => [first] as NftElement[]]
    expect(opened(2).map(({ port }) => port)).toEqual([80, 81])
    tables.dumps = 0
    expect(opened(3)).toHaveLength(2)
    expect(tables.dumps).toBe(4)
  })
})

test('maps count; those of an earlier version, which do not, are taken as they are', () => {
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

group('a reservation in a table that the caller knows', () => {
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

  test('is made in that one alone: a table that is to be there is not made, one that is not may not be', () => {
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
  ] as const)('is another try’s where the table %s', (_, expected, operation, errno) => {
    const { changed } = reservePorts(refusing(operation, errno).socket, wanted, expected)
    expect(changed).toMatchObject({ operation, errno })
  })

  test('names who has the port', () => {
    const { socket } = refusing('NFT_MSG_NEWSETELEM', 17, others)
    expect(() => reservePorts(socket, wanted, 'present')).toThrow(
      'port 80 is taken by container/interface "container/net1"',
    )
  })
})
