/**
 * The filters of one pod on a simulated NIC: an ADD with 50 mappings, beside `tc -batch` with the very same filters, by turns. In: a lab.
 * Out: a table with filters per second.
 */
import { median, ms, ratio, table } from '../bench-table.ts'
import { makeBed } from '../lab/bed/port-bed.ts'
import { makeNode } from '../lab/bed/port-node.ts'
import type { Lab } from '../lab/lab.ts'
import { mappings } from './beds.ts'

/** With both families a mapping has eight filters. */
const MAPPINGS = 50
const ROUNDS = Number(process.env.BENCH_FILTER_ROUNDS ?? 5)
const BAR = 0.5

/** A plugin as the guest's shell starts it. */
const WAYS = {
  'ADD through the agent, if there is one': 'dist/vf-offload',
  'ADD as a process of its own': 'bash -c "exec -a vf-offload dist/vf-flower"',
} as const

/** Measures in a booted machine, and prints. */
export async function filtersInLab(lab: Lab): Promise<void> {
  const node = await makeNode(lab, 'simnic')
  try {
    const bed = await makeBed(node, 'simnic-full', { compares: false })
    try {
      const { one } = bed
      const config = (count: number) =>
        JSON.stringify({
          ...{ cniVersion: '1.0.0', name: 'bench', type: 'vf-offload', deviceID: one.device },
          ...{ prevResult: one.result, runtimeConfig: { portMappings: mappings(count) } },
        })
      await lab.writeFile('/run/bench-all', config(MAPPINGS))
      await lab.writeFile('/run/bench-one', config(1))
      const env = `CNI_CONTAINERID=bench CNI_NETNS=${one.netns} CNI_IFNAME=net1 CNI_PATH=/usr/lib/cni`
      const timed = async (command: string) => {
        const words = `begin=$(date +%s%N); ${command} >/run/bench-out || { cat /run/bench-out >&2; exit 1; }
          end=$(date +%s%N); echo $(((end - begin) / 1000))`
        return Number(await lab.must(words, { timeoutMs: 600_000 })) / 1000
      }
      const call = (verb: string, way: string, file: string) =>
        timed(`env CNI_COMMAND=${verb} ${env} ${way} <${file}`)
      const times = new Map<string, number[]>()
      const note = (name: string, time: number) => times.set(name, [...(times.get(name) ?? []), time])
      let filters: string[] = []
      for (let round = 0; round < ROUNDS; round++) {
        for (const [name, way] of Object.entries(WAYS)) {
          note(`${name}, one mapping`, await call('ADD', way, '/run/bench-one'))
          await call('DEL', way, '/run/bench-one')
          note(name, await call('ADD', way, '/run/bench-all'))
          filters = await filtersOf(lab)
          note(`${name}, DEL`, await call('DEL', way, '/run/bench-all'))
        }
        note('tc -batch', await batch(lab, filters, timed))
      }
      print(times, filters.length)
    } finally {
      await bed.end()
    }
  } finally {
    await node.end()
  }
}

/** The filters of the only attachment, as lines for `tc -batch`, each once: mappings share some of them. */
async function filtersOf(lab: Lab): Promise<string[]> {
  const shown = await lab.must('dist/vfctl show --json')
  const lines = [...shown.matchAll(/"line":\s*"tc (filter (?:add|replace) [^"]*)"/g)].map(
    ([, line = '']) => line,
  )
  return [...new Set(lines)]
}

async function batch(
  lab: Lab,
  filters: readonly string[],
  timed: (command: string) => Promise<number>,
): Promise<number> {
  const devices = [...new Set(filters.flatMap((line) => / dev (\S+)/.exec(line)?.[1] ?? []))]
  await lab.writeFile('/run/bench-batch', `${filters.join('\n')}\n`)
  const both = (verb: string) =>
    devices.map((device) => `tc qdisc ${verb} dev ${device} clsact 2>/dev/null`).join('; ')
  await lab.must(`${both('add')}; true`)
  const time = await timed('tc -batch /run/bench-batch')
  await lab.must(`${both('del')}; true`)
  return time
}

function print(times: ReadonlyMap<string, number[]>, count: number): void {
  const of = (name: string) => median(times.get(name) ?? [])
  console.log(`\n${count} filters of one pod on a simulated NIC in the lab, ${ROUNDS} rounds (medians)`)
  const speed = (time: number) => count / (time / 1000)
  const base = speed(of('tc -batch'))
  table(
    ['', 'ms', 'filters a second', '/ tc', 'less an ADD of one mapping, / tc', 'DEL, ms'],
    [
      ['tc -batch', ms(of('tc -batch')), base.toFixed(0), '1.00', '', ''],
      ...Object.keys(WAYS).map((name) => [
        ...[name, ms(of(name)), speed(of(name)).toFixed(0)],
        `${ratio(speed(of(name)), base)} (>= ${BAR})${speed(of(name)) >= BAR * base ? '' : ' MISSED'}`,
        ratio(speed(of(name) - of(`${name}, one mapping`)), base),
        ms(of(`${name}, DEL`)),
      ]),
    ],
  )
}
