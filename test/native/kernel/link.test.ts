// An interface takes its settings whole or not at all, by number, whatever its name is. The judge is ip.
// needs: veth, ifb, bridge
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { apply, ask, drive, json, run, tryDrive } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { invert } from '../../../src/ops/invert.ts'
import type { LinkAttributes, LinkSet, Op } from '../../../src/ops/op.ts'
import { lab } from '../../support/lab.ts'

const [on, pod] = ['kernel-link', 'kernel-link-pod'] as const
const netns = `/run/netns/${pod}`
const options = { on, netns }
let vm: Lab

beforeAll(async () => {
  vm = await lab()
  await vm.load('ifb numifbs=0')
})
beforeEach(async () => {
  await newPod(vm, on)
  await newPod(vm, pod)
  await vm.must(`ip -n ${on} -b - <<END
      link add d0 index 50 address 02:00:00:00:00:01 type veth peer name p0
      link add d1 index 51 address 02:00:00:00:00:02 type ifb
      link add br0 index 52 address 02:00:00:00:00:03 type bridge
END`)
})
afterEach(async () => {
  await deletePod(vm, on)
  await deletePod(vm, pod)
})

/** An interface as ip shows it, without what a bridge counts. */
async function shown(name: string, namespace: string = on): Promise<Record<string, unknown>> {
  const [link] = await json(vm, `ip -n ${namespace} -d -j link show dev ${name}`)
  const { linkinfo: _, ...rest } = administrative(link ?? {})
  return rest
}

/** An interface without the state of its cable, which a kernel worker finds out later. */
function administrative({ operstate: _, flags, ...link }: Record<string, unknown>): Record<string, unknown> {
  return { ...link, flags: (flags as string[]).filter((flag) => !/CARRIER|LOWER_UP|M-DOWN/.test(flag)) }
}

const d0 = { do: 'link.set', side: 'host', name: 'd0' } as const
const was: LinkAttributes = {
  ...{ mac: '02:00:00:00:00:01', mtu: 1500, up: false, alias: '', promisc: false, allmulti: false },
  ...{ txqlen: 1000, master: '' },
}
const set: LinkAttributes = {
  ...{ mac: '02:00:00:00:00:0f', mtu: 1400, up: true, alias: "a pod's own", promisc: true, allmulti: true },
  ...{ txqlen: 500, master: 'br0' },
}

/** More than any interface takes. */
const tooLarge = 2 ** 32 - 1

describe('link.set', () => {
  test('sets what ip shows, facts say the same, and its inverse takes all of it back', async () => {
    const before = await shown('d0')
    const op: LinkSet = { ...d0, set, was }
    const [, facts] = await drive(vm, [run(op), ask('link', 'host', 'd0')], options)
    const after = await shown('d0')
    expect(after).toMatchObject({
      ...{ address: set.mac, mtu: 1400, ifalias: "a pod's own", txqlen: 500, master: 'br0' },
      flags: expect.arrayContaining(['UP', 'PROMISC', 'ALLMULTI']),
    })
    const { master: _, ...told } = set
    expect(facts).toMatchObject({ ...told, master: 52 })
    await drive(vm, [run(invert(op) as Op)], options)
    expect(await shown('d0')).toEqual({ ...before, qdisc: expect.anything() })
  })

  test('a bridge makes its port promiscuous; that is not what user space asked for', async () => {
    const [, facts] = await drive(
      vm,
      [run({ ...d0, set: { master: 'br0' }, was }), ask('link', 'host', 'd0')],
      options,
    )
    expect((await shown('d0')).promiscuity).toBe(1)
    expect(facts?.promisc).toBe(false)
  })

  test('an alias has up to 255 bytes', async () => {
    const alias = `${'é'.repeat(127)}x`
    const [, facts] = await drive(
      vm,
      [run({ ...d0, set: { alias }, was }), ask('link', 'host', 'd0')],
      options,
    )
    expect((await shown('d0')).ifalias).toBe(alias)
    expect(facts?.alias).toBe(alias)
  })

  test.each<[string, LinkAttributes, string]>([
    ['its MTU', { ...set, mtu: tooLarge }, 'EINVAL'],
    ['its MAC', { ...set, mac: '01:00:00:00:00:01' }, 'EADDRNOTAVAIL'],
    ['its alias', { ...set, alias: 'x'.repeat(256) }, ''],
    ['its master, which is no master', { ...set, master: 'd1' }, 'EOPNOTSUPP'],
    ['its master, which is not there', { ...set, master: 'nowhere' }, 'ENODEV'],
  ])('refused for %s leaves all as it was, a master too', async (_, wishes, code) => {
    await vm.must(`ip -n ${on} link set d0 master br0 promisc on txqueuelen 700 alias old up`)
    const before = await shown('d0')
    const old = { ...was, master: 'br0', promisc: true, txqlen: 700, alias: 'old', up: true }
    for (const more of [{}, { ifindex: 50 }]) {
      const [result] = await tryDrive(vm, [run({ ...d0, ...more, set: wishes, was: old })], options)
      expect(result.error?.code ?? '').toBe(code)
      expect(result.error).toBeDefined()
      expect(await shown('d0')).toEqual(before)
    }
  })
})

describe('an interface that is named by its number', () => {
  const taken = 'link add d0 address 02:00:00:00:00:99 type ifb'

  test('is set and named, and a newcomer with the old name is left alone', async () => {
    await vm.must(`ip -n ${on} link set d0 name renamed; ip -n ${on} ${taken}`)
    const newcomer = await shown('d0')
    await drive(
      vm,
      [
        run({ ...d0, ifindex: 50, set: { mtu: 1300, alias: 'x' }, was }),
        run({ do: 'altname.add', side: 'host', name: 'd0', ifindex: 50, altname: 'one' }),
        run({ do: 'altname.add', side: 'host', name: 'd0', ifindex: 50, altname: 'two' }),
        run({ do: 'altname.del', side: 'host', name: 'd0', ifindex: 50, altname: 'one' }),
      ],
      options,
    )
    expect(await shown('renamed')).toMatchObject({ mtu: 1300, ifalias: 'x', altnames: ['two'] })
    expect(await shown('d0')).toEqual(newcomer)
  })

  test('is an error when it is gone', async () => {
    const results = await tryDrive(
      vm,
      [
        run({ ...d0, ifindex: 99, set: { mtu: 1300 }, was }),
        run({ do: 'altname.add', side: 'host', name: 'd0', ifindex: 99, altname: 'one' }),
        run({ do: 'link.move', from: 'host', name: 'd0', ifindex: 99, to: 'pod', newName: 'net1' }),
      ],
      options,
    )
    expect(results.map(({ error }) => error?.code)).toEqual(['ENODEV', 'ENODEV', 'ENODEV'])
  })

  const move = { do: 'link.move', from: 'host', name: 'd0', ifindex: 50, to: 'pod', newName: 'net1' } as const

  test.each([
    ['and keeps its number', ''],
    ['and gets another number, where its own is taken', 'link add other index 50 type ifb'],
  ])('is moved, %s', async (_, prepare) => {
    await vm.must(
      `ip -n ${on} link set d0 name renamed; ip -n ${on} ${taken}; ${prepare && `ip -n ${pod} ${prepare}`}`,
    )
    const newcomer = await shown('d0')
    await drive(vm, [run(move)], options)
    const moved = await shown('net1', pod)
    expect(moved).toMatchObject({ address: '02:00:00:00:00:01' })
    expect(moved.ifindex === 50).toBe(prepare === '')
    expect(await shown('d0')).toEqual(newcomer)
  })

  test.each([
    ['', 'net1'],
    ['its number is taken there too and ', 'net1'],
  ])('stays where %sits new name is taken, as those in the pod with its names do', async (why) => {
    const other = why === '' ? '' : `\nlink add other index 50 type ifb`
    await vm.must(`ip -n ${on} link set d0 name renamed
      ip -n ${pod} -b - <<END
        link add net1 type ifb
        ${taken} ${other}
END`)
    const look = async () => [
      (await json(vm, `ip -n ${on} -d -j link`)).map(administrative),
      (await json(vm, `ip -n ${pod} -d -j link`)).map(administrative),
    ]
    for (const up of [false, true]) {
      await vm.must(`ip -n ${on} link set renamed ${up ? 'up' : 'down'}`)
      const before = await look()
      const [result] = await tryDrive(vm, [run({ ...move, up })], options)
      expect(result.error).toMatchObject({ name: 'NetlinkError', code: 'EEXIST' })
      expect(await look()).toEqual(before)
    }
  })

  test('gets a new name in its own namespace', async () => {
    await vm.must(`ip -n ${on} link set d0 name renamed; ip -n ${on} ${taken}`)
    await drive(vm, [run({ ...move, to: 'host' }), run({ ...move, to: 'host' })], options)
    expect(await shown('net1')).toMatchObject({ address: '02:00:00:00:00:01' })
  })
})

describe('a transaction', () => {
  test('takes back a name that moved, though names were looked up before', async () => {
    await vm.must(`ip -n ${on} link set d0 up`)
    const before = await json(vm, `ip -n ${on} -d -j link show dev d0`)
    const move: Op = {
      do: 'link.move',
      from: 'host',
      name: 'd0',
      ifindex: 50,
      to: 'pod',
      newName: 'd1',
      up: true,
    }
    const [, result] = await tryDrive(
      vm,
      [
        ask('link', 'host', 'd0'),
        apply(
          { ...d0, set: { mtu: 1400, up: false }, was },
          { do: 'altname.add', side: 'host', name: 'd1', altname: 'x' },
          move,
          { ...d0, side: 'pod', name: 'd1', set: { mtu: 1300 }, was: { mtu: 1400 } },
          { do: 'addr.add', side: 'pod', link: 'd1', address: '10.1.0.5/24' },
          { ...d0, side: 'pod', name: 'd1', set: { mtu: tooLarge }, was: { mtu: 1300 } },
        ),
      ],
      options,
    )
    expect(result.error).toMatchObject({ stuck: [], cause: { code: 'EINVAL' } })
    expect((await shown('d1')).altnames).toBeUndefined()
    const [after] = await json(vm, `ip -n ${on} -d -j link show dev d0`)
    expect(after).toMatchObject({ mtu: 1500, address: before[0]?.address })
  })

  test('goes by who has a name now, whoever had it when it was looked up', async () => {
    const inHost = { do: 'link.move', from: 'host', to: 'host' } as const
    await drive(
      vm,
      [
        ask('link', 'host', 'd0'),
        run({ ...inHost, name: 'd0', ifindex: 50, newName: 'renamed' }),
        run({ ...inHost, name: 'd1', ifindex: 51, newName: 'd0' }),
        run({ ...d0, set: { alias: 'x' }, was: { alias: '' } }),
      ],
      options,
    )
    expect(await shown('d0')).toMatchObject({ address: '02:00:00:00:00:02', ifalias: 'x' })
    expect((await shown('renamed')).ifalias).toBeUndefined()
  })

  test('leaves a route that was there before', async () => {
    await vm.must(`ip -n ${on} -b - <<END
      link set d0 up
      link set d1 up
      route add 10.9.0.0/16 dev d1
      route add fd09::/64 dev d1
END`)
    const routes = async () => (await vm.must(`ip -n ${on} route; ip -n ${on} -6 route`)).trim()
    const before = await routes()
    const add = (dst: string): Op => ({ do: 'route.add', side: 'host', route: { dst, link: 'd0' } })
    const ops = ['10.8.0.0/16', '10.9.0.0/16', 'fd09::/64'].map(add)
    const [outcomes] = await drive(vm, [apply(...ops)], options)
    expect(outcomes).toEqual([{}, { existed: true }, { existed: true }])
    expect(await routes()).toContain('10.8.0.0/16')
    const [result] = await tryDrive(
      vm,
      [apply(...ops.slice(1, 2), { ...d0, set: { mtu: tooLarge }, was })],
      options,
    )
    expect(result.error).toMatchObject({ stuck: [] })
    expect(await routes()).toContain('10.9.0.0/16 dev d1')
    await vm.must(`ip -n ${on} route del 10.8.0.0/16`)
    expect(await routes()).toBe(before)
  })
})
