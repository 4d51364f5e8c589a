/**
 * The calls of one more pod by the size of the node: pods with an interface, a mapping and some a limit each, and sockets of the node's
 * programs. `vfctl show` and a GC with nothing to do beside them.
 */
import { join } from 'node:path'
import { median, ms, ratio, table } from '../bench-table.ts'
import { crowdConfig, crowdEnvironment, crowdInside, crowdLinks, mostPods } from '../lab/bed/crowd.ts'
import type { Bench } from './context.ts'
import { canBeWarm, DIST, makeNode, type Node } from './nodes.ts'
import type { Program } from './runner.ts'
import { judged, must, type Verb } from './series.ts'

const SIZES: readonly (readonly [pods: number, sockets: number])[] = [
  [0, 0],
  [100, 500],
  [1000, 5000],
]
const BAR = 1.15
const SHOW_BAR = 500
const GC_BAR = 100
/** The pod whose calls are measured: the one behind the last pod of the crowd. */
const ONE = mostPods + 1
const VERBS = ['ADD', 'CHECK', 'DEL'] as const

/** Medians by the name of the call. */
type Medians = ReadonlyMap<string, number>

/** Measures and prints a table for each way. */
export async function size({ folder, rounds }: Bench): Promise<void> {
  for (const isWarm of canBeWarm() ? [true, false] : [false]) {
    const found: Medians[] = []
    for (const [pods, sockets] of SIZES) {
      const node = await makeNode({ name: `size-${isWarm}-${pods}`, folder, hasAgent: isWarm })
      try {
        found.push(await measured(node, pods, sockets, rounds.size))
      } finally {
        await node.end()
      }
    }
    console.log(
      `\nOne more pod on a full node, ${isWarm ? 'warm' : 'standalone'}, ${rounds.size} rounds (ms, medians; / the empty node)`,
    )
    table(
      [
        'call',
        ...SIZES.flatMap(([pods, sockets], at) => [
          `${pods} pods, ${sockets} sockets`,
          ...(at === 0 ? [] : ['/']),
        ]),
      ],
      [...VERBS, 'vfctl show', 'GC'].map((name) => [
        name,
        ...found.flatMap((one, at) => {
          const [time, base] = [one.get(name) ?? Number.NaN, found[0]?.get(name) ?? Number.NaN]
          const isLast = at === found.length - 1
          const isVerb = VERBS.some((verb) => verb === name)
          const bar = name === 'GC' ? GC_BAR : name === 'vfctl show' ? SHOW_BAR : undefined
          const cell = isLast && bar !== undefined ? judged(time, bar, 1) : ms(time)
          if (at === 0) return [cell]
          return [cell, isVerb && isLast ? judged(time / base, BAR) : ratio(time, base)]
        }),
      ]),
    )
  }
}

async function measured(node: Node, pods: number, sockets: number, rounds: number): Promise<Medians> {
  const crowd = await startCrowd(node, pods, sockets)
  try {
    await node.runner.sh(`ip -batch - <<'END'\n${crowdLinks(pods === 0 ? [1, ONE] : [ONE])}END`)
    await node.runner.sh(`ip -n crowd-${ONE} -batch - <<'END'\n${crowdInside(ONE)}END`)
    const times = new Map<string, number[]>()
    const timed = async (name: string, program: Program, counts: boolean) => {
      const { clock } = await must(node, program)
      if (counts) times.set(name, [...(times.get(name) ?? []), clock])
    }
    for (let round = -2; round < rounds; round++) {
      for (const verb of VERBS) await timed(verb, call(verb), round >= 0)
      const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }
      // Both look at all pods, and take longer than a call.
      if (round < rounds / 2) {
        await timed('vfctl show', { argv: [join(DIST, 'vfctl'), 'show'], env }, round >= 0)
        await timed('GC', collection(pods), round >= 0)
      }
    }
    return new Map([...times].map(([name, list]) => [name, median(list)]))
  } finally {
    await crowd.end()
  }
}

function call(verb: Verb): Program {
  return {
    argv: [join(DIST, 'vf-offload')],
    env: crowdEnvironment(verb, ONE),
    stdin: JSON.stringify(crowdConfig(ONE, false)),
  }
}

/** A GC of the crowd's network in which all its attachments are valid. */
function collection(pods: number): Program {
  const valid = Array.from({ length: pods }, (_, at) => ({ containerID: `crowd-${at + 1}`, ifname: 'eth0' }))
  const { CNI_PATH = '', PATH = '' } = crowdEnvironment('GC', ONE)
  return {
    argv: [join(DIST, 'vf-offload')],
    env: { CNI_COMMAND: 'GC', CNI_PATH, PATH },
    stdin: JSON.stringify({
      ...{ cniVersion: '1.1.0', name: 'crowd', type: 'vf-offload' },
      'cni.dev/valid-attachments': valid,
    }),
  }
}

/** Fills the node by the bed's own program, which keeps the sockets until it is told to end. */
async function startCrowd(node: Node, pods: number, sockets: number) {
  if (pods === 0) return { end: async () => undefined }
  const enter = ['nsenter', '--target', String(node.runner.pid), '--net', '--mount']
  const limit = ['sh', '-c', 'ulimit -n "$(ulimit -Hn)"; exec "$0" "$@"']
  const bed = join(import.meta.dirname, '../lab/bed/crowd.ts')
  const child = Bun.spawn([...enter, ...limit, process.execPath, bed, String(pods), String(sockets), DIST], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const { value } = await child.stdout.pipeThrough(new TextDecoderStream()).getReader().read()
  if (value?.startsWith('ready') !== true)
    throw new Error(`the bed of ${pods} pods ended with code ${await child.exited}`)
  return {
    end: async () => {
      child.stdin.end()
      await child.exited
    },
  }
}
