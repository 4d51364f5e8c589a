// Nothing that a pod has put on a VF reaches the next pod: DEL takes off what it finds, and the driver starts anew at the
// next ADD, which ends the rest. test/native/attach/clean.test.ts has other interfaces.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { CLIENT_A, isReachable } from '../../../hack/lab/bed/topology.ts'
import { type Bed, makeBed, onVf } from '../../support/attach-bed.ts'
import { localIpam } from '../../support/attach-calls.ts'
import { PROGRAMS, PROGRAMS_FILE } from '../../support/programs.ts'

let bed: Bed
const config = (more: Record<string, unknown> = {}) => onVf(bed.vf(), more)

beforeAll(async () => {
  bed = await makeBed(2, ['pod-one', 'pod-two'])
  await bed.lab.writeFile(PROGRAMS_FILE, PROGRAMS)
  await bed.lab.must('modprobe -a macvlan 8021q')
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state !== 'fail') return
  await bed.lab.must('ip netns del pod-third 2>/dev/null; true')
  await bed.rebuild()
})

const inPod = (script: string) => `ip netns exec pod-one sh -ec '${script}'`
const anew = /was in a pod before, its driver igbvf was bound anew/

/** Attaches the VF to the next pod, which then talks with the wire; what ADD said, and how long it took in milliseconds. */
async function nextPod(more: Record<string, unknown> = {}) {
  const began = Date.now()
  const called = await bed.call('ADD', config({ ipam: localIpam(), ...more }), 'pod-two')
  const milliseconds = Date.now() - began
  expect(called).toMatchObject({ code: 0 })
  const { ips } = JSON.parse(called.stdout) as { ips: readonly { readonly address: string }[] }
  await isReachable(bed.lab, CLIENT_A.namespace, [ips[0]?.address.replace(/\/.*/, '') ?? ''])
  await bed.del(config({ ipam: localIpam(), ...more }), 'pod-two')
  return { stderr: called.stderr, milliseconds }
}

test('the first pod on a VF waits for no driver, the next one does', async () => {
  const first = await nextPod()
  expect(first.stderr).not.toMatch(anew)
  const second = await nextPod()
  expect(second.stderr).toMatch(anew)
  const other = onVf(bed.vf(1))
  const began = Date.now()
  const fresh = await bed.call('ADD', other, 'pod-one')
  const milliseconds = Date.now() - began
  expect(fresh.stderr).not.toMatch(anew)
  await bed.del(other, 'pod-one')
  console.log(
    `ADD of a VF of igb that was in no pod: ${first.milliseconds} and ${milliseconds} ms; of one that was: ${second.milliseconds} ms`,
  )
  await bed.expectUnchanged()
})

describe('what DEL finds is gone', () => {
  test.each([
    ['flags and mode', 'ip link set net1 arp off multicast off dynamic on group 9 mode dormant'],
    ['features and rings', 'ethtool -K net1 tx off gro off; ethtool -G net1 rx 512'],
    ['altnames', 'ip link property add dev net1 altname evil'],
    ['XDP', `perl ${PROGRAMS_FILE} xdp net1`],
    ['tcx', `perl ${PROGRAMS_FILE} tcx net1`],
    ['a macvlan', 'ip link add mv0 link net1 type macvlan mode passthru; ip link set mv0 up'],
    ['a VLAN', 'ip link add v5 link net1 type vlan id 5; ip link set v5 up'],
  ])('%s', async (_, script) => {
    const { netdev } = bed.vf()
    const look = () =>
      bed.lab.must(
        `ip -d link show dev ${netdev} | sed 's/^[0-9]*: //'; ethtool -k ${netdev}; ethtool -g ${netdev}`,
      )
    const before = await look()
    await bed.add(config(), 'pod-one')
    await bed.lab.must(inPod(script))
    await bed.del(config(), 'pod-one')
    expect(await look()).toBe(before)
    await bed.expectUnchanged()
    expect(await bed.lab.must('ip -n pod-one -br link')).not.toMatch(/mv0|v5/)
    await nextPod()
  })

  test('the driver starts anew at once for a macvlan in a third namespace', async () => {
    await bed.lab.must('ip netns add pod-third')
    await bed.add(config(), 'pod-one')
    await bed.lab.must(
      inPod('ip link add mv0 link net1 type macvlan mode passthru; ip link set mv0 netns pod-third'),
    )
    const called = await bed.call('DEL', config(), 'pod-one')
    expect(called).toMatchObject({ code: 0, stdout: '' })
    expect(called.stderr).toContain('is not clean (a macvlan in another namespace lies on it)')
    await bed.lab.must('ip netns del pod-third')
    await bed.expectUnchanged()
    // It was anew already.
    expect((await nextPod()).stderr).not.toMatch(anew)
    await bed.expectUnchanged()
  })
})

test('a VLAN in a third namespace hears nothing of the next pod, and what the PF holds stays', async () => {
  const { netdev } = bed.vf()
  await bed.lab.must(
    `ip netns add pod-third; ip link set ${bed.topology.pf} vf 0 spoofchk off vlan 0 max_tx_rate 100`,
  )
  await bed.lab.must(`ip link property add dev ${netdev} altname the-vf; ip link set ${netdev} alias mine`)
  await bed.remember()
  const held = await bed.vfInfo(0)
  await bed.add(config({ vlan: 5 }), 'pod-one')
  await bed.lab.must(inPod('ip link add v7 link net1 type vlan id 7; ip link set v7 netns pod-third'))
  await bed.lab.must('ip -n pod-third link set v7 up')
  await bed.del(config({ vlan: 5 }), 'pod-one')
  await bed.expectUnchanged('after DEL')
  expect((await nextPod()).stderr).toMatch(anew)
  expect(await bed.lab.must('ip -n pod-third -br link')).not.toContain('v7')
  await bed.expectUnchanged('after the next pod')
  const { address: _, ...now } = await bed.vfInfo(0)
  expect(held).toMatchObject(now)
  await bed.lab.must(`ip netns del pod-third; ip link set ${bed.topology.pf} vf 0 spoofchk on max_tx_rate 0
    ip link property del dev ${netdev} altname the-vf; ip link set ${netdev} alias ''`)
  await bed.remember()
})

/** The beginning of the note of a VF that was in a pod. */
const note = () => `/run/vf-flower/pod-had ${bed.vf().pci}`

test('settings that a pod has left and no record tells of are not put back when the driver has begun anew', async () => {
  const { netdev, pci } = bed.vf()
  await bed.lab.must(`mkdir -p /run/vf-flower
    printf 'used %s' "$(stat -c %i /sys/bus/pci/devices/${pci}/net)" >'${note()}'
    ip link set ${netdev} arp off group 9 alias evil; ip link property add dev ${netdev} altname evil
    ethtool -G ${netdev} rx 512`)
  expect((await nextPod()).stderr).toMatch(anew)
  const now = await bed.lab.must(`ip -d link show dev ${netdev}; ethtool -g ${netdev} | tail -n 5`)
  expect(now).not.toMatch(/NOARP|evil|group 9|512/)
  await bed.expectUnchanged()
})

test('ADD refuses a VF with code 7 on which others have put something since it came home clean', async () => {
  const { netdev } = bed.vf()
  await nextPod()
  expect(await bed.lab.must(`cat '${note()}'`)).toMatch(/^home /)
  await bed.lab.must(
    `ip netns add pod-third; ip link add mv0 link ${netdev} type macvlan; ip link set mv0 netns pod-third`,
  )
  expect(await bed.refused('ADD', config(), 'pod-two')).toMatchObject({
    ...{ code: 7, msg: expect.stringContaining('a macvlan in another namespace lies on it') },
  })
  await bed.lab.must('ip -n pod-third link show dev mv0; ip netns del pod-third')
  await bed.lab.must(`until [ -z "$(ip netns list-id | grep -v pod)" ] || [ $((tries += 1)) -gt 40 ]; do sleep 0.05; done
    ip link set ${netdev} up; ip link set ${netdev} down`)
  await bed.expectUnchanged()
})

test('nothing that a pod has put on the VF reaches the next pod when its namespace dies without a DEL', async () => {
  const { netdev, pci } = bed.vf()
  await bed.add(config(), 'pod-one')
  await bed.lab.must(
    inPod(
      `perl ${PROGRAMS_FILE} xdp net1; ip link set net1 arp off; ip link property add dev net1 altname ${bed.vf(1).netdev}x`,
    ),
  )
  await bed.podDies('pod-one')
  await bed.lab.must(`until [ -e /sys/bus/pci/devices/${pci}/net/net1 ]; do sleep 0.1; done`)
  expect((await nextPod()).stderr).toMatch(anew)
  await bed.podIsBack('pod-one')
  await bed.lab.must(`ip link show dev ${netdev}`)
  await bed.expectUnchanged()
})
