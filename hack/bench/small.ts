/**
 * Calls inside of a group with 100m CPU and 50 MiB beside a daemon of 25 MiB, as in the container of Multus as a daemon: one at a time, and 8 at
 * once. The agent is outside of the group, as in use.
 */
import { join } from 'node:path'
import { table } from '../bench-table.ts'
import { hostLocal, makeDevice } from './beds.ts'
import { type Group, groupVersion, makeGroup } from './cgroup.ts'
import type { Bench } from './context.ts'
import { DIST, type Node } from './nodes.ts'
import { Runner } from './runner.ts'
import { measure, printTimes, programOf, type Row, shown, type Verb } from './series.ts'

const MIB = 2 ** 20
const LIMITS = { processors: 0.1, bytes: 50 * MIB }
const DAEMON = 25
const AT_ONCE = 8
const BAR = { installed: 0.5, newest: 0.5 }

/** Measures and prints two tables. */
export async function small(bench: Bench): Promise<void> {
  const { plain, warm, peers, rounds } = bench
  for (const node of warm === undefined ? [plain] : [plain, warm]) {
    await makeDevice(node)
    for (let pod = 0; pod < AT_ONCE; pod++)
      await node.runner.sh(`ip link add s${pod} type veth peer name t${pod} && ip netns add small-${pod}`)
  }
  const ours = {
    file: join(DIST, 'vf-attach'),
    config: { type: 'vf-attach', device: 'v0', ...hostLocal('ours') },
  }
  const go = (way: 'installed' | 'newest'): Row => ({
    ...{ way, node: plain, file: join(peers[way].folder, 'host-device'), path: peers[way].folder },
    config: { type: 'host-device', device: 'v0', ...hostLocal(way) },
  })
  const unlimited: Row[] = [
    ...(warm === undefined ? [] : [{ way: 'warm', node: warm, ...ours } as const]),
    { way: 'standalone', node: plain, ...ours },
    ...[go('installed'), go('newest')],
  ]
  const places = unlimited.map((row) => placeOf(bench, row))
  const rows = unlimited.map((row, index): Row => ({ ...row, node: places[index]?.node ?? row.node }))
  console.log(
    `\nInside of 100m CPU and 50 MiB beside a daemon of ${DAEMON} MiB (control groups ${groupVersion()}), host-local IPAM, ${rounds.small} rounds (ms, medians)`,
  )
  try {
    const times = await measure(rows, rounds.small, ['ADD', 'DEL'])
    const names = { peer: 'host-device', installed: peers.installed.version, newest: peers.newest.version }
    printTimes(names, times, [
      { label: 'ADD', verb: 'ADD', bar: BAR },
      { label: 'DEL', verb: 'DEL', bar: BAR },
    ])
    console.log(
      `\nThe same, ${AT_ONCE} at once (ms for all of them; each number of calls that failed, and of killed processes)`,
    )
    const lines = []
    for (const [index, row] of rows.entries()) lines.push(await atOnce(row, places[index]?.group))
    table(['calls', 'ADD', 'DEL', 'failed', 'killed'], lines)
  } finally {
    for (const { end } of places) await end()
  }
}

/** A node whose programs start in a group of their own. */
function placeOf({ folder }: Bench, { way, node }: Row) {
  const group = makeGroup(`vf-bench-${way}-${process.pid}`, LIMITS)
  const enter = ['nsenter', '--target', String(node.runner.pid), '--net', '--mount']
  const runner = new Runner([
    ...enter,
    ...['sh', '-c', 'read -r line; exec "$0" "$1"', join(folder, 'runner'), String(DAEMON)],
  ])
  group.add(runner.pid)
  runner.begin()
  const limited: Node = { ...node, runner }
  const end = async () => {
    await runner.end()
    group.remove()
  }
  return { node: limited, group, end }
}

async function atOnce({ way, node, file, config, path }: Row, group: Group | undefined): Promise<string[]> {
  const clocks: number[] = []
  let failed = 0
  for (const verb of ['ADD', 'DEL'] satisfies Verb[]) {
    const programs = Array.from({ length: AT_ONCE }, (_, pod) =>
      programOf({
        ...{ file, verb, netns: `/run/netns/small-${pod}`, containerID: `small-${pod}` },
        ...{ config: { ...config, device: `s${pod}` }, ...(path === undefined ? {} : { path }) },
      }),
    )
    const { clock, ended } = await node.runner.together(programs)
    clocks.push(clock)
    failed += ended.filter(({ code }) => code !== 0).length
  }
  return [way, ...clocks.map(shown), String(failed), String(group?.killed() ?? 0)]
}
