// The setting for 127.0.0.1 never stays without its guard, and goes back with its last user, when the notes about it are
// lost, say nothing or cannot be written, and when the rules of the node are flushed.
// needs: veth, bridge, nft, bpf
import { beforeEach, expect, test } from 'vitest'
import { attachToBridge, bridgeList, chained, offload, podOf } from '../../../hack/lab/bed/bridge-bed.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { type BridgeNode, useBridgeNode, useFreshPods } from '../../support/bridge-node.ts'

const names = ['pod-one', 'pod-two'] as const
let lab: Lab
let runtime: Runtime
let node: BridgeNode
let one: CniResult
let two: CniResult

useBridgeNode((made) => {
  node = made
  lab = node.lab
  runtime = node.runtime
})
useFreshPods(() => node, names)
beforeEach(async () => {
  // A pod has the address of one before, and another MAC.
  await lab.must('ip neigh flush dev cni0')
  one = await attachToBridge(lab, runtime, 'pod-one')
  two = await attachToBridge(lab, runtime, 'pod-two')
})

const setting = async () => (await lab.must('cat /proc/sys/net/ipv4/conf/cni0/route_localnet')).trim()
const filters = () => lab.must('tc filter show dev cni0 ingress')

/** GC of a network that has no attachments any more. */
async function collect(): Promise<void> {
  const list = { ...bridgeList('pod-one'), cniVersion: '1.1.0' }
  const config = { 'cni.dev/valid-attachments': [], gcLive: true }
  const { code, stdout, stderr } = await runtime.call('GC', list, chained(config), podOf('pod-one'))
  if (code !== 0) throw new Error(`GC: ${stdout}${stderr}`)
}

test.each([
  ['is lost', 'rm /run/vf-flower/localnet-*'],
  ['says nothing', 'for note in /run/vf-flower/localnet-*; do printf x >$note; done'],
])(
  'a note that %s leaves no interface open: neither with the next ADD nor with the next DEL',
  async (_, lose) => {
    const attached = await snapshot(lab)
    const other = { ports: [{ hostPort: 8081, containerPort: 80 }], prevResult: two }
    await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
    await lab.must(lose)
    await offload(runtime, 'ADD', 'pod-two', other)
    await offload(runtime, 'DEL', 'pod-two', other)
    expect([await setting(), await filters()]).toEqual(['1', expect.stringContaining('vf_loopback')])
    await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
    expect([await setting(), await filters()]).toEqual(['0', ''])
    await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
    await offload(runtime, 'ADD', 'pod-two', other)
    // The table that tells who is there has gone too.
    await lab.must(`${lose}; nft flush ruleset`)
    await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
    expect([await setting(), await filters()]).toEqual(['1', expect.stringContaining('vf_loopback')])
    await lab.must(lose)
    await offload(runtime, 'DEL', 'pod-two', other)
    expect([await setting(), await filters()]).toEqual(['0', ''])
    expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
  },
)

test('DEL takes setting and guard back although the folder of notes is read-only, and GC does the rest', async () => {
  const attached = await snapshot(lab)
  const other = { ports: [{ hostPort: 8081, containerPort: 80 }], prevResult: two }
  const readOnly = () =>
    lab.must('mount --bind /run/vf-flower /run/vf-flower && mount -o remount,ro,bind /run/vf-flower')
  await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
  await readOnly()
  try {
    const { stderr } = await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
    expect(stderr).toMatch(/EROFS.*localnet-/)
    expect([await setting(), await filters()]).toEqual(['0', ''])
  } finally {
    await lab.must('umount /run/vf-flower')
  }
  await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
  await offload(runtime, 'ADD', 'pod-two', other)
  await readOnly()
  try {
    await offload(runtime, 'DEL', 'pod-one', { prevResult: one })
    expect([await setting(), await filters()]).toEqual(['1', expect.stringContaining('vf_loopback')])
    expect(await lab.must('nft list table inet vf-flower')).not.toContain('8080')
  } finally {
    await lab.must('umount /run/vf-flower')
  }
  await offload(runtime, 'DEL', 'pod-two', other)
  await collect()
  expect([await setting(), await filters()]).toEqual(['0', ''])
  expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
})

test('GC finds a pod of which a note alone tells: its record is lost, and the rules of the node were flushed', async () => {
  const attached = await snapshot(lab)
  await offload(runtime, 'ADD', 'pod-one', { prevResult: one })
  await lab.must(
    'rm /var/lib/cni/vf-flower/offload/*.json /var/lib/cni/vf-flower/offload/report/*; nft flush ruleset',
  )
  await collect()
  expect([await setting(), await filters()]).toEqual(['0', ''])
  expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
})
