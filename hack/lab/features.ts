// Features of the machine's own kernel that tests need. In: nothing. Out: words. A test file that needs no more than this runs in a
// node made of namespaces, every other one in the virtual machine. Imports node: modules and this folder.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { UNSHARE } from './node.ts'
import { CHECKOUT } from './qemu.ts'

/** Features that a test file may ask for; hack/lab/features.sh tries each. A node is made of `namespaces`. */
export const FEATURES = [
  ...['namespaces', 'veth', 'bridge', 'bridge-vlan', 'dummy', 'bond', 'vlan', 'macvlan', 'ifb'],
  ...['clsact', 'tbf', 'u32', 'bpf', 'matchall', 'flower', 'police', 'pedit'],
  ...['nft', 'nft-fib', 'conntrack', 'iptables', 'iptables-legacy', 'sctp', 'cgroup'],
] as const

/** One of {@link FEATURES}. */
export type Feature = (typeof FEATURES)[number]

/** The features of this machine's kernel; none without root. */
export function machineFeatures(): ReadonlySet<Feature> {
  if (process.getuid?.() !== 0) return new Set()
  const { stdout } = spawnSync('unshare', [...UNSHARE, 'sh', join(CHECKOUT, 'hack/lab/features.sh')], {
    encoding: 'utf8',
    timeout: 30_000,
  })
  const words: readonly string[] = (stdout ?? '').split('\n')
  return new Set(FEATURES.filter((feature) => words.includes(feature)))
}
