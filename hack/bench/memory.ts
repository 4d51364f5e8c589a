/**
 * Memory of a call's process and of the agent while two ADDs wait for their IPAM program: the proportional set size (PSS), which counts a page
 * that several processes share in parts.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { table } from '../bench-table.ts'
import type { Bench } from './context.ts'
import { DIST, type Node } from './nodes.ts'
import { family } from './processes.ts'
import { judged, programOf, type Way } from './series.ts'

const AT_ONCE = 2
const MB = 1e6
const CALL_BAR = 1
const AGENT_BAR = 160

/** Measures and prints. */
export async function memory({ plain, warm, folder, peers }: Bench): Promise<void> {
  const path = join(folder, 'hold')
  mkdirSync(path, { recursive: true })
  for (const node of warm === undefined ? [plain] : [plain, warm])
    for (let pod = 0; pod < AT_ONCE; pod++)
      await node.runner.sh(`ip link add s${pod} type veth peer name t${pod} && ip netns add held-${pod}`)
  const ours = join(DIST, 'vf-attach')
  const ways: readonly (readonly [Way, Node, string, string])[] = [
    ...(warm === undefined ? [] : ([['warm', warm, ours, 'vf-attach']] as const)),
    ['standalone', plain, ours, 'vf-flower'],
    ['installed', plain, join(peers.installed.folder, 'host-device'), 'host-device'],
    ['newest', plain, join(peers.newest.folder, 'host-device'), 'host-device'],
  ]
  console.log(`\nMemory of ${AT_ONCE} ADDs at once that wait for IPAM (PSS)`)
  const lines = []
  for (const [way, node, file, name] of ways) {
    const look = () => {
      const agents = family(warm?.agent?.pid ?? 0)
      const pids = processesOf(name).filter((pid) => !agents.includes(pid))
      const each = pids.map(pss)
      const agent = node.agent === undefined ? [] : family(node.agent.pid).map(pss)
      return { each, agent }
    }
    const { each, agent } = await held(node, file, path, look)
    const mean = sum(each) / each.length / MB
    const shown = way === 'installed' || way === 'newest' ? `Go ${peers[way].version}` : way
    lines.push([
      ...[shown, String(each.length)],
      way === 'warm' ? judged(mean, CALL_BAR) : mean.toFixed(2),
      agent.length === 0 ? '-' : String(agent.length - 1),
      agent.length === 0 ? '-' : judged(sum(agent) / MB, AGENT_BAR, 0),
    ])
  }
  table(['calls', 'processes', 'MB of each', 'workers', 'MB of the agent with them'], lines)
}

/** Runs ADDs, looks when all of them wait for their IPAM program, and lets them end. */
async function held<T>(node: Node, file: string, path: string, look: () => T): Promise<T> {
  const [marks, go] = [join(path, 'waiting'), join(path, 'go')]
  rmSync(go, { force: true })
  rmSync(marks, { recursive: true, force: true })
  mkdirSync(marks)
  const ipam = `#!/bin/sh
cat >/dev/null
: >${marks}/$CNI_CONTAINERID
while [ ! -e ${go} ]; do sleep 0.02; done
echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.0.9/24"}]}'
`
  writeFileSync(join(path, 'hold-ipam'), ipam, { mode: 0o755 })
  const programs = (verb: 'ADD' | 'DEL') =>
    Array.from({ length: AT_ONCE }, (_, pod) =>
      programOf({
        ...{ file, verb, path, netns: `/run/netns/held-${pod}`, containerID: `held-${pod}` },
        config: { type: basename(file), device: `s${pod}`, ipam: { type: 'hold-ipam' } },
      }),
    )
  const adding = node.runner.together(programs('ADD'))
  let failed: unknown
  adding.then(
    ({ ended }) => {
      const early = ended.find(({ code }) => code !== 0)
      if (early !== undefined) failed = new Error(`${file} ADD: ${early.stdout}${early.stderr}`)
    },
    (error: unknown) => {
      failed = error
    },
  )
  while (readdirSync(marks).length < AT_ONCE) {
    if (failed !== undefined) throw failed
    await Bun.sleep(20)
  }
  const seen = look()
  writeFileSync(go, '')
  const { ended } = await adding
  const bad = ended.find(({ code }) => code !== 0)
  if (bad !== undefined) throw new Error(`${file} ADD: ${bad.stdout}${bad.stderr}`)
  await node.runner.together(programs('DEL'))
  return seen
}

/** Numbers of the processes whose executable has this name. */
function processesOf(name: string): number[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid) || !existsSync(`/proc/${pid}/exe`)) return []
    try {
      return basename(readlinkSync(`/proc/${pid}/exe`)) === name ? [Number(pid)] : []
    } catch {
      return []
    }
  })
}

/** Bytes. */
export function pss(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]) * 1024
}

function sum(list: readonly number[]): number {
  return list.reduce((total, one) => total + one, 0)
}
