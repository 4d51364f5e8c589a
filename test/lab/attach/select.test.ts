// A config means the device that it would mean to sriov-cni and host-device, NICs that are no VFs among them: physical
// functions and virtio. Real drivers, and the executable called by all its names. test/native/attach/select.test.ts has
// software interfaces.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { staticIpam } from '../../../hack/lab/bed/plugins.ts'
import { CLIENT_A, isReachable } from '../../../hack/lab/bed/topology.ts'
import type { PluginConfig } from '../../../hack/lab/cni-runtime.ts'
import { type Bed, makeBed } from '../../support/attach-bed.ts'
import { localIpam } from '../../support/attach-calls.ts'

let bed: Bed
let folder: string

beforeAll(async () => {
  bed = await makeBed(3, ['pod-one', 'pod-two'])
  folder = (await bed.lab.must(`readlink -f /sys/class/net/${bed.vf().netdev}/device`)).trim()
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

/** A config that names the device with these keys only. */
function by(selectors: Record<string, unknown>, more: Record<string, unknown> = {}): PluginConfig {
  return { type: 'vf-attach', ...selectors, ...more }
}

test('each way of naming a VF, and several that agree, give that VF to the pod', async () => {
  const { netdev, pci, mac } = bed.vf()
  await bed.lab.must(`ip link property add dev ${netdev} altname enp1s0v0-by-alt`)
  const ways: Record<string, unknown>[] = [
    { device: 'enp1s0v0-by-alt' },
    { hwaddr: mac.toUpperCase().replaceAll(':', '-') },
    { kernelpath: `${folder}/../${pci}/` },
    { pciBusID: pci.toUpperCase() },
    { runtimeConfig: { deviceID: pci } },
    { DeviceID: pci, pciBusID: pci, device: netdev, hwaddr: mac, kernelpath: folder },
  ]
  for (const way of ways) {
    const result = await bed.add(by(way), 'pod-one')
    expect(result.interfaces, JSON.stringify(way)).toMatchObject([{ name: 'net1', mac, pciID: pci }])
    await bed.del(by(way), 'pod-one')
  }
  expect(await bed.link(null, netdev)).toMatchObject({ altnames: ['enp1s0v0-by-alt'] })
  await bed.lab.must(`ip link property del dev ${netdev} altname enp1s0v0-by-alt`)
  await bed.expectUnchanged()
})

test('hwaddr is the present MAC, and means the NIC where a VLAN above has the same', async () => {
  const { netdev, pci, mac } = bed.vf()
  const hwaddr = '02:00:00:00:07:01'
  await bed.lab.must(
    `ip link set dev ${netdev} address ${hwaddr}; ip link add link ${netdev} name above type vlan id 5`,
  )
  // The NIC it is that the node needs for the VLAN.
  expect(await bed.refused('ADD', by({ hwaddr }), 'pod-one')).toMatchObject({
    code: 7,
    msg: expect.stringContaining(`the node lives by "${netdev}": "above" lies on it`),
  })
  await bed.lab.must('ip link del above')
  const result = await bed.add(by({ hwaddr }), 'pod-one')
  expect(result.interfaces).toMatchObject([{ mac: hwaddr, pciID: pci }])
  await bed.del(by({ hwaddr }), 'pod-one')
  expect(await bed.link(null, netdev)).toMatchObject({ address: hwaddr })
  await bed.lab.must(`ip link set dev ${netdev} address ${mac}`)
  await bed.expectUnchanged()
})

// Selectors that the config alone shows to be wrong: test/attach/config/config.test.ts.
test('a selector that means no VF, or another one than the rest, is refused with code 7', async () => {
  const [one, two] = [bed.vf(0), bed.vf(1)]
  const wrong: [Record<string, unknown>, string][] = [
    [{ deviceID: one.pci, device: two.netdev }, `deviceID means ${one.pci}, device means ${two.pci}`],
    [{ hwaddr: two.mac, kernelpath: folder }, `hwaddr means ${two.pci}, kernelpath means ${one.pci}`],
    [{ kernelpath: `${folder}/../..` }, 'kernelpath'],
    [{ pf: bed.topology.pf, deviceID: one.pci }, 'must stand alone'],
    [{ pf: one.netdev }, 'it has no virtual functions'],
  ]
  for (const [selectors, words] of wrong) {
    const error = await bed.refused('ADD', by(selectors), 'pod-one')
    expect(error, JSON.stringify(selectors)).toMatchObject({ code: 7, msg: expect.stringContaining(words) })
  }
  await bed.expectUnchanged()
})

test('a device that is attached is refused with code 11 and its owner, by whatever name it is asked for', async () => {
  const { netdev, pci, mac } = bed.vf()
  await bed.add(by({ device: netdev }), 'pod-one')
  const ways = [{ device: netdev }, { hwaddr: mac }, { deviceID: pci }, { kernelpath: folder }]
  for (const way of ways) {
    const error = await bed.refused('ADD', by(way), 'pod-two')
    expect(error, JSON.stringify(way)).toMatchObject({ code: 11, msg: expect.stringContaining('"pod-one"') })
  }
  await bed.del(by({ device: netdev }), 'pod-one')
  await bed.expectUnchanged()
})

test('pf takes the first free VF: no VF with an address, in a bridge or in a pod; code 11 when none is left', async () => {
  const [one, two, three] = [bed.vf(0), bed.vf(1), bed.vf(2)]
  const { pf, pfPci } = bed.topology
  const first = await bed.add(by({ pf }), 'pod-one')
  const second = await bed.add(by({ pf: pfPci }), 'pod-two')
  expect([first, second].map(({ interfaces }) => interfaces?.[0]?.pciID)).toEqual([one.pci, two.pci])
  for (const pod of ['pod-one', 'pod-two']) await bed.del(by({ pf }), pod)

  await bed.lab.must(`ip link add busy type bridge; ip link set ${one.netdev} master busy
    ip address add 192.0.2.1/24 dev ${two.netdev}`)
  const left = await bed.add(by({ pf }), 'pod-one')
  expect(left.interfaces?.[0]?.pciID).toBe(three.pci)
  const none = await bed.refused('ADD', by({ pf }), 'pod-two')
  expect(none).toMatchObject({
    code: 11,
    msg: expect.stringContaining('none of its 3 virtual functions is free'),
  })
  await bed.del(by({ pf }), 'pod-one')
  expect(await bed.link(null, one.netdev)).toMatchObject({ master: 'busy' })
  await bed.lab.must(`ip link del busy; ip address del 192.0.2.1/24 dev ${two.netdev}`)
  await bed.expectUnchanged()
})

describe('under the names of others', () => {
  test('a config of sriov-cni gives its result by the name sriov, and bytes arrive at the MAC that it asks for', async () => {
    const mac = '02:00:00:00:07:04'
    const config = {
      type: 'sriov',
      deviceID: bed.vf().pci,
      mac,
      spoofchk: 'on',
      trust: 'off',
      ipam: staticIpam('10.1.0.5/24'),
    }
    // Before 1.1.0 an interface had these members and no others; sriov-cni prints mtu in 1.0.0 too.
    const old = await bed.add(config, 'pod-one', { cniVersion: '0.4.0' })
    expect(old.interfaces).toEqual([{ name: 'net1', mac, sandbox: '/run/netns/pod-one' }])
    await bed.del(config, 'pod-one', { cniVersion: '0.4.0' })
    const result = await bed.add(config, 'pod-one')
    expect(result.interfaces).toMatchObject([{ name: 'net1', mac, mtu: 1500, sandbox: '/run/netns/pod-one' }])
    expect(result.ips).toEqual([{ address: '10.1.0.5/24', gateway: '10.1.0.254', interface: 0 }])
    await isReachable(bed.lab, CLIENT_A.namespace, ['10.1.0.5'])
    const neighbour = await bed.lab.must(`ip -n ${CLIENT_A.namespace} neigh show 10.1.0.5`)
    expect(neighbour).toContain(mac)
    await bed.del(config, 'pod-one')
    await bed.expectUnchanged()
  })
})

test('a physical function, by its permanent MAC, and a virtio NIC reach each other over the wire', async () => {
  const { pf, pfMac, pfPci, wire } = bed.topology
  await bed.end()
  await bed.lab.must(
    `ip netns add pod-one; ip netns add pod-two; ip link set dev ${pf} address 02:00:00:00:07:05`,
  )
  await bed.remember()
  const of = (selector: Record<string, unknown>) => by(selector, { type: 'host-device', ipam: localIpam() })
  const [atPf, atWire] = [of({ hwaddr: pfMac }), of({ device: wire })]
  const [one, two] = [await bed.add(atPf, 'pod-one'), await bed.add(atWire, 'pod-two')]
  expect(one.interfaces).toMatchObject([{ mac: '02:00:00:00:07:05', pciID: pfPci }])
  await isReachable(bed.lab, 'pod-one', [(two.ips?.[0]?.address ?? '').replace('/24', '')])
  await bed.del(atPf, 'pod-one')
  await bed.del(atWire, 'pod-two')
  await bed.expectUnchanged()
  await bed.lab.must(`ip netns del pod-one; ip netns del pod-two; ip link set dev ${pf} address ${pfMac}`)
})
