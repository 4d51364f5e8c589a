/**
 * 100 pods at once: ADD of all, then DEL of all, once with an interface and host-local IPAM each, once with a port mapping each. All processes,
 * the agent too, are in one group, which tells the most memory that they had at once.
 */
import { join } from 'node:path'
import { median, ratio, table } from '../bench-table.ts'
import { hostLocal, makeBridge, makePods, mappings, podResult } from './beds.ts'
import { type Group, makeGroup } from './cgroup.ts'
import type { Bench } from './context.ts'
import { canBeWarm, DIST, makeNode, type Node } from './nodes.ts'
import { type Program, Runner } from './runner.ts'
import { judged, programOf, shown, type Verb, WAYS, type Way } from './series.ts'

const PODS = Number(process.env.BENCH_PODS ?? 100)
const BAR = 0.5
const MB = 1e6

/** One measurement: milliseconds, and bytes. */
interface Herd {
  readonly add: number[]
  readonly del: number[]
  peak: number
  /** Number of calls that failed and were repeated. */
  failed: number
}

/** Config of a call for the pod of this number. */
interface Kind {
  readonly title: string
  readonly program: Readonly<Record<'ours' | 'go', string>>
  readonly config: (type: string, way: Way, pod: number) => Record<string, unknown>
}

const kinds: readonly Kind[] = [
  {
    title: 'one interface each, host-local IPAM, beside host-device',
    program: { ours: 'vf-attach', go: 'host-device' },
    config: (type, way, pod) => ({ type, device: `d${pod}`, ...hostLocal(way) }),
  },
  {
    title: 'one port mapping each, beside portmap with iptables (1.1.1) and with nftables (newest)',
    program: { ours: 'vf-offload', go: 'portmap' },
    config: (type, way, pod) => ({
      ...{ type, prevResult: podResult('pod', pod) },
      ...(way === 'newest' ? { backend: 'nftables' } : {}),
      runtimeConfig: { portMappings: mappings(1, 8000 + pod) },
    }),
  },
]

/** Measures and prints two tables. */
export async function herd({ folder, peers, rounds }: Bench): Promise<void> {
  const ways = WAYS.filter((way) => way !== 'warm' || canBeWarm())
  const found = new Map<string, Herd>()
  for (const way of ways) {
    const group = makeGroup(`vf-bench-herd-${process.pid}`)
    const node = await makeNode({
      ...{ name: `herd-${way}`, folder, hasAgent: way === 'warm', place: (pid) => group.add(pid) },
    })
    try {
      await prepare(node, folder)
      for (const kind of kinds) {
        const isOurs = way === 'warm' || way === 'standalone'
        const bin = isOurs ? DIST : peers[way].folder
        const name = isOurs ? kind.program.ours : kind.program.go
        const calls = (verb: Verb) =>
          Array.from({ length: PODS }, (_, pod) =>
            programOf({
              ...{ file: join(bin, name), verb, netns: `/run/netns/pod-${pod}`, containerID: `pod-${pod}` },
              ...{
                ifname: kind.program.ours === 'vf-attach' ? 'net1' : 'eth0',
                path: isOurs ? '/usr/lib/cni' : bin,
              },
              config: kind.config(name, way, pod),
            }),
          )
        found.set(`${kind.title} ${way}`, await run(node, folder, group, calls, rounds.herd))
      }
    } finally {
      await node.end()
      group.remove()
    }
  }
  for (const { title } of kinds) {
    const of = (way: Way) => found.get(`${title} ${way}`)
    const total = (way: Way) => median(of(way)?.add ?? []) + median(of(way)?.del ?? [])
    console.log(`\n${PODS} pods at once: ${title}, ${rounds.herd} rounds (ms, medians)`)
    table(
      [
        'calls',
        'ADD',
        'DEL',
        'both',
        `both / Go ${peers.newest.version}`,
        'peak memory',
        'peak / the same',
        'failed and repeated',
      ],
      ways.map((way) => {
        const peak = of(way)?.peak ?? Number.NaN
        const most = of('newest')?.peak ?? Number.NaN
        const name = way === 'installed' || way === 'newest' ? `Go ${peers[way].version}` : way
        const isOurs = way === 'warm'
        return [
          ...[name, shown(median(of(way)?.add ?? [])), shown(median(of(way)?.del ?? [])), shown(total(way))],
          isOurs ? judged(total(way) / total('newest'), BAR) : ratio(total(way), total('newest')),
          `${(peak / MB).toFixed(0)} MB`,
          isOurs ? judged(peak / most, 1) : ratio(peak, most),
          String(of(way)?.failed ?? 0),
        ]
      }),
    )
  }
}

/** A pod behind the bridge and one more veth pair for each number. */
async function prepare(node: Node, folder: string): Promise<void> {
  await makeBridge(node, folder)
  await makePods(node, folder, 'pod', PODS)
  await node.runner.sh(
    `for n in $(seq 0 ${PODS - 1}); do echo link add d$n type veth peer name e$n; done | ip -b -`,
  )
}

/** Repeats those that fail, as a runtime does: listings of host-device 1.1.1 are interrupted by changes of others. */
async function untilAllSucceed(
  runner: Runner,
  programs: readonly Program[],
): Promise<{ clock: number; failed: number }> {
  let [left, clock, failed] = [programs, 0, 0]
  for (let attempt = 0; left.length > 0; attempt++) {
    const round = await runner.together(left)
    clock += round.clock
    const bad = round.ended.filter(({ code }) => code !== 0)
    left = left.filter((_, index) => round.ended[index]?.code !== 0)
    failed += bad.length
    if (attempt === 50)
      throw new Error(`${bad.length} calls fail again and again: ${bad[0]?.stdout}${bad[0]?.stderr}`)
  }
  return { clock, failed }
}

/** All ADDs at once, then all DELs. The first round fills caches. */
async function run(
  node: Node,
  folder: string,
  group: Group,
  calls: (verb: Verb) => readonly Program[],
  rounds: number,
): Promise<Herd> {
  const enter = ['nsenter', '--target', String(node.runner.pid), '--net', '--mount']
  const runner = new Runner([...enter, 'sh', '-c', 'read -r line; exec "$0"', join(folder, 'runner')])
  group.add(runner.pid)
  runner.begin()
  const herd: Herd = { add: [], del: [], peak: 0, failed: 0 }
  try {
    for (let round = -1; round < rounds; round++) {
      if (round === 0) group.reset()
      for (const verb of ['ADD', 'DEL'] as const) {
        const { clock, failed } = await untilAllSucceed(runner, calls(verb))
        herd.failed += failed
        if (round >= 0) herd[verb === 'ADD' ? 'add' : 'del'].push(clock)
      }
    }
    herd.peak = group.peak()
    return herd
  } finally {
    await runner.end()
  }
}
