// vf-attach with VFs that a user space driver holds: no network interface to move, only the PF's side to set and to
// restore. The simulated NIC with uio_pci_generic, and igb with vfio-pci in a machine of its own, which has an IOMMU: there
// what depends on the driver of the PF or of the VF.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  attachConfig,
  attachment,
  errorOf,
  json,
  listOf,
  staticIpam,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { setMode } from '../../../hack/lab/bed/simnic.ts'
import { diffSnapshot, isCarrierOf, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { PluginConfig, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { bindTo, emulated, type Nic, simulated, vfInfo as vfInfoOf } from '../../support/userspace-bed.ts'

const POD = 'pod-one'
const WISHES = {
  mac: '02:00:00:00:00:61',
  vlan: 9,
  vlanQoS: 3,
  spoofchk: 'off',
  trust: 'on',
  max_tx_rate: 200,
}
const ipam = staticIpam('10.1.0.5/24', 'fd00:1::5/64')

describe.each([
  ['uio_pci_generic', simulated],
  ['vfio-pci', () => emulated()],
])('a VF on %s', (user, setUp) => {
  let nic: Nic
  let lab: Lab
  let runtime: Runtime
  let pod: string
  /** The whole host, and what the PF holds for the VF, with the VF on the user space driver and in no pod. */
  let before: { readonly host: Snapshot; readonly vf: Record<string, unknown> }

  beforeAll(async () => {
    nic = await setUp()
    lab = nic.lab
    runtime = testRuntime(lab)
    await lab.must(`modprobe ${nic.user}; ip link set ${nic.pf} mtu 2000`)
    await bind(nic.user)
    pod = await newPod(lab, POD)
    before = { host: await snapshot(lab), vf: await vfInfo() }
  })

  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail')
      await runtime.call('DEL', listOf(), { type: 'vf-attach' }, attachment(pod))
    if ((await driver()) !== nic.user) await bind(nic.user)
  })

  // Of a machine of its own nothing is used again.
  afterAll(async () => {
    if (user === 'uio_pci_generic') await deletePod(lab, POD)
    await nic.remove()
  })

  const bind = (name: string): Promise<void> => bindTo(nic, name)
  const vfInfo = (): Promise<Record<string, unknown>> => vfInfoOf(nic)

  async function driver(): Promise<string> {
    return (await lab.must(`basename "$(readlink /sys/bus/pci/devices/${nic.vf}/driver)"`)).trim()
  }

  /** Names of the VF's interfaces on the host. */
  async function netdevs(): Promise<string[]> {
    const list = await lab.must(`ls /sys/bus/pci/devices/${nic.vf}/net 2>/dev/null || true`)
    return list.split('\n').filter((name) => name !== '')
  }

  async function expectUnchanged(): Promise<void> {
    expect(diffSnapshot(before.host, await snapshot(lab))).toEqual([])
    expect(await vfInfo()).toEqual(before.vf)
  }

  const shown = {
    address: WISHES.mac,
    vlan_list: [expect.objectContaining({ vlan: 9, qos: 3 })],
    spoofchk: false,
    trust: true,
    rate: { max_tx: 200, min_tx: 0 },
  }

  test('has its PF side set and restored; the result says what the kernel has no interface for', async () => {
    const list = listOf(attachConfig(nic.vf, { ...WISHES, ipam }))
    const result = await runtime.add(list, attachment(pod))
    expect(result.interfaces).toEqual([
      { name: 'net1', mac: WISHES.mac, mtu: 2000, sandbox: pod, pciID: nic.vf },
    ])
    expect(result.ips).toEqual([
      { address: '10.1.0.5/24', gateway: '10.1.0.254', interface: 0 },
      { address: 'fd00:1::5/64', gateway: 'fd00:1::fe', interface: 0 },
    ])
    expect(await vfInfo()).toMatchObject(shown)
    expect((await json(lab, `ip -n ${POD} -j link`)).map(({ ifname }) => ifname)).toEqual(['lo'])
    expect([await driver(), await netdevs()]).toEqual([nic.user, []])
    await runtime.check(list, attachment(pod), result)

    await lab.must(`ip link set ${nic.pf} vf 0 trust off vlan 8`)
    const [plugin] = list.plugins as [PluginConfig]
    const failed = errorOf(await runtime.call('CHECK', list, plugin, attachment(pod), { prevResult: result }))
    expect(failed.code).toBe(104)
    expect(failed.msg).toContain('has trust false, not true')
    expect(failed.msg).toMatch(/has vlan .*"id":8/)

    for (let time = 0; time < 2; time++) await runtime.del(list, attachment(pod), result)
    await expectUnchanged()
  })

  // igbvf, which takes a MAC from its PF when it starts, shows more than the simulated driver.
  if (user !== 'uio_pci_generic') {
    test('since ADD has its PF side restored by DEL, and stays where it is', async () => {
      await bind(nic.kernel)
      const before = await vfInfo()
      const list = listOf(attachConfig(nic.vf, WISHES))
      await runtime.add(list, attachment(pod))
      expect(await json(lab, `ip -n ${POD} -j link show dev net1`)).toHaveLength(1)
      await bind(nic.user)
      await runtime.del(list, attachment(pod))
      expect(await driver()).toBe(nic.user)
      const { address, ...others } = before
      const { address: now, ...left } = await vfInfo()
      expect(left).toEqual(others)
      expect([address, '00:00:00:00:00:00']).toContain(now)
    })

    test('at ADD and not at DEL keeps its new interface on the host', async () => {
      const before = await vfInfo()
      const list = listOf(attachConfig(nic.vf, WISHES))
      const [plugin] = list.plugins as [PluginConfig]
      const result = await runtime.add(list, attachment(pod))
      await bind(nic.kernel)
      const [name = 'none'] = await netdevs()
      const failed = errorOf(
        await runtime.call('CHECK', list, plugin, attachment(pod), { prevResult: result }),
      )
      expect(failed).toMatchObject({
        code: 104,
        msg: expect.stringContaining(`is bound to ${nic.kernel}, not to ${nic.user}`),
      })
      await runtime.del(list, attachment(pod))
      expect(await netdevs()).toEqual([name])
      const { address: _, ...left } = await vfInfo()
      const { address, ...others } = before
      expect(left).toEqual(others)
      await bind(nic.user)
      expect((await vfInfo()).address).toBe(address)
    })
    return
  }

  test('without wishes keeps what an operator has set, and the result has that MAC', async () => {
    await lab.must(`ip link set ${nic.pf} vf 0 mac 02:00:00:00:00:62 trust on`)
    const set = await vfInfo()
    const list = listOf(attachConfig(nic.vf))
    const result = await runtime.add(list, attachment(pod))
    expect(result.interfaces).toEqual([
      { name: 'net1', mac: '02:00:00:00:00:62', mtu: 2000, sandbox: pod, pciID: nic.vf },
    ])
    expect(result.ips).toBeUndefined()
    await runtime.check(list, attachment(pod), result)
    await runtime.del(list, attachment(pod), result)
    expect(await vfInfo()).toEqual(set)
    await lab.must(`ip link set ${nic.pf} vf 0 mac ${before.vf.address} trust off`)
    expect(await vfInfo()).toEqual(before.vf)
  })

  test('belongs to its pod until DEL, also when the namespace is gone', async () => {
    const list = listOf(attachConfig(nic.vf, WISHES))
    const [plugin] = list.plugins as [PluginConfig]
    await runtime.add(list, attachment(pod))
    const other = attachment(pod, { containerID: 'pod-two', ifname: 'net2' })
    expect(errorOf(await runtime.call('ADD', list, plugin, other))).toMatchObject({
      code: 11,
      msg: expect.stringContaining('container "pod-one"'),
    })
    await runtime.del(list, other)
    expect(await vfInfo()).toMatchObject(shown)
    await deletePod(lab, POD)
    await runtime.del(list, attachment(''))
    await newPod(lab, POD)
    expect(await vfInfo()).toEqual(before.vf)
  })

  test('has no MTU to set, and leaves nothing behind when its PF refuses or IPAM fails', async () => {
    const broken = { type: 'static', addresses: [{ address: 'bogus' }] }
    for (const [wish, code, words] of [
      [{ mtu: 1400 }, 7, `bound to ${nic.user}`],
      [{ ...WISHES, max_tx_rate: 4_000_000_000 }, 102, 'max_tx_rate'],
      [{ ...WISHES, ipam: broken }, undefined, 'IPAM plugin "static"'],
    ] as const) {
      const plugin = attachConfig(nic.vf, wish)
      const error = errorOf(await runtime.call('ADD', listOf(plugin), plugin, attachment(pod)))
      expect(error.msg).toContain(words)
      if (code !== undefined) expect(error.code).toBe(code)
      expect(await vfInfo()).toEqual(before.vf)
    }
    await expectUnchanged()
  })

  // The last one: the card stays in that mode.
  test('has its representor attached all the same in switchdev mode', async () => {
    if (nic.card === undefined) throw new TypeError('no card of simnic')
    await setMode(lab, nic.card, 'switchdev')
    await lab.must(`ip link add br-vf address 02:00:00:00:00:b0 type bridge vlan_filtering 1
      echo 1 >/proc/sys/net/ipv6/conf/br-vf/disable_ipv6; ip link set br-vf up`)
    try {
      const before = await snapshot(lab)
      const rep = `${nic.pf}rep0`
      const list = listOf(attachConfig(nic.vf, { mac: WISHES.mac, bridge: 'br-vf', vlan: 10 }))
      const result = await runtime.add(list, attachment(pod))
      expect(result.interfaces?.map(({ name }) => name)).toEqual(['net1', rep])
      const [link] = await json(lab, `ip -j link show dev ${rep}`)
      expect(link).toMatchObject({ master: 'br-vf', mtu: 1500 })
      expect(await lab.must(`bridge vlan show dev ${rep}`)).toMatch(/ 10 PVID Egress Untagged/)
      await runtime.check(list, attachment(pod), result)
      await runtime.del(list, attachment(pod))
      const lines = diffSnapshot(before, await snapshot(lab))
      expect(lines.filter((line) => !isCarrierOf('br-vf', line))).toEqual([])
    } finally {
      await lab.must('ip link del br-vf')
    }
  })
})
