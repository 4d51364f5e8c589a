// DPDK programs on VFs that kubelet has given: igb with vfio-pci in a machine of its own, which has an IOMMU. Each program sees no other
// device file than those of Allocate's answer. It downloads DPDK: part of `npm run test:soak` alone. test/lab/device-plugin has all but
// the frames.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
import { type PluginNode, startPluginNode } from '../../../hack/lab/bed/device-plugin.ts'
import { attachConfig } from '../../../hack/lab/bed/plugins.ts'
import { deletePod, loadIgb, newPod } from '../../../hack/lab/bed/topology.ts'
import { type AttachCalls, attachCalls } from '../../support/attach-calls.ts'
import { startTestpmd, type Testpmd } from '../../support/dpdk.ts'
import { bindTo, emulated, type Nic, vfInfo } from '../../support/userspace-bed.ts'

const RESOURCE = 'example.org/dpdk'
const PODS = [
  { name: 'pod-a', mac: '02:00:00:00:00:a1', vlan: 100, address: '10.9.1.11', uid: 'uid-a' },
  { name: 'pod-c', mac: '02:00:00:00:00:c1', vlan: 200, address: '10.9.2.12', uid: 'uid-c' },
] as const

let nic: Nic
let wire: string
let calls: AttachCalls
let node: PluginNode
let vfs: readonly string[]
let before: readonly Record<string, unknown>[]

beforeAll(async () => {
  nic = await emulated(2)
  const { lab } = nic
  calls = await attachCalls(lab)
  wire = (await loadIgb(lab)).wire
  const links = await lab.must(`modprobe vfio-pci; modprobe 8021q; cd /sys/class/net/${nic.pf}/device
    for index in 0 1; do basename "$(readlink virtfn$index)"; done`)
  vfs = links.trim().split('\n')
  node = await startPluginNode(
    lab,
    [{ resourceName: 'dpdk', selectors: [{ pfNames: [nic.pf], drivers: ['vfio-pci'] }] }],
    ['--resource-prefix', 'example.org'],
  )
  await node.kubelet.wait(RESOURCE, { healthy: 0, connected: true })
  for (const pci of vfs) await bindTo(nic, nic.user, pci)
  await node.kubelet.wait(RESOURCE, { healthy: vfs })
  for (const { name } of PODS) await newPod(lab, name)
  // No frames but ours; neighbours that are known without a question.
  await lab.must(`
    for vlan in 100 200; do ip link add link ${wire} name wire.$vlan type vlan id $vlan; done
    for file in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >$file; done
    ip address add 10.9.1.1/24 dev wire.100; ip address add 10.9.2.1/24 dev wire.200
    for vlan in 100 200; do ip link set wire.$vlan up; done
    ip neigh add ${PODS[0].address} lladdr ${PODS[0].mac} dev wire.100
    ip neigh add ${PODS[1].address} lladdr ${PODS[1].mac} dev wire.200`)
  before = [await vfInfo(nic, 0), await vfInfo(nic, 1)]
})
// A machine of its own is not used again.
afterAll(() => nic?.remove())

test('two programs in two pods send and receive in their own VLANs alone, and their VFs come back', {
  timeout: 600_000,
}, async () => {
  const { lab } = nic
  const programs: { vf: string; testpmd: Testpmd }[] = []
  for (const { name, mac, vlan, uid } of PODS) {
    const { ids, response } = await node.kubelet.allocate(
      { uid, namespace: 'dpdk', name },
      'app',
      RESOURCE,
      1,
    )
    const [vf = ''] = ids
    expect(response.envs.PCIDEVICE_EXAMPLE_ORG_DPDK).toBe(vf)
    await calls.add(attachConfig(vf, { vlan, mac, spoofchk: 'on' }), name)
    expect(await vfInfo(nic, vfs.indexOf(vf))).toMatchObject({ spoofchk: true, address: mac })
    const testpmd = await startTestpmd(lab, name, vf, response.devices)
    const files = await lab.must(`nsenter -t ${testpmd.pid} -m find /dev/vfio -type c`)
    expect(files.trim().split('\n').sort()).toEqual(
      response.devices.map(({ container_path }) => container_path).sort(),
    )
    programs.push({ vf, testpmd })
  }
  const seen = await capture(lab, null, wire, 'udp port 9 or (vlan and udp port 9)')
  for (const [index, { testpmd }] of programs.entries()) {
    const length = 64 + 2 * index
    await testpmd.send(length)
    expect((await testpmd.counted()).tx).toBe(4)
    const sent = () => seen.frames().filter(({ text }) => text.includes(`UDP, length ${length - 42}`))
    await expect.poll(sent, { timeout: 30_000 }).toHaveLength(4)
    expect(sent().map(({ vlan }) => vlan)).toEqual(Array(4).fill(PODS[index]?.vlan))
  }
  await seen.stop()
  for (const { testpmd } of programs) await testpmd.tell('set fwd rxonly', 'start')
  for (const [index, { address }] of PODS.entries())
    await lab.sh(`ping -q -c ${3 + 2 * index} -l 9 -W 1 ${address}`)
  expect((await programs[0]?.testpmd.counted())?.rx).toBe(3)
  expect((await programs[1]?.testpmd.counted())?.rx).toBe(5)

  for (const [index, { vf, testpmd }] of programs.entries()) {
    const pod = PODS[index]
    if (pod === undefined) continue
    await testpmd.end()
    await calls.del(attachConfig(vf, { vlan: pod.vlan, mac: pod.mac, spoofchk: 'on' }), pod.name)
    await deletePod(lab, pod.name)
    await node.kubelet.endPod(pod.uid)
  }
  await node.kubelet.wait(RESOURCE, { healthy: vfs })
  expect([await vfInfo(nic, 0), await vfInfo(nic, 1)]).toEqual(before)
  await node.end()
})
