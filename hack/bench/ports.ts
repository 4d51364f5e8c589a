/** ADD, CHECK and DEL of port mappings of a pod behind a bridge, beside portmap with iptables (1.1.1) and with nftables (newest). */
import { join } from 'node:path'
import { makeBridge, makePods, mappings, podResult } from './beds.ts'
import type { Bench } from './context.ts'
import { DIST } from './nodes.ts'
import { type Bar, measure, printTimes, type Row } from './series.ts'

const bars: Readonly<Record<number, { readonly add: Bar; readonly del: Bar }>> = {
  1: { add: { installed: 0.2, newest: 0.2 }, del: { installed: 0.12, newest: 0.12 } },
  10: { add: { installed: 0.08, newest: 0.35 }, del: { installed: 0.15, newest: 0.15 } },
}

/** Measures and prints. */
export async function ports(bench: Bench): Promise<void> {
  const { plain, warm, folder, peers, rounds } = bench
  for (const node of warm === undefined ? [plain] : [plain, warm]) {
    await makeBridge(node, folder)
    await makePods(node, folder, 'pod', 1)
  }
  const versions = {
    installed: `${peers.installed.version} iptables`,
    newest: `${peers.newest.version} nftables`,
  }
  for (const [count, { add, del }] of Object.entries(bars)) {
    const config = {
      prevResult: podResult('pod', 0),
      runtimeConfig: { portMappings: mappings(Number(count)) },
    }
    const same = { ifname: 'eth0', netns: '/run/netns/pod-0' }
    const ours = { file: join(DIST, 'vf-offload'), config: { type: 'vf-offload', ...config }, ...same }
    const go = (way: 'installed' | 'newest', backend: string): Row => ({
      ...{ way, node: plain, file: join(peers[way].folder, 'portmap') },
      ...{ config: { type: 'portmap', backend, ...config }, ...same },
    })
    // portmap 1.1.1 asks for rules of IPv6 in its CHECK, which a pod without such an address does not have.
    const first: Row = { ...go('installed', 'iptables'), without: ['CHECK'] }
    const rows: Row[] = [
      ...(warm === undefined ? [] : [{ way: 'warm', node: warm, ...ours } as const]),
      { way: 'standalone', node: plain, ...ours },
      ...[first, go('newest', 'nftables')],
    ]
    const times = await measure(rows, rounds.calls)
    console.log(`\nPort mappings of a pod behind a bridge: ${count}, ${rounds.calls} rounds (ms, medians)`)
    printTimes({ peer: 'portmap', ...versions }, times, [
      { label: 'ADD', verb: 'ADD', bar: add },
      { label: 'CHECK', verb: 'CHECK', bar: { installed: 1, newest: 1 } },
      { label: 'DEL', verb: 'DEL', bar: del },
    ])
  }
}
