// Which device a config means, in every way in which sriov-cni and host-device are told, and what becomes of NICs that
// are no VFs: physical functions, virtio, veth, dummy. On real drivers; the executable called by all its names.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { PluginConfig } from '../../hack/lab/cni-runtime.ts'
import { type Bed, localIpam, makeBed } from '../support/attach-bed.ts'
import { staticIpam } from '../support/plugins.ts'
import { CLIENT_A, isReachable, linkIsReady } from '../support/topology.ts'

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
  await bed.remember()
  const ways: Record<string, unknown>[] = [
    { device: netdev },
    { device: 'enp1s0v0-by-alt' },
    { hwaddr: mac.toUpperCase().replaceAll(':', '-') },
    { kernelpath: folder },
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
  await bed.expectUnchanged()
  await bed.lab.must(`ip link property del dev ${netdev} altname enp1s0v0-by-alt`)
  await bed.remember()
})

test('hwaddr is the present MAC, and means the NIC where a VLAN above has the same', async () => {
  const { netdev, pci, mac } = bed.vf()
  const hwaddr = '02:00:00:00:07:01'
  await bed.lab.must(`ip link set dev ${netdev} address ${hwaddr}`)
  await bed.remember()
  await bed.lab.must(`ip link add link ${netdev} name above type vlan id 5`)
  const result = await bed.add(by({ hwaddr }), 'pod-one')
  expect(result.interfaces).toMatchObject([{ mac: hwaddr, pciID: pci }])
  expect(await bed.link(null, 'above')).toMatchObject({ address: hwaddr })
  await bed.del(by({ hwaddr }), 'pod-one')
  await bed.lab.must('ip link del above')
  await bed.expectUnchanged()
  await bed.lab.must(`ip link set dev ${netdev} address ${mac}`)
  await bed.remember()
})

test('a selector that means nothing, several things, or another device than the rest: code 7, nothing happens', async () => {
  const [one, two] = [bed.vf(0), bed.vf(1)]
  await bed.lab.must(`ip link add twin0 address 02:00:00:00:07:02 type dummy
    ip link add twin1 address 02:00:00:00:07:02 type dummy`)
  await bed.remember()
  const wrong: [Record<string, unknown>, string][] = [
    [{ deviceID: one.pci, device: two.netdev }, `deviceID means ${one.pci}, device means ${two.pci}`],
    [{ pciBusID: one.pci, runtimeConfig: { deviceID: two.pci } }, 'must be the same'],
    [{ hwaddr: two.mac, kernelpath: folder }, `hwaddr means ${two.pci}, kernelpath means ${one.pci}`],
    [{ hwaddr: '02:00:00:00:07:02' }, 'it means several interfaces: twin0, twin1'],
    [{ hwaddr: '02:00:00:00:07:03' }, 'no interface of the host is that'],
    [{ hwaddr: 'first' }, 'hwaddr "first": must be a MAC address'],
    [{ device: 'eth99' }, 'device "eth99"'],
    [{ device: '../eth0' }, 'device "../eth0": must be'],
    [{ kernelpath: `/sys/class/net/${one.netdev}/device` }, 'must be an absolute path below /sys/devices/'],
    [{ kernelpath: `/sys/devices/../class/net/${one.netdev}` }, 'kernelpath'],
    [{ kernelpath: '/sys/devices/../../etc' }, 'kernelpath "/sys/devices/../../etc"'],
    [{ kernelpath: `${folder}/../..` }, 'kernelpath'],
    [{ deviceID: `../devices/${one.pci}` }, 'deviceID'],
    [{ pciBusID: 'mlx5_core.sf.1' }, 'pciBusID "mlx5_core.sf.1"'],
    [{ deviceID: 'mlx5_core.sf.1' }, 'no such device on the auxiliary bus'],
    [{ pf: bed.topology.pf, deviceID: one.pci }, 'must stand alone'],
    [{ pf: one.netdev }, 'it has no virtual functions'],
    [{ pf: 'lo' }, 'no physical function of that name'],
    [{}, 'one of deviceID, pciBusID'],
  ]
  for (const [selectors, words] of wrong) {
    const error = await bed.refused('ADD', by(selectors), 'pod-one')
    expect(error, JSON.stringify(selectors)).toMatchObject({ code: 7, msg: expect.stringContaining(words) })
  }
  await bed.expectUnchanged()
  await bed.lab.must('ip link del twin0; ip link del twin1')
  await bed.remember()
})

test('a device that is attached: code 11 with its owner, by whatever name it is asked for', async () => {
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
  await bed.expectUnchanged()

  await bed.lab.must(`ip link add busy type bridge; ip link set ${one.netdev} master busy
    ip address add 192.0.2.1/24 dev ${two.netdev}`)
  await bed.remember()
  const left = await bed.add(by({ pf }), 'pod-one')
  expect(left.interfaces?.[0]?.pciID).toBe(three.pci)
  const none = await bed.refused('ADD', by({ pf }), 'pod-two')
  expect(none).toMatchObject({
    code: 11,
    msg: expect.stringContaining('none of its 3 virtual functions is free'),
  })
  await bed.del(by({ pf }), 'pod-one')
  await bed.expectUnchanged()
  await bed.lab.must(`ip link del busy; ip address del 192.0.2.1/24 dev ${two.netdev}`)
  await bed.remember()
})

describe('under the names of others', () => {
  test('sriov: a config of sriov-cni gives its result, and bytes arrive at the MAC that it asks for', async () => {
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
    await linkIsReady(bed.lab, 'pod-one')
    await isReachable(bed.lab, CLIENT_A.namespace, ['10.1.0.5'])
    const neighbour = await bed.lab.must(`ip -n ${CLIENT_A.namespace} neigh show 10.1.0.5`)
    expect(neighbour).toContain(mac)
    await bed.del(config, 'pod-one')
    await bed.expectUnchanged()
  })

  test('host-device: a veth with what the pod did to it; everything is as before after DEL', async () => {
    await bed.lab.must(`ip link add hd0 txqlen 500 alias 'of the operator' type veth peer name hd1
      ip link property add dev hd0 altname hd0-other
      ip address add 10.77.0.1/24 dev hd1; ip link set hd1 up; ip link set hd0 up promisc on
      until ip -6 address show dev hd1 scope link -tentative | grep -q inet6; do sleep 0.1; done
      until ip -6 address show dev hd0 scope link -tentative | grep -q inet6; do sleep 0.1; done`)
    await bed.remember()
    const config = by({ device: 'hd0' }, { type: 'host-device', ipam: localIpam('host-local', '10.77.0') })
    const result = await bed.add(config, 'pod-one', { cniVersion: '0.4.0' })
    expect(result.interfaces).toEqual([
      { name: 'net1', mac: expect.stringMatching(/^[0-9a-f:]{17}$/), sandbox: '/run/netns/pod-one' },
    ])
    expect(result.ips).toMatchObject([{ address: '10.77.0.100/24', interface: 0 }])
    await bed.lab.must('ip netns exec pod-one ping -c 1 -W 10 10.77.0.1')
    await bed.lab.must(`ip -n pod-one link set net1 alias 'of the pod' promisc off allmulticast on txqlen 77 mtu 1280
      ip -n pod-one link property add dev net1 altname given-by-pod; ip -n pod-one link property del dev net1 altname hd0-other`)
    await bed.del(config, 'pod-one', { cniVersion: '0.4.0' })
    await bed.lab.must(
      'until ip -6 address show dev hd0 scope link -tentative | grep -q inet6; do sleep 0.1; done',
    )
    await bed.expectUnchanged()
    await bed.lab.must('ip link del hd0')
    await bed.remember()
  })

  test('host-device: a dummy that was a port of a bridge is one again', async () => {
    await bed.lab.must(`ip link add br-hd type bridge; ip link add hd0 master br-hd type dummy
      ip link set hd0 allmulticast on`)
    await bed.remember()
    const config = by({ device: 'hd0' }, { type: 'host-device', ipam: localIpam() })
    await bed.add(config, 'pod-one')
    expect(await bed.link('pod-one', 'net1')).not.toHaveProperty('master')
    await bed.del(config, 'pod-one')
    expect(await bed.link(null, 'hd0')).toMatchObject({ master: 'br-hd' })
    await bed.lab.must('ip link del hd0; ip link del br-hd')
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
  for (const pod of ['pod-one', 'pod-two']) await linkIsReady(bed.lab, pod)
  await isReachable(bed.lab, 'pod-one', [(two.ips?.[0]?.address ?? '').replace('/24', '')])
  await bed.del(atPf, 'pod-one')
  await bed.del(atWire, 'pod-two')
  await bed.expectUnchanged()
  await bed.lab.must(`ip netns del pod-one; ip netns del pod-two; ip link set dev ${pf} address ${pfMac}`)
})
