/**
 * Calls of several plugins by turns, so that all meet the same machine, and their table. In: rows, one for each plugin and way. Out: times.
 */
import { median, ms, ratio, table } from '../bench-table.ts'
import type { Node } from './nodes.ts'
import type { Ended, Program } from './runner.ts'

/** The ways of ours, and the plugins beside it, in the order of the columns. */
export const WAYS = ['warm', 'standalone', 'installed', 'newest'] as const
/** One of {@link WAYS}. */
export type Way = (typeof WAYS)[number]

/** A verb of CNI. */
export type Verb = 'VERSION' | 'ADD' | 'CHECK' | 'DEL'

/** Facts of a call; the rest is the same for all. */
export interface Call {
  readonly file: string
  readonly verb: Verb
  readonly netns?: string
  readonly ifname?: string
  readonly containerID?: string
  /** Folder of the IPAM programs. */
  readonly path?: string
  readonly config?: Readonly<Record<string, unknown>>
}

/** A call as a program to start. */
export function programOf(call: Call): Program {
  const { file, verb, config = {}, path = '/usr/lib/cni' } = call
  const { netns = '/run/netns/bench', ifname = 'net1', containerID = 'bench' } = call
  return {
    argv: [file],
    env: {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: containerID,
      CNI_NETNS: netns,
      CNI_IFNAME: ifname,
      CNI_PATH: path,
      // portmap searches it for iptables and nft.
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    },
    stdin: verb === 'VERSION' ? '' : JSON.stringify({ cniVersion: '1.0.0', name: 'bench', ...config }),
  }
}

/** One plugin in one way. */
export interface Row {
  readonly way: Way
  readonly node: Node
  readonly file: string
  readonly config: Readonly<Record<string, unknown>>
  readonly path?: string
  readonly ifname?: string
  readonly netns?: string
  /** Verbs that are not called: the plugin can't do them here. */
  readonly without?: readonly Verb[]
  /** Shell line after each DEL, not timed: removes objects that a plugin's DEL leaves to the end of the pod. */
  readonly clean?: string
}

/** All calls of a series by way and verb. */
export type Times = ReadonlyMap<Way, Readonly<Record<Verb, Ended[]>>>

/** Rounds before the first one that counts: they fill caches. */
const WARM_UP = 2

/** Milliseconds without a call before each one: docs/benchmark.md says what a pause changes. */
const PAUSE = Number(process.env.BENCH_PAUSE ?? 0)

/** Runs a program. @throws Error with its output when it fails */
export async function must(node: Node, program: Program): Promise<Ended> {
  const ended = await node.runner.run(program)
  if (ended.code !== 0)
    throw new Error(
      `${program.argv.join(' ')} ${program.env?.CNI_COMMAND} on ${node.name} ended with code ${ended.code}: ${ended.stdout}${ended.stderr}`,
    )
  return ended
}

/** Calls all verbs of all rows, round by round, each round in an order of its own. CHECK gets the result of ADD. */
export async function measure(
  rows: readonly Row[],
  rounds: number,
  verbs: readonly Verb[] = ['ADD', 'CHECK', 'DEL'],
): Promise<Times> {
  const times = new Map(
    rows.map(({ way }) => [
      way,
      { VERSION: [], ADD: [], CHECK: [], DEL: [] } satisfies Record<Verb, Ended[]> as Record<Verb, Ended[]>,
    ]),
  )
  for (let round = -WARM_UP; round < rounds; round++) {
    for (const row of shuffled(rows)) {
      let previous: Record<string, unknown> = {}
      for (const verb of verbs) {
        const { node, config, without = [], way: _, clean: __, ...call } = row
        if (without.includes(verb)) continue
        const program = programOf({ ...call, verb, config: { ...config, ...previous } })
        await Bun.sleep(PAUSE)
        const ended = await must(node, program)
        if (verb === 'ADD') previous = { prevResult: JSON.parse(ended.stdout) as unknown }
        if (round >= 0) times.get(row.way)?.[verb].push(ended)
      }
      if (row.clean !== undefined) await row.node.runner.sh(row.clean)
    }
  }
  return times
}

/** The same in an order by chance. */
function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((value) => ({ value, key: Math.random() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ value }) => value)
}

/** The most that a warm call may take of the Go plugins' time. */
export interface Bar {
  readonly installed?: number
  readonly newest?: number
}

/** Names of the columns, and the versions of the Go plugins. */
export interface Names {
  /** `host-device` */
  readonly peer: string
  readonly installed: string
  readonly newest: string
}

/** Prints medians by the clock, and ratios beside their bars; `which` has a label for each line. */
export function printTimes(
  names: Names,
  times: Times,
  lines: readonly { readonly label: string; readonly verb: Verb; readonly bar?: Bar }[],
): void {
  table(
    [
      ...['call', 'warm', 'standalone', `Go ${names.peer} ${names.installed}`, names.newest],
      ...[`warm / ${names.installed}`, `warm / ${names.newest}`, `standalone / ${names.installed}`],
    ],
    lines.map(({ label, verb, bar = {} }) => {
      const of = (way: Way) => median((times.get(way)?.[verb] ?? []).map(({ clock }) => clock))
      return [
        label,
        ...WAYS.map((way) => shown(of(way))),
        judged(of('warm') / of('installed'), bar.installed),
        judged(of('warm') / of('newest'), bar.newest),
        Number.isNaN(of('installed')) ? '-' : ratio(of('standalone'), of('installed')),
      ]
    }),
  )
}

/** Milliseconds; `-` where nothing was measured. */
export function shown(value: number): string {
  return Number.isNaN(value) ? '-' : ms(value)
}

/** `0.51 (<= 0.85)`, with `MISSED` where the value is above its bar. */
export function judged(value: number, bar: number | undefined, digits = 2): string {
  if (Number.isNaN(value)) return '-'
  const text = value.toFixed(digits)
  if (bar === undefined) return text
  return `${text} (<= ${bar})${value <= bar ? '' : ' MISSED'}`
}
