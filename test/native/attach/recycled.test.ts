// The cookie of a namespace tells the owner of a device, whatever is at the path now: another namespace with its very
// inode, the host's own, or a stranger's.
// needs: veth, bridge
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

let bed: NativeBed
const plain = (index = 0, more: Record<string, unknown> = {}) =>
  onNic(bed.nic(index), { ipam: localIpam(), ...more })

beforeAll(async () => {
  bed = await makeNativeBed(2, ['pod-one', 'pod-two'])
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

test('CHECK and DEL read a record of a former version, without cookie and numbers, and pass look-alikes by', async () => {
  const { netdev, mac } = bed.nic()
  const number = (await bed.lab.must(`cat /sys/class/net/${netdev}/ifindex`)).trim()
  await bed.lab.must(`ip -n pod-one link add eth0 index ${number} type veth peer name other`)
  const prevResult = await bed.add(plain(), 'pod-one')
  const path = await bed.recordOf('pod-one')
  const { owner, journal, ...rest } = JSON.parse(await bed.lab.readFile(path))
  const { netnsCookie: _, ...oldOwner } = owner
  const { podIfindex: __, lower: ___, ...device } = journal.device
  const old = { ...rest, owner: oldOwner, journal: { ...journal, device } }
  await bed.lab.writeFile(path, JSON.stringify(old), 0o600)
  expect(await bed.call('CHECK', plain(), 'pod-one', { config: { prevResult } })).toMatchObject({ code: 0 })
  await bed.del(plain(), 'pod-one')
  expect(await bed.link(null, netdev)).toMatchObject({ address: mac })
  expect(await bed.link('pod-one', 'eth0')).toMatchObject({ ifindex: Number(number) })
  await bed.lab.must('ip -n pod-one link del eth0')
  await bed.expectUnchanged()
})

/** Has the dead owner's namespace in the record get the inode of the one that is at its path now, as the kernel gives it. */
async function reuseInode(record: string): Promise<void> {
  await bed.podIsBack('pod-one')
  const id = (await bed.lab.must("stat -L -c '%d:%i' /run/netns/pod-one")).trim()
  await bed.lab.must(`sed -i 's/"netnsId": "[^"]*"/"netnsId": "${id}"/' '${record}'`)
}

test('a new namespace with path and inode of the dead one is not the owner: the next ADD gets the device', async () => {
  await bed.add(plain(), 'pod-one')
  const record = await bed.recordOf('pod-one')
  await bed.podDies('pod-one')
  await bed.nicIsBack()
  await reuseInode(record)
  await bed.lab.must('ip -n pod-one link add net1 type veth peer name other')
  const before = await bed.lab.must('ip -n pod-one -d -j link')
  // It was code 11: the dead container counted as alive.
  await bed.add(plain(), 'pod-two')
  await bed.del(plain(), 'pod-two')
  // A late DEL of the dead container touches nothing of the namespace that has its path now.
  await bed.del(plain(), 'pod-one')
  expect(await bed.lab.must('ip -n pod-one -d -j link')).toBe(before)
  await bed.podDies('pod-one')
  await bed.podIsBack('pod-one')
  await bed.expectUnchanged()
})

test('GC collects what belongs to a dead namespace whose inode is in use again', async () => {
  await bed.add(plain(), 'pod-one')
  const record = await bed.recordOf('pod-one')
  await bed.podDies('pod-one')
  await bed.nicIsBack()
  await reuseInode(record)
  const config = { 'cni.dev/valid-attachments': [] }
  const gc = await bed.call('GC', { type: 'vf-attach' }, 'pod-two', { cniVersion: '1.1.0', config })
  expect(gc).toMatchObject({ code: 0, stdout: '' })
  await bed.lab.must(`! test -e '${record}'`)
  await bed.del(plain(), 'pod-one')
  await bed.expectUnchanged()
})

test("DEL restores the host's side and succeeds when the path leads to the host's own namespace", async () => {
  await bed.add(plain(), 'pod-one')
  // The process that held the pod is gone and a process of the host has its number now; the pod itself lives on.
  const stale = await bed.call('DEL', plain(), 'pod-one', { netns: '/proc/self/ns/net' })
  expect(stale).toMatchObject({ code: 0, stdout: '' })
  expect(stale.stderr).toContain(`CNI_NETNS "/proc/self/ns/net" is the host's own namespace now`)
  expect(await bed.link(null, bed.nic().netdev)).toMatchObject({ address: bed.nic().mac })
  await bed.expectUnchanged()
})

test("an old record, without a cookie, whose path leads to the host's namespace has no owner", async () => {
  await bed.add(plain(), 'pod-one')
  const path = await bed.recordOf('pod-one')
  const record = JSON.parse(await bed.lab.readFile(path))
  const { netnsCookie: _, ...owner } = record.owner
  await bed.podDies('pod-one')
  await bed.nicIsBack()
  // The record of a former version for /proc/PID/ns/net, where PID is a process of the host by now.
  const host = (await bed.lab.must("stat -L -c '%d:%i' /proc/1/ns/net")).trim()
  const old = { ...record, owner: { ...owner, netns: '/proc/1/ns/net', netnsId: host } }
  await bed.lab.writeFile(path, JSON.stringify(old), 0o600)
  await bed.podIsBack('pod-one')
  await bed.add(plain(), 'pod-two')
  await bed.del(plain(), 'pod-two')
  await bed.del(plain(), 'pod-one')
  await bed.expectUnchanged()
})
