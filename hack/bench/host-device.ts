/**
 * ADD, CHECK and DEL of one end of a veth pair by its name, beside host-device, with and without host-local IPAM; and the parts of each
 * call: the kernel's wait, the IPAM program, the rest.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { median, ms, table } from '../bench-table.ts'
import { hostLocal, makeDevice } from './beds.ts'
import type { Bench } from './context.ts'
import { DIST } from './nodes.ts'
import { family, tracerOf } from './processes.ts'
import {
  judged,
  measure,
  must,
  printTimes,
  programOf,
  type Row,
  type Times,
  type Verb,
  WAYS,
} from './series.ts'
import { FORM, type Waits, waitsOf } from './traced.ts'

/** Milliseconds that ours may take beside the waits. */
const REST = 5

/** Measures and prints two tables for each case. */
export async function hostDevice(bench: Bench): Promise<void> {
  const { plain, warm, peers, rounds } = bench
  for (const node of warm === undefined ? [plain] : [plain, warm]) await makeDevice(node)
  for (const hasIpam of [true, false]) {
    const rows = rowsOf(bench, hasIpam)
    const times = await measure(rows, rounds.calls)
    const what = hasIpam ? 'with host-local IPAM' : 'without IPAM'
    console.log(`\nOne end of a veth pair ${what}, ${rounds.calls} rounds (ms, medians)`)
    const names = { peer: 'host-device', installed: peers.installed.version, newest: peers.newest.version }
    printTimes(names, times, [
      { label: 'ADD', verb: 'ADD', ...(hasIpam ? { bar: { installed: 0.85, newest: 0.5 } } : {}) },
      { label: 'CHECK', verb: 'CHECK', bar: { installed: 1, newest: 1 } },
      { label: 'DEL', verb: 'DEL', ...(hasIpam ? { bar: { installed: 1, newest: 0.5 } } : {}) },
    ])
    await parts(bench, rows, times)
  }
}

function rowsOf({ plain, warm, peers }: Bench, hasIpam: boolean): Row[] {
  const config = (type: string, data: string) => ({
    ...{ type, device: 'v0' },
    ...(hasIpam ? hostLocal(data) : {}),
  })
  const ours = { file: join(DIST, 'vf-attach'), config: config('vf-attach', 'ours') }
  const go = (way: 'installed' | 'newest'): Row => ({
    ...{ way, node: plain, file: join(peers[way].folder, 'host-device'), path: peers[way].folder },
    config: config('host-device', way),
  })
  return [
    ...(warm === undefined ? [] : [{ way: 'warm', node: warm, ...ours } as const]),
    { way: 'standalone', node: plain, ...ours },
    ...[go('installed'), go('newest')],
  ]
}

/** Traces a few calls of each kind, and prints their parts. */
async function parts(bench: Bench, rows: readonly Row[], times: Times): Promise<void> {
  const verbs: readonly Verb[] = ['ADD', 'DEL']
  const waits = new Map(rows.map(({ way }) => [way, { ADD: [], DEL: [] } as Record<string, Waits[]>]))
  for (let round = 0; round < bench.rounds.traced; round++)
    for (const row of rows)
      for (const verb of verbs) waits.get(row.way)?.[verb]?.push(await traced(bench, row, verb))
  console.log(
    '\nTheir parts: waits from strace of other calls, the rest is the time of the table above less both',
  )
  table(
    ['call', 'whole', "the kernel's wait", 'the IPAM program', 'the rest'],
    WAYS.filter((way) => waits.has(way)).flatMap((way) =>
      verbs.map((verb) => {
        const whole = median((times.get(way)?.[verb] ?? []).map(({ clock }) => clock))
        const of = (part: keyof Waits) => median((waits.get(way)?.[verb] ?? []).map((one) => one[part]))
        const rest = whole - of('kernel') - of('ipam')
        const name = way === 'installed' || way === 'newest' ? `Go ${bench.peers[way].version}` : way
        return [
          ...[`${verb}, ${name}`, ms(whole), ms(of('kernel')), ms(of('ipam'))],
          way === 'warm' ? judged(rest, REST, 1) : ms(rest),
        ]
      }),
    ),
  )
}

/** One call under strace: of the agent's processes without their children, or of the whole program. */
async function traced(bench: Bench, { way, node, file, config, path }: Row, verb: Verb): Promise<Waits> {
  const log = join(bench.folder, 'strace')
  const program = programOf({ file, verb, config, ...(path === undefined ? {} : { path }) })
  if (way !== 'warm') {
    const argv = ['/usr/bin/strace', '-f', '--seccomp-bpf', '-qq', ...FORM, '-o', log, ...program.argv]
    await must(node, { ...program, argv })
    return waitsOf(readFileSync(log, 'utf8').split('\n'))
  }
  const pids = family(node.agent?.pid ?? 0)
  const strace = Bun.spawn(
    ['/usr/bin/strace', '-qq', ...FORM, '-o', log, ...pids.flatMap((pid) => ['-p', String(pid)])],
    { stdout: 'ignore', stderr: 'ignore' },
  )
  try {
    while (!pids.every((pid) => tracerOf(pid) === strace.pid)) {
      if (strace.exitCode !== null) throw new Error(`strace ended with code ${strace.exitCode}`)
      await Bun.sleep(5)
    }
    await must(node, program)
  } finally {
    strace.kill('SIGINT')
    await strace.exited
  }
  return waitsOf(readFileSync(log, 'utf8').split('\n'))
}
