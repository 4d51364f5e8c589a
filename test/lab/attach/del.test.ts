// DEL brings a VF home from every state in which a pod, an operator, a driver or a crash may have left it. On igb VFs; the
// judge is the host's snapshot from before ADD. What any interface can show is in test/native/attach/del.test.ts and
// test/native/attach/records.test.ts.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { CLIENT_A, isReachable, linkIsReady } from '../../../hack/lab/bed/topology.ts'
import { type Bed, makeBed, onVf, spareNameOf } from '../../support/attach-bed.ts'
import { addressOf, localIpam } from '../../support/attach-calls.ts'

/** Every kind of change that igb can: PF side, MAC, MTU, and an address of host-local. */
const wishes = { mac: '02:00:00:00:08:01', vlan: 9, trust: 'on', mtu: 1400 }

let bed: Bed
const full = (index = 0) => onVf(bed.vf(index), { ...wishes, ipam: localIpam() })

beforeAll(async () => {
  bed = await makeBed(2, ['pod-one', 'pod-two'])
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

/** The pod's namespace with whatever the pod made in it goes, and comes back empty. */
async function freshPod(pod = 'pod-one'): Promise<void> {
  await bed.podDies(pod)
  await bed.podIsBack(pod)
}

describe('what a pod did to its interface', () => {
  test.each([
    [
      'made it part of a bond, which gives it another MAC',
      `modprobe bonding; ip -n pod-one link add bond0 address 02:00:00:00:08:77 type bond mode active-backup fail_over_mac none
       ip -n pod-one link set net1 down; ip -n pod-one link set net1 master bond0; ip -n pod-one link set bond0 up`,
    ],
    [
      'put a VLAN and a macvlan above it',
      `ip -n pod-one link add link net1 name net1.5 up type vlan id 5
       ip -n pod-one link add link net1 name mv0 up type macvlan mode bridge`,
    ],
  ])('it %s', async (_, script) => {
    await bed.add(full(), 'pod-one')
    await bed.lab.must(script)
    await bed.del(full(), 'pod-one')
    await freshPod()
    // A macvlan had the kernel hear all unicast for it, which is taken back when the interface next goes up.
    const { netdev } = bed.vf()
    await bed.lab.must(`until ip -d -j link show dev ${netdev} | grep -q '"promiscuity":0'; do
      ip link set ${netdev} up; ip link set ${netdev} down; done`)
    await bed.expectUnchanged()
  })
})

describe('calls that come twice, too late or without a namespace', () => {
  test("DEL succeeds when the namespace is gone and the host has an interface of the pod's name", async () => {
    await bed.lab.must('ip link add net1 type dummy')
    const stranger = await bed.link(null, 'net1')
    await bed.add(full(), 'pod-one')
    await bed.podDies('pod-one')
    await bed.del(full(), 'pod-one')
    await bed.podIsBack('pod-one')
    expect(await bed.link(null, 'net1')).toEqual(stranger)
    await bed.lab.must('ip link del net1')
    await bed.expectUnchanged()
  })
})

describe('what happened on the host meanwhile', () => {
  test('DEL restores a VF whose PF has another name by now', async () => {
    const { pf } = bed.topology
    await bed.add(full(), 'pod-one')
    await bed.lab.must(`ip link set ${pf} name pf-renamed`)
    try {
      await bed.del(full(), 'pod-one')
    } finally {
      await bed.lab.must(`ip link set pf-renamed name ${pf}`)
    }
    await bed.expectUnchanged()
  })

  test('DEL restores a VF whose driver was bound anew', async () => {
    await bed.add(full(), 'pod-one')
    const { pci } = bed.vf()
    await bed.lab.must(`cd /sys/bus/pci/drivers/igbvf; echo ${pci} >unbind; echo ${pci} >bind
      until ls /sys/bus/pci/devices/${pci}/net/* >/dev/null 2>&1; do sleep 0.1; done`)
    await bed.del(full(), 'pod-one')
    await bed.expectUnchanged()
  })

  test('DEL brings the VF of a record that was cut off home under a spare name and puts the file aside, which GC keeps', async () => {
    // Nothing on the PF's side: what a broken record knows of that is lost.
    const plain = onVf(bed.vf(), { ipam: localIpam() })
    await bed.add(plain, 'pod-one')
    const record = await bed.recordOf('pod-one')
    await bed.lab.must(`truncate -s 100 '${record}'`)
    const broken = await bed.refused('ADD', plain, 'pod-two')
    expect(broken).toMatchObject({ code: 11, msg: expect.stringContaining('it is not JSON') })
    const nothingValid = { cniVersion: '1.1.0', config: { 'cni.dev/valid-attachments': [] } }
    const kept = await bed.call('GC', { type: 'vf-attach' }, 'pod-two', nothingValid)
    expect(kept).toMatchObject({ code: 0, stdout: '' })
    expect(kept.stderr).toContain(`Cannot read record "${record}": it is not JSON; it is kept`)
    expect(await bed.link('pod-one', 'net1')).toMatchObject({ parentdev: bed.vf().pci })
    // Without the pod's path it can't be brought home: the record stays, and nothing is reported as done.
    const unreached = await bed.refused('DEL', plain, 'pod-one', { netns: '' })
    expect(unreached).toMatchObject({
      code: 103,
      msg: expect.stringContaining('in a pod that this DEL does not name'),
    })
    expect(await bed.recordOf('pod-one')).toBe(record)
    const result = await bed.call('DEL', plain, 'pod-one')
    expect(result).toMatchObject({ code: 0, stdout: '' })
    expect(result.stderr).toContain(`${record}.broken`)
    const spare = spareNameOf(bed.vf())
    expect(await bed.link(null, spare)).toMatchObject({ address: bed.vf().mac })
    await bed.lab.must(`rm '${record}.broken'; ip link set ${spare} name ${bed.vf().netdev}`)
    await bed.expectUnchanged()
  })

  test('DEL of a VF that was given to another pod and the DEL of that pod do not touch each other', async () => {
    await bed.add(full(), 'pod-one')
    await bed.podDies('pod-one')
    const newer = onVf(bed.vf(), { mac: '02:00:00:00:08:02', vlan: 10, ipam: localIpam() })
    const result = await bed.add(newer, 'pod-two')
    const info = await bed.vfInfo(bed.vf().index)
    expect(info).toMatchObject({ trust: false, vlan_list: [{ vlan: 10 }] })
    for (const netns of ['', '/run/netns/pod-one', '/run/netns/pod-two']) {
      await bed.del(full(), 'pod-one', { netns })
    }
    expect(await bed.vfInfo(bed.vf().index)).toEqual(info)
    expect(await bed.call('CHECK', newer, 'pod-two', { prevResult: result })).toMatchObject({ code: 0 })
    await bed.del(newer, 'pod-two')
    await bed.podIsBack('pod-one')
    await bed.expectUnchanged()
  })

  // The last one: the VFs that it leaves are new ones.
  test('a VF that comes later with the address of one that is gone works for the next pod', async () => {
    const later = bed.vf(1)
    const plain = onVf(later, { ipam: localIpam() })
    await bed.add(full(), 'pod-one')
    await bed.add(full(1), 'pod-two')
    await bed.setVfs(0)
    await bed.del(full(), 'pod-one')
    await bed.setVfs(2)
    await bed.del(full(1), 'pod-two')
    for (const index of [0, 1])
      expect(JSON.stringify((await bed.vfInfo(index)).vlan_list)).not.toContain('vlan')
    const address = addressOf(await bed.add(plain, 'pod-two'))
    await linkIsReady(bed.lab, 'pod-two')
    await isReachable(bed.lab, CLIENT_A.namespace, [address])
    await bed.del(plain, 'pod-two')
    await bed.lab.must(`[ -e /sys/bus/pci/devices/${later.pci}/net/${later.netdev} ]`)
    expect(
      await bed.lab.must('ls /var/lib/cni/vf-flower/attach /var/lib/cni/networks/lab-net'),
    ).not.toContain('pod-')
  })
})
