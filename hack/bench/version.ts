/** The start of each program: VERSION from start to end, beside a program that does nothing. */
import { join } from 'node:path'
import { median, ms, table } from '../bench-table.ts'
import type { Bench } from './context.ts'
import { DIST } from './nodes.ts'
import { judged, must, programOf } from './series.ts'

const BAR = 0.3

/** Measures and prints. */
export async function version({ plain, warm, folder, peers, rounds }: Bench): Promise<void> {
  const [installed, newest] = [peers.installed, peers.newest]
  const programs = [
    ['a program that does nothing', plain, join(folder, 'empty')],
    ...(warm === undefined ? [] : ([['vf-attach, agent', warm, join(DIST, 'vf-attach')]] as const)),
    ['vf-attach, no agent', plain, join(DIST, 'vf-attach')],
    ['vf-offload, no agent', plain, join(DIST, 'vf-offload')],
    [`Go host-device ${installed.version}`, plain, join(installed.folder, 'host-device')],
    [`Go host-device ${newest.version}`, plain, join(newest.folder, 'host-device')],
    [`Go portmap ${newest.version}`, plain, join(newest.folder, 'portmap')],
  ] as const
  const times = new Map<string, number[]>(programs.map(([name]) => [name, []]))
  for (let round = -2; round < rounds.version; round++)
    for (const [name, node, file] of programs) {
      const { clock } = await must(node, programOf({ file, verb: 'VERSION' }))
      if (round >= 0) times.get(name)?.push(clock)
    }
  const of = (name: string) => median(times.get(name) ?? [])
  console.log(`VERSION from start to end, ${rounds.version} rounds (ms, medians)`)
  table(
    ['program', 'median', `/ host-device ${installed.version}`, `/ host-device ${newest.version}`],
    [...times.keys()].map((name) => {
      const bar = name.startsWith('vf-') ? BAR : undefined
      return [
        ...[name, ms(of(name)), judged(of(name) / of(`Go host-device ${installed.version}`), bar)],
        judged(of(name) / of(`Go host-device ${newest.version}`), bar),
      ]
    }),
  )
}
