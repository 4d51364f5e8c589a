/** Memory of the agent over many calls: ADD, CHECK and DEL of an interface and of a port mapping in turn. BENCH_CALLS says how many calls. */
import { join } from 'node:path'
import { table } from '../bench-table.ts'
import { makeBridge, makeDevice, makePods, mappings, podResult } from './beds.ts'
import type { Bench } from './context.ts'
import { pss } from './memory.ts'
import { DIST } from './nodes.ts'
import { family } from './processes.ts'
import { measure } from './series.ts'

const CALLS = Number(process.env.BENCH_CALLS ?? 600)
const PIECES = 10
const MB = 1e6

/** Measures and prints. */
export async function flat({ warm, folder }: Bench): Promise<void> {
  if (warm?.agent === undefined) return console.log('\nMemory over many calls: this build has no agent')
  await makeDevice(warm)
  await makeBridge(warm, folder)
  await makePods(warm, folder, 'pod', 1)
  const attach = { file: join(DIST, 'vf-attach'), config: { type: 'vf-attach', device: 'v0' } }
  const offload = {
    ...{ file: join(DIST, 'vf-offload'), ifname: 'eth0', netns: '/run/netns/pod-0' },
    config: {
      ...{ type: 'vf-offload', prevResult: podResult('pod', 0) },
      runtimeConfig: { portMappings: mappings(2) },
    },
  }
  console.log(`\nMemory of the agent over ${CALLS} calls (PSS of supervisor and workers)`)
  const lines = []
  let calls = 0
  const { pid } = warm.agent
  for (let piece = 0; piece < PIECES; piece++) {
    const rounds = Math.round(CALLS / PIECES / 6)
    const rows = [
      { way: 'warm', node: warm, ...attach },
      { way: 'standalone', node: warm, ...offload },
    ] as const
    await measure(rows, rounds)
    calls += (rounds + 2) * 6
    const all = family(pid)
    lines.push([
      ...[String(calls), String(all.length - 1), `${(pss(pid) / MB).toFixed(1)} MB`],
      `${(all.map(pss).reduce((total, one) => total + one, 0) / MB).toFixed(1)} MB`,
    ])
  }
  table(['calls', 'workers', 'supervisor', 'all'], lines)
}
