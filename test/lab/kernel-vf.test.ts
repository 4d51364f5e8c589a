// What a PF holds for its VFs, on a real driver (igb): set by us and read by ip, set by ip and read by us; refusals
// name the key and leave everything as it was.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Lab } from '../../hack/lab/lab.ts'
import { invert, type Op, type VfAttributes } from '../../src/ops/op.ts'
import { apply, ask, drive, json, run, tryDrive } from '../support/driver.ts'
import { lab } from '../support/lab.ts'
import type { Topology } from '../support/topology.ts'
import { makeVfs, removeVfs } from '../support/vfs.ts'

let vm: Lab
let net: Topology

beforeAll(async () => {
  vm = await lab()
  net = await makeVfs(vm, 3)
})
afterAll(() => removeVfs(vm, net))

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

  test('of a VF that does not exist, or of an interface without any', async () => {
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
