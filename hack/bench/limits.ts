/** ADD, CHECK and DEL of limits in both directions on a veth pair, beside bandwidth. */
import { join } from 'node:path'
import { makeBridge, makePods, podResult } from './beds.ts'
import type { Bench } from './context.ts'
import { DIST } from './nodes.ts'
import { measure, printTimes, type Row } from './series.ts'

const BAR = { installed: 0.7, newest: 0.7 }

/** Go's DEL leaves its qdiscs on the pair, which ends with the pod. */
const CLEAN =
  'for kind in root ingress clsact; do tc qdisc del dev pod0 $kind 2>/dev/null; done; ip netns exec pod-0 tc qdisc del dev eth0 root 2>/dev/null; true'

/** Measures and prints. */
export async function limits({ plain, warm, folder, peers, rounds }: Bench): Promise<void> {
  for (const node of warm === undefined ? [plain] : [plain, warm]) {
    await makeBridge(node, folder)
    await makePods(node, folder, 'pod', 1)
  }
  const config = {
    ...{ ingressRate: 100_000_000, ingressBurst: 80_000_000 },
    ...{ egressRate: 50_000_000, egressBurst: 40_000_000, prevResult: podResult('pod', 0) },
  }
  const same = { ifname: 'eth0', netns: '/run/netns/pod-0', clean: CLEAN }
  const ours = { file: join(DIST, 'vf-offload'), config: { type: 'bandwidth', ...config }, ...same }
  const go = (way: 'installed' | 'newest'): Row => ({
    ...{ way, node: plain, file: join(peers[way].folder, 'bandwidth') },
    ...{ config: { type: 'bandwidth', ...config }, ...same },
  })
  const rows: Row[] = [
    ...(warm === undefined ? [] : [{ way: 'warm', node: warm, ...ours } as const]),
    { way: 'standalone', node: plain, ...ours },
    ...[go('installed'), go('newest')],
  ]
  const times = await measure(rows, rounds.calls)
  console.log(`\nLimits in both directions on a veth pair, ${rounds.calls} rounds (ms, medians)`)
  printTimes({ peer: 'bandwidth', installed: peers.installed.version, newest: peers.newest.version }, times, [
    { label: 'ADD', verb: 'ADD', bar: BAR },
    { label: 'CHECK', verb: 'CHECK', bar: { installed: 1, newest: 1 } },
    { label: 'DEL', verb: 'DEL', bar: BAR },
  ])
}
