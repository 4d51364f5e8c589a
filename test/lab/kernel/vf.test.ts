// VFs of a real driver (igb). What the PF holds for them is set by us and read by ip, set by ip and read by us; refusals name the
// key and leave everything as it was. A VF itself moves and takes what interfaces take, and its driver gets it again.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
import {
  buildTopology,
  CLIENT_A,
  deletePod,
  linkIsReady,
  loadIgb,
  newPod,
  type Topology,
  tearDown,
  WIRE,
} from '../../../hack/lab/bed/topology.ts'
import * as traffic from '../../../hack/lab/bed/traffic.ts'
import { apply, ask, drive, json, run, tryDrive } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { invert } from '../../../src/ops/invert.ts'
import type { Op, VfAttributes } from '../../../src/ops/op.ts'
import { lab } from '../../support/lab.ts'

let vm: Lab
let net: Topology

beforeAll(async () => {
  vm = await lab()
  net = await buildTopology(vm, await loadIgb(vm), 4)
})
afterAll(async () => {
  // A VF that got its driver again has taken the name that the end of the wire wants back.
  await vm.must(`echo 0 >/sys/class/net/${net.pf}/device/sriov_numvfs`)
  await tearDown(vm, net)
})

test('the PF has the VFs that were asked for, behind a root port', () => {
  expect(net.pfPci).toBe('0000:01:00.0')
  expect(net.vfs.map((vf) => vf.pci)).toEqual([
    '0000:01:10.0',
    '0000:01:10.2',
    '0000:01:10.4',
    '0000:01:10.6',
  ])
  for (const vf of net.vfs) expect(vf.netdev).toMatch(/^eth\d$/)
})

/** The list of VFs in the words of `ip -d -j link show dev PF`. */
async function shown(): Promise<Record<string, unknown>[]> {
  const [link] = await json<{ vfinfo_list: Record<string, unknown>[] }>(
    vm,
    `ip -d -j link show dev ${net.pf}`,
  )
  return link?.vfinfo_list ?? []
}

/** The attributes of all VFs as our decoder reads them. */
async function read(): Promise<ReadonlyMap<number, VfAttributes>> {
  const [pf] = await drive(vm, [ask('link', 'host', net.pf, { vfs: true })])
  return pf?.vfs ?? new Map()
}

/** As the plans make it: `was` has the keys of `set`. */
const setting = (set: VfAttributes, known: VfAttributes, vf = 1): Op => ({
  do: 'vf.set',
  pf: net.pf,
  vf,
  set,
  was: Object.fromEntries(Object.entries(known).filter(([key]) => key in set)),
})

const all = {
  mac: '02:00:00:00:01:01',
  vlan: { id: 100, qos: 3, proto: 0x8100 },
  rate: { min: 0, max: 200 },
  spoofchk: false,
  trust: true,
} as const satisfies VfAttributes

test('all attributes are set in one request, on one VF, and taken back', async () => {
  const before = await shown()
  const was = (await read()).get(1) ?? {}
  const op = setting(all, was)
  await drive(vm, [run(op)])
  const after = await shown()
  expect(after[1]).toMatchObject({
    vf: 1,
    address: '02:00:00:00:01:01',
    vlan_list: [{ vlan: 100, qos: 3 }],
    rate: { max_tx: 200, min_tx: 0 },
    spoofchk: false,
    trust: true,
  })
  expect([after[0], after[2]]).toEqual([before[0], before[2]])
  expect((await read()).get(1)).toEqual({ ...all, linkState: 'auto' })
  await drive(vm, [run(invert(op) as Op)])
  expect(await shown()).toEqual(before)
})

test('what ip sets is read, for each VF by itself', async () => {
  await vm.must(`ip -b - <<END
    link set ${net.pf} vf 0 mac 02:00:00:00:02:00
    link set ${net.pf} vf 0 vlan 5
    link set ${net.pf} vf 1 max_tx_rate 77
    link set ${net.pf} vf 2 vlan 4094 qos 7
    link set ${net.pf} vf 2 spoofchk off
    link set ${net.pf} vf 2 trust on
END`)
  const found = await read()
  const list = await shown()
  const asIpShows = [...found].map(([vf, { mac, vlan, rate, spoofchk, trust, linkState }]) => ({
    vf,
    address: mac,
    vlan_list: [vlan?.id === 0 ? {} : { vlan: vlan?.id, ...(vlan?.qos === 0 ? {} : { qos: vlan?.qos }) }],
    rate: { max_tx: rate?.max, min_tx: rate?.min },
    spoofchk,
    trust,
    link_state: linkState,
  }))
  expect(asIpShows).toEqual(list.map(({ link_type: _, broadcast: __, tx_rate: ___, ...vf }) => vf))
  expect(found.get(2)).toMatchObject({
    vlan: { id: 4094, qos: 7, proto: 0x8100 },
    spoofchk: false,
    trust: true,
  })
  expect([found.get(0)?.mac, found.get(0)?.vlan?.id, found.get(1)?.rate?.max]).toEqual([
    '02:00:00:00:02:00',
    5,
    77,
  ])
})

describe('a refusal', () => {
  // The kernel applies MAC, VLAN, rate, spoof check, link state, trust in this order and stops without a word.
  test.each<[string, string, VfAttributes, string]>([
    ['min_tx_rate', 'max_tx_rate/min_tx_rate', { rate: { min: 10, max: 200 } }, 'EINVAL'],
    ['a rate beyond the link', 'max_tx_rate/min_tx_rate', { rate: { min: 0, max: 100_000 } }, 'EINVAL'],
    ['link_state', 'link_state', { linkState: 'enable' }, 'EOPNOTSUPP'],
    ['802.1ad', 'vlan', { vlan: { id: 9, qos: 0, proto: 0x88a8 } }, 'EPROTONOSUPPORT'],
    ['a group address', 'mac', { mac: '01:00:00:00:00:01' }, 'EINVAL'],
  ])('of %s names its key, and all is as before', async (_, key, bad, errno) => {
    const before = await shown()
    const was = (await read()).get(1) ?? {}
    const [alone, last, first] = await tryDrive(vm, [
      run(setting(bad, was)),
      run(setting({ ...all, ...bad }, was)),
      apply(setting(all, was), setting(bad, all)),
    ])
    const refusal = { name: 'VfRefusal', key, code: errno }
    expect(alone.error).toMatchObject({
      ...refusal,
      message: expect.stringMatching(new RegExp(`^${key} .*: RTM_SETLINK: ${errno}$`)),
    })
    expect(last.error).toMatchObject(refusal)
    expect(first.error).toMatchObject({ name: 'ApplyError', stuck: [], cause: refusal })
    expect(await shown()).toEqual(before)
  })

  test('names a VF that does not exist, or an interface without any', async () => {
    const before = await shown()
    const [missing, notPf, absent] = await tryDrive(vm, [
      run(setting({ trust: true }, {}, 6)),
      run({ ...setting({ trust: true }, {}, 0), pf: 'lo' } as Op),
      run({ ...setting({ trust: true }, {}, 0), pf: 'absent' } as Op),
    ])
    expect(missing.error).toMatchObject({ name: 'VfRefusal', key: 'trust', code: 'EINVAL' })
    expect(notPf.error).toMatchObject({ name: 'VfRefusal', key: 'trust', code: 'EOPNOTSUPP' })
    expect(absent.error).toMatchObject({ name: 'MissingLink', message: 'ENODEV: no interface "absent"' })
    expect(await shown()).toEqual(before)
  })

  test('of a rate while the PF is down leaves the rest as it was', async () => {
    await vm.must(`ip link set ${net.pf} down`)
    const before = await shown()
    const was = (await read()).get(1) ?? {}
    const [result] = await tryDrive(vm, [run(setting(all, was))])
    expect(result.error).toMatchObject({ name: 'VfRefusal', key: 'max_tx_rate/min_tx_rate', code: 'EINVAL' })
    expect(await shown()).toEqual(before)
    await vm.must(
      `ip link set ${net.pf} up; until ip link show dev ${net.pf} | grep -q LOWER_UP; do sleep 0.05; done`,
    )
  })
})

test('a refusal to offload keeps the words of the driver, and the rule runs on the host', async () => {
  const rule = {
    link: net.pf,
    prio: 10,
    address: '10.1.0.1',
    proto: 'tcp',
    port: 8080,
    dstMac: '02:00:00:00:01:01',
    srcMac: net.pfMac,
    cookie: '766601010000000000000000000000aa',
  } as const
  const steer = { do: 'steer.add', rule } as const
  const [, required, preferred, again] = await tryDrive(vm, [
    run({ do: 'clsact.add', side: 'host', link: net.pf }),
    run({ ...steer, offload: 'require' }),
    run({ ...steer, offload: 'prefer' }),
    run({ ...steer, offload: 'prefer' }),
  ])
  expect(required.error).toMatchObject({
    message: 'RTM_NEWTFILTER: EOPNOTSUPP: TC offload is disabled on net device',
    extack: 'TC offload is disabled on net device',
  })
  expect(preferred.value).toEqual({
    where: 'host',
    refusal: 'EOPNOTSUPP: TC offload is disabled on net device',
    handle: expect.any(Number),
  })
  expect(again.error).toMatchObject({
    name: 'PortTaken',
    message: expect.stringContaining(`with cookie ${steer.rule.cookie}`),
  })
  const filters = (await json(vm, `tc -j filter show dev ${net.pf} ingress`)).filter(
    (filter) => 'options' in filter,
  )
  expect(filters).toMatchObject([{ pref: 10, options: { handle: preferred.value?.handle, skip_hw: true } }])
  await vm.must(`tc qdisc del dev ${net.pf} clsact`)
  expect(await drive(vm, [ask('isSwitchdev', net.pfPci), ask('isSwitchdev', '0000:00:1e.7')])).toEqual([
    false,
    false,
  ])
})

describe('an igb VF', () => {
  const pod = 'kernel-device'
  const netns = `/run/netns/${pod}`
  let pci: string
  let netdev: string
  beforeAll(async () => {
    pci = net.vfs[1]?.pci ?? ''
    netdev = net.vfs[1]?.netdev ?? ''
    await newPod(vm, pod)
    await vm.must(`ip -n ${pod} link add d0 type dummy`)
  })
  afterAll(() => deletePod(vm, pod))
  test('takes what interfaces take, as ip shows it, and gives it back', async () => {
    const shown = async () => {
      const [link] = await json(vm, `ip -d -j link show dev ${netdev}`)
      const { operstate: _, ...rest } = link ?? {}
      return { ...rest, flags: (rest.flags as string[]).filter((flag) => !/CARRIER|LOWER_UP/.test(flag)) }
    }
    const before = await shown()
    const [facts] = await drive(vm, [ask('link', 'host', netdev)])
    const { ifindex = 0, mtu, txqlen } = facts ?? {}
    expect(facts).toMatchObject({ parent: pci, parentBus: 'pci', alias: '', promisc: false, allmulti: false })
    const set = { mtu: 1400, alias: 'of a pod', promisc: true, allmulti: true, txqlen: 500 }
    const was = { mtu, alias: '', promisc: false, allmulti: false, txqlen }
    const op: Op = { do: 'link.set', side: 'host', name: netdev, ifindex, set, was }
    await drive(vm, [run(op)])
    expect(await shown()).toMatchObject({
      ...{ mtu: 1400, ifalias: 'of a pod', txqlen: 500, promiscuity: 1, allmulti: 1 },
      flags: expect.arrayContaining(['PROMISC', 'ALLMULTI']),
    })
    await drive(vm, [run(invert(op) as Op)])
    expect(await shown()).toEqual(before)
  })

  /**
   * All interfaces of both sides, without numbers, which a move may change, qdiscs, which depend on having been up, and
   * carrier: when a VF sees the link of its PF is the driver's affair.
   */
  const state = async () => {
    const both = await Promise.all([json(vm, 'ip -d -j link'), json(vm, `ip -n ${pod} -d -j link`)])
    return both.map(
      (links) =>
        new Map(
          links.map(({ ifindex: _, qdisc: __, operstate: ___, flags, ...link }) => {
            const administrative = (flags as string[]).filter((flag) => !/CARRIER|LOWER_UP/.test(flag))
            return [String(link.ifname), { ...link, flags: administrative }] as const
          }),
        ),
    )
  }
  const toPod = (newName: string): Op => ({ do: 'link.move', from: 'host', name: netdev, to: 'pod', newName })

  test('moves and renames in one request, with all that belongs to it, and back', async () => {
    await vm.must(`ip link property add dev ${netdev} altname other; ip link set ${netdev} mtu 1400`)
    const before = await state()
    const [was] = await json(vm, `ip -d -j link show dev ${netdev}`)
    await drive(vm, [run(toPod('net1'))], { netns })
    const [moved] = await json(vm, `ip -n ${pod} -d -j link show dev net1`)
    expect(moved).toMatchObject({ address: was?.address, mtu: 1400, altnames: ['other'], parentdev: pci })
    expect((await vm.sh(`ip link show dev ${netdev}`)).code).toBe(1)
    await drive(vm, [run({ do: 'link.move', from: 'pod', name: 'net1', to: 'host', newName: netdev })], {
      netns,
    })
    expect(await state()).toEqual(before)
    await vm.must(`ip link set ${netdev} mtu 1500; ip link property del dev ${netdev} altname other`)
  })

  // test/native/kernel/move.test.ts has other things that may be in the way.
  test('is left as it was, down or up, when its new name is one that another interface has in the pod', async () => {
    for (const flag of ['down', 'up']) {
      const settle = `until ${flag === 'up' ? '' : '! '}ip link show dev ${netdev} | grep -q '[<,]UP[,>]'; do sleep 0.05; done`
      await vm.must(`ip link set ${netdev} ${flag}; ${settle}`)
      const before = await state()
      const [result] = await tryDrive(vm, [run(toPod('d0'))], { netns })
      expect(result.error).toMatchObject({ name: 'NetlinkError', code: 'EEXIST' })
      await vm.must(settle)
      expect(await state()).toEqual(before)
    }
    await vm.must(`ip link set ${netdev} down`)
  })

  const rebind = (driver: string, address = pci): Op => ({ do: 'driver.rebind', pci: address, driver })
  const onHost = async () => (await vm.must(`ls /sys/bus/pci/devices/${pci}/net 2>/dev/null || true`)).trim()

  test('that its driver gets again comes home from wherever its interface is', async () => {
    await vm.must(`ip link set ${netdev} netns ${pod} name net1`)
    expect(await onHost()).toBe('')
    await drive(vm, [run(rebind('igbvf'))])
    const name = await onHost()
    expect(await json(vm, `ip -d -j link show dev ${name}`)).toEqual([
      expect.objectContaining({ parentdev: pci }),
    ])
    expect((await vm.sh(`ip -n ${pod} link show dev net1`)).code).toBe(1)
  })

  test('without driver gets one', async () => {
    await vm.must(`echo ${pci} >/sys/bus/pci/drivers/igbvf/unbind`)
    expect(await onHost()).toBe('')
    await drive(vm, [run(rebind('igbvf'))])
    expect(await onHost()).not.toBe('')
  })

  test('that a driver refuses is an error that names both, and an unknown driver is no path', async () => {
    const results = await tryDrive(vm, [
      run(rebind('e1000e')),
      run(rebind('igbvf', '0000:ff:1f.7')),
      run(rebind('../../devices')),
    ])
    expect(results.map(({ error }) => error?.message)).toEqual([
      expect.stringMatching(`^Cannot bind "${pci}" to driver "e1000e": E(BUSY|NODEV|NOENT)$`),
      'Cannot bind "0000:ff:1f.7" to driver "igbvf": ENODEV',
      expect.stringContaining('EINVAL'),
    ])
    expect(await onHost()).not.toBe('')
  })
})

// With the VF that no other test has told anything.
test('a VF in a pod reaches the clients, tagged with its VLAN if it has one', async () => {
  const vf = net.vfs[3]
  await newPod(vm, 'pod-vf')
  await vm.must(`
    ip link set ${vf?.netdev} netns pod-vf
    ip -n pod-vf link set ${vf?.netdev} name net1 up
    ip -n pod-vf address add 10.1.0.5/24 dev net1`)
  const server = await traffic.serve(vm, 'pod-vf', [{ name: 'pod', protocol: 'tcp', port: 80 }])
  await linkIsReady(vm, 'pod-vf')
  const [answer] = await traffic.ask(vm, CLIENT_A.namespace, [
    { protocol: 'tcp', address: '10.1.0.5', port: 80 },
  ])
  expect(answer?.peer.address).toBe(CLIENT_A.v4)
  await server.stop()

  await vm.must(`ip link set ${net.pf} vf ${vf?.index} vlan 100`)
  const seen = await capture(vm, WIRE.namespace, net.wire, 'vlan and arp')
  await vm.sh('ip netns exec pod-vf arping -c 1 -w 2 -I net1 10.1.0.77')
  const [frame] = await seen.stop()
  expect(frame).toMatchObject({ vlan: 100, destination: 'ff:ff:ff:ff:ff:ff' })
  expect(frame?.text).toMatch(/who-has 10\.1\.0\.77/)

  await vm.must(
    `ip link set ${net.pf} vf ${vf?.index} vlan 0; ip -n pod-vf link set net1 down name ${vf?.netdev}`,
  )
  await vm.must(`ip -n pod-vf link set ${vf?.netdev} netns 1`)
  await deletePod(vm, 'pod-vf')
})
