// Claims about a kernel that hold for the real one and for the fake: whoever tests with the fake relies on them.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Questions } from '../../hack/lab/driver/steps.ts'
import { invert } from '../../src/ops/invert.ts'
import type { Op, Outcome, PortKey } from '../../src/ops/op.ts'

/** The questions that the claims ask. */
export type Asked =
  | 'link'
  | 'linksAt'
  | 'linksOfKind'
  | 'addresses'
  | 'nodeAddresses'
  | 'portTable'
  | 'reservePorts'
  | 'releasePorts'
  | 'hasReservation'
  | 'reservedCookies'
  | 'openedPorts'
  | 'everyOpenedPort'
  | 'takenPolicers'
  | 'eswitchPorts'
  | 'listeners'

/** A kernel with a host and a pod. Both have no address and no reservation, and interfaces that are down. */
export interface KernelBed {
  /** An interface of the host, with its number. */
  readonly name: string
  readonly ifindex: number
  /** An interface of the pod, with a number that no interface of the host has. */
  readonly podName: string
  readonly podIfindex: number
  /** False for a kernel without act_police. */
  readonly hasPolicers: boolean
  /** Fails with an error that has the `code` of the kernel's, or the `name` of another. */
  run(op: Op): Promise<Outcome>
  /** Starts a program of the host that listens on a TCP port, on all addresses of IPv4, until the test ends. */
  listen(port: number): Promise<void>
  ask<K extends Asked>(question: K, ...args: Parameters<Questions[K]>): Promise<ReturnType<Questions[K]>>
}

const cookies = ['766601010000000000000000000000aa', '766601010000000000000000000000bb'] as const
const owners = [`${cookies[0]} pod-one/net1`, `${cookies[1]} pod-two/net1`] as const
const keyAt = (port: number): PortKey => ({
  ...{ address: '10.1.0.1', proto: 'tcp', port, toAddress: '10.1.0.5', toPort: 80 },
})
const reservation = (owner: string, ...ports: number[]) => ({ keys: ports.map(keyAt), masquerade: [], owner })

/** The claims. Each has a bed of its own. */
export function kernelContract(setUp: () => Promise<KernelBed>, tearDown: () => Promise<void>): void {
  let bed: KernelBed
  beforeEach(async () => {
    bed = await setUp()
  })
  afterEach(tearDown)

  const side = 'host'
  const undo = (op: Op) => bed.run(invert(op) as Op)

  describe('interfaces', () => {
    test('are found by number, name and altname, and are undefined when there is none', async () => {
      const { name, ifindex } = bed
      await bed.run({ do: 'altname.add', side, name, altname: 'longer-than-fifteen-bytes' })
      for (const by of [ifindex, name, 'longer-than-fifteen-bytes'])
        expect(await bed.ask('link', side, by)).toMatchObject({ name, ifindex })
      expect(await bed.ask('link', side, 'nobody')).toBeUndefined()
      expect(await bed.ask('link', side, 99_999)).toBeUndefined()
      expect(await bed.ask('link', 'pod', name)).toBeUndefined()
    })

    test('are found by their numbers, as far as there are any, and those of the pod are not the host’s', async () => {
      const { name, ifindex, podIfindex } = bed
      expect(await bed.ask('linksAt', [99_999, ifindex, podIfindex])).toMatchObject([{ name, ifindex }])
      expect(await bed.ask('linksAt', [])).toEqual([])
    })

    test('are found by their kind', async () => {
      const { name, ifindex } = bed
      expect(await bed.ask('linksOfKind', 'ifb')).toMatchObject([{ name, ifindex, kind: 'ifb' }])
      expect(await bed.ask('linksOfKind', 'vlan')).toEqual([])
    })

    test('take what is set, and the inverse puts the old values back', async () => {
      const { name } = bed
      const [set, was] = [
        { mtu: 1400, alias: 'a b', up: true },
        { mtu: 1500, alias: '', up: false },
      ]
      const op: Op = { do: 'link.set', side, name, set, was }
      await bed.run(op)
      expect(await bed.ask('link', side, name)).toMatchObject(set)
      await undo(op)
      expect(await bed.ask('link', side, name)).toMatchObject(was)
    })

    test('have each altname once', async () => {
      const op: Op = { do: 'altname.add', side, name: bed.name, altname: 'other0' }
      await bed.run(op)
      await expect(bed.run(op)).rejects.toMatchObject({ code: 'EEXIST' })
      await undo(op)
      await expect(undo(op)).rejects.toMatchObject({ code: 'ENOENT' })
      expect((await bed.ask('link', side, bed.name))?.altnames).toEqual([])
    })

    test('that are not there take nothing', async () => {
      const op: Op = { do: 'link.set', side, name: 'nobody', set: { mtu: 1400 }, was: { mtu: 1500 } }
      await expect(bed.run(op)).rejects.toMatchObject({ code: 'ENODEV' })
    })

    test('move into the pod, are down there and without addresses, and come back under the old name', async () => {
      const { name, ifindex } = bed
      await bed.run({ do: 'addr.add', side, link: name, address: '10.5.0.1/24' })
      const newIfindex = 4321
      const op: Op = { do: 'link.move', from: 'host', name, ifindex, to: 'pod', newName: 'net1', newIfindex }
      await bed.run(op)
      expect(await bed.ask('link', 'host', name)).toBeUndefined()
      expect(await bed.ask('link', 'pod', 'net1')).toMatchObject({ ifindex: newIfindex, up: false })
      expect(await bed.ask('addresses', 'pod', newIfindex)).toEqual([])
      await undo(op)
      expect(await bed.ask('link', 'host', name)).toMatchObject({ name, ifindex })
      expect(await bed.ask('link', 'pod', 'net1')).toBeUndefined()
    })

    test('stay where they are when the name or the number is taken in the pod', async () => {
      const { name, ifindex, podName, podIfindex } = bed
      const move = { do: 'link.move', from: 'host', name, ifindex, to: 'pod' } as const
      await expect(bed.run({ ...move, newName: podName })).rejects.toMatchObject({ code: 'EEXIST' })
      await expect(bed.run({ ...move, newName: 'net1', newIfindex: podIfindex })).rejects.toMatchObject({
        code: 'EBUSY',
      })
      expect(await bed.ask('link', 'host', name)).toMatchObject({ name, ifindex })
    })
  })

  describe('addresses', () => {
    const address = '10.5.0.1/24'

    test('are on the interface that they were added to, until the inverse', async () => {
      const op: Op = { do: 'addr.add', side, link: bed.name, address }
      await bed.run(op)
      const found = { ifindex: bed.ifindex, address, scope: 0 }
      expect(await bed.ask('addresses', side, bed.ifindex)).toEqual([found])
      expect(await bed.ask('addresses', side)).toContainEqual(found)
      expect(await bed.ask('addresses', 'pod', bed.podIfindex)).toEqual([])
      await undo(op)
      expect(await bed.ask('addresses', side, bed.ifindex)).toEqual([])
    })

    test('are the node’s in the families that are asked for, on whichever interface, but for those of link scope', async () => {
      const { name: link, ifindex } = bed
      for (const one of [address, '2001:db8::1/64', 'fe80::1/64'])
        await bed.run({ do: 'addr.add', side, link, address: one })
      const four = { ifindex, address, scope: 0 }
      const six = { ifindex, address: '2001:db8::1/64', scope: 0 }
      const found = async (families: readonly (4 | 6)[]) =>
        (await bed.ask('nodeAddresses', families)).filter((one) => one.ifindex === ifindex)
      expect(await found([4])).toEqual([four])
      expect(await found([6])).toEqual([six])
      expect(await found([4, 6])).toEqual([four, six])
      expect(await found([])).toEqual([])
    })

    test('are there once, and only what is there goes', async () => {
      const op: Op = { do: 'addr.add', side, link: bed.name, ifindex: bed.ifindex, address }
      await bed.run(op)
      await expect(bed.run(op)).rejects.toMatchObject({ code: 'EEXIST' })
      expect(await bed.ask('addresses', side, bed.ifindex)).toHaveLength(1)
      await undo(op)
      await expect(undo(op)).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' })
    })

    test('need an interface', async () => {
      const op: Op = { do: 'addr.add', side, link: 'nobody', address }
      await expect(bed.run(op)).rejects.toMatchObject({ code: 'ENODEV' })
    })
  })

  describe('reservations', () => {
    test('are none on a node without a table, and a release frees nothing', async () => {
      expect(await bed.ask('portTable')).toBeUndefined()
      expect(await bed.ask('hasReservation', cookies[0])).toBe(false)
      expect(await bed.ask('reservedCookies', '7666')).toEqual([])
      expect(await bed.ask('releasePorts', cookies[0])).toEqual({ keys: [], tableGone: false })
    })

    test('make the table, and are known by their cookie', async () => {
      const { made } = await bed.ask('reservePorts', reservation(owners[0], 8080, 8081), 'absent')
      const table = await bed.ask('portTable')
      expect(table?.handle).toBe(made)
      expect(await bed.ask('hasReservation', cookies[0])).toBe(true)
      expect(await bed.ask('hasReservation', cookies[1])).toBe(false)
      expect(await bed.ask('reservedCookies', '7666')).toEqual([cookies[0]])
    })

    test('share one table, which counts its owners', async () => {
      await bed.ask('reservePorts', reservation(owners[0], 8080), 'absent')
      const before = await bed.ask('portTable')
      expect(await bed.ask('reservePorts', reservation(owners[1], 8081), 'present')).toEqual({
        made: undefined,
      })
      const after = await bed.ask('portTable')
      expect(after?.handle).toBe(before?.handle)
      expect(after?.use).toBe((before?.use ?? 0) + 1)
    })

    test('are made only where the table is as the caller takes it to be', async () => {
      const absent = await bed.ask('reservePorts', reservation(owners[0], 8080), 'present')
      expect(absent.changed).toBeDefined()
      expect(await bed.ask('portTable')).toBeUndefined()
      await bed.ask('reservePorts', reservation(owners[0], 8080), 'absent')
      const present = await bed.ask('reservePorts', reservation(owners[1], 8081), 'absent')
      expect(present.changed).toBeDefined()
      expect(await bed.ask('hasReservation', cookies[1])).toBe(false)
    })

    test('of a taken port fail whole, with the name of the owner', async () => {
      await bed.run({ do: 'ports.reserve', ...reservation(owners[0], 8080) })
      const wanted = reservation(owners[1], 8081, 8080)
      await expect(bed.run({ do: 'ports.reserve', ...wanted })).rejects.toMatchObject({
        message: expect.stringMatching(/tcp 10\.1\.0\.1 port 8080 is taken by .*pod-one\/net1/),
      })
      expect(await bed.ask('hasReservation', cookies[1])).toBe(false)
      await bed.run({ do: 'ports.reserve', ...reservation(owners[1], 8081) })
    })

    test('take the table with the last of them, and the next table is another one', async () => {
      const { made } = await bed.ask('reservePorts', reservation(owners[0], 8080), 'absent')
      await bed.ask('reservePorts', reservation(owners[1], 8081), 'present')
      const { address, proto } = keyAt(8080)
      expect(await bed.ask('releasePorts', cookies[0])).toEqual({
        keys: [{ address, proto, port: 8080 }],
        tableGone: false,
      })
      expect(await bed.ask('releasePorts', cookies[1])).toMatchObject({ tableGone: true })
      expect(await bed.ask('portTable')).toBeUndefined()
      const next = await bed.ask('reservePorts', reservation(owners[0], 8080), 'absent')
      expect(next.made).not.toBe(made)
    })

    test('have no connection at first, and are those of the cookie alone, as far as they are there', async () => {
      const opened = (port: number) => ({ address: '10.1.0.1', proto: 'tcp', port, opened: 0n })
      expect(await bed.ask('openedPorts', cookies[0], [keyAt(8080)])).toEqual([])
      expect(await bed.ask('everyOpenedPort')).toEqual([])
      await bed.ask('reservePorts', reservation(owners[0], 8080, 8081), 'absent')
      await bed.ask('reservePorts', reservation(owners[1], 8082), 'present')
      const asked = [keyAt(8081), keyAt(9999), keyAt(8080), keyAt(8082)]
      expect(await bed.ask('openedPorts', cookies[0], asked)).toEqual([opened(8081), opened(8080)])
      const all = [...(await bed.ask('everyOpenedPort'))].sort((one, other) => one.port - other.port)
      expect(all).toEqual([
        { ...opened(8080), cookie: cookies[0] },
        { ...opened(8081), cookie: cookies[0] },
        { ...opened(8082), cookie: cookies[1] },
      ])
    })
  })

  describe('policers', () => {
    const first = 0x70000010
    const policer = (index: number): Op => ({
      ...{ do: 'limiter.add', offload: 'off' },
      limiter: { index, bytesPerSecond: 1_000_000, burst: 100_000, cookie: cookies[0] },
    })

    test('take numbers: those from the first on that have no gap are named', async (context) => {
      context.skip(!bed.hasPolicers, 'the kernel has no act_police')
      expect(await bed.ask('takenPolicers', first)).toEqual([])
      for (const index of [first, first + 1, first + 3]) await bed.run(policer(index))
      expect(await bed.ask('takenPolicers', first)).toEqual([first, first + 1])
      expect(await bed.ask('takenPolicers', first + 2)).toEqual([])
      await undo(policer(first))
      expect(await bed.ask('takenPolicers', first)).toEqual([])
    })
  })

  describe('an eSwitch', () => {
    test('that no interface is on has no ports', async () => {
      expect(await bed.ask('eswitchPorts', '766601020304aabb')).toEqual([])
    })
  })

  describe('listeners', () => {
    test('are those of the protocol on the ports that are asked for', async () => {
      await bed.listen(8090)
      const found = await bed.ask('listeners', 'tcp', [8089, 8090])
      expect(found).toMatchObject([{ proto: 'tcp', address: '0.0.0.0', port: 8090, v6only: false }])
      expect(await bed.ask('listeners', 'tcp', [8089])).toEqual([])
      expect(await bed.ask('listeners', 'udp', [8090])).toEqual([])
      expect(await bed.ask('listeners', 'tcp', [])).toEqual([])
    })
  })
}
