// Frames of a DPDK program whose pod is gone: igb with vfio-pci in a machine of its own, which has an IOMMU. It downloads
// DPDK: part of `npm run test:soak` alone. test/lab/attach/open.test.ts has all but the frames.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
import { attachConfig } from '../../../hack/lab/bed/plugins.ts'
import { loadIgb, newPod } from '../../../hack/lab/bed/topology.ts'
import { type AttachCalls, attachCalls } from '../../support/attach-calls.ts'
import { startTestpmd } from '../../support/dpdk.ts'
import { bindTo, emulated, type Nic, vfInfo } from '../../support/userspace-bed.ts'

const [A, C] = ['02:00:00:00:00:a1', '02:00:00:00:00:c1']

let nic: Nic
let wire: string
let calls: AttachCalls
let before: Record<string, unknown>

beforeAll(async () => {
  nic = await emulated()
  const { lab } = nic
  calls = await attachCalls(lab)
  wire = (await loadIgb(lab)).wire
  await lab.must('modprobe vfio-pci; modprobe 8021q')
  await bindTo(nic, nic.user)
  for (const pod of ['pod-a', 'pod-c']) await newPod(lab, pod)
  // No frames but ours; neighbours that are known without a question.
  await lab.must(`
    ip link add link ${wire} name wire.100 type vlan id 100
    ip link add link ${wire} name wire.200 type vlan id 200
    for file in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >$file; done
    ip link set wire.100 up; ip link set wire.200 up
    ip address add 10.9.0.1/24 dev ${wire}; ip address add 10.9.1.1/24 dev wire.100; ip address add 10.9.2.1/24 dev wire.200
    ip neigh add 10.9.0.11 lladdr ${A} dev ${wire}
    ip neigh add 10.9.1.11 lladdr ${A} dev wire.100
    ip neigh add 10.9.2.12 lladdr ${C} dev wire.200`)
  before = await vfInfo(nic)
})
// A machine of its own is not used again.
afterAll(() => nic?.remove())

/** Sends that many echo requests, which nobody answers. */
async function ping(address: string, count: number): Promise<void> {
  await nic.lab.sh(`ping -q -c ${count} -l ${count} -W 1 ${address}`)
}

test('a program that outlives its pod stays in the VLAN of its pod, and no other pod gets its VF', {
  timeout: 600_000,
}, async () => {
  const { lab, vf } = nic
  const inA = attachConfig(vf, { vlan: 100, mac: A })
  const inC = attachConfig(vf, { vlan: 200, mac: C })
  await calls.add(inA, 'pod-a')
  const program = await startTestpmd(lab, 'pod-a', vf)
  const seen = await capture(lab, null, wire, 'udp port 9 or (vlan and udp port 9)')
  /** VLANs of the frames of that length on the wire. */
  const vlansOf = async (length: number): Promise<(number | null)[]> => {
    await program.send(length)
    const { tx } = await program.counted()
    expect(tx).toBe(4)
    const sent = () => seen.frames().filter(({ text }) => text.includes(`UDP, length ${length - 42}`))
    await expect.poll(sent, { timeout: 30_000 }).toHaveLength(4)
    return sent().map(({ vlan }) => vlan)
  }
  /** Of 3 frames to its MAC in its VLAN, 5 untagged and 7 to the other pod's in that one's: how many it has received. */
  const received = async (): Promise<number> => {
    await program.tell('set fwd rxonly', 'start')
    await ping('10.9.1.11', 3)
    await ping('10.9.0.11', 5)
    await ping('10.9.2.12', 7)
    return (await program.counted()).rx
  }
  expect([await vlansOf(64), await received()]).toEqual([[100, 100, 100, 100], 3])

  const { code, stderr } = await calls.call('DEL', inA, 'pod-a')
  expect([code, stderr]).toEqual([0, expect.stringContaining('(dpdk-testpmd) has it open')])
  expect([await vlansOf(66), await received()]).toEqual([[100, 100, 100, 100], 3])
  const refused = await calls.refused('ADD', inC, 'pod-c')
  expect(refused).toMatchObject({ code: 11, msg: expect.stringContaining('(dpdk-testpmd) has it open') })
  expect([await vlansOf(68), await received()]).toEqual([[100, 100, 100, 100], 3])
  await seen.stop()

  await program.end()
  await calls.add(inC, 'pod-c')
  expect(await vfInfo(nic)).toMatchObject({ address: C, vlan_list: [expect.objectContaining({ vlan: 200 })] })
  const next = await startTestpmd(lab, 'pod-c', vf)
  await next.tell('set fwd rxonly', 'start')
  await ping('10.9.2.12', 7)
  expect((await next.counted()).rx).toBe(7)
  await next.end()
  await calls.del(inC, 'pod-c')
  expect(await vfInfo(nic)).toEqual(before)
})
