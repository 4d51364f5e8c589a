/**
 * The half of `npm run bench -- --against DIR` that runs beside the programs: every round runs all steps with each build, in
 * another order each round, and measures each call. In: a PairSeries as JSON on stdin. Out: PairTimes as JSON.
 */
import { ordersOf } from './bench-pairs.ts'

/** One call of a round. A CHECK gets the answer of the ADD before it as prevResult. */
export interface PairStep {
  readonly verb: 'VERSION' | 'ADD' | 'CHECK' | 'DEL'
  /** The name of the program. */
  readonly name: string
  readonly ifname: string
  readonly config: Readonly<Record<string, unknown>>
}

/** One measurement. */
export interface PairSeries {
  readonly rounds: number
  /** Folders of programs by the name of the build. */
  readonly builds: Readonly<Record<string, string>>
  readonly steps: readonly PairStep[]
  readonly netns: string
  /** CNI_PATH */
  readonly path: string
}

/** Times of all rounds by verb, in milliseconds: by the clock, and of the processor (the program's and its children's). */
export type PairTimes = Readonly<
  Record<string, Readonly<Record<string, { readonly clock: number[]; readonly processor: number[] }>>>
>

/** Rounds before the first one that counts. */
const WARM_UP = 2

if (import.meta.main) console.log(JSON.stringify(run(JSON.parse(await Bun.stdin.text()) as PairSeries)))

function run({ rounds, builds, steps, netns, path }: PairSeries): PairTimes {
  const empty = () => Object.fromEntries(steps.map(({ verb }) => [verb, { clock: [], processor: [] }]))
  const times: PairTimes = Object.fromEntries(Object.keys(builds).map((build) => [build, empty()]))
  const orders = ordersOf(Object.keys(builds))
  // Calls that fill caches are not counted.
  for (let round = -WARM_UP; round < rounds; round++) {
    for (const build of orders[(round + WARM_UP) % orders.length] ?? []) {
      let prevResult: unknown
      for (const { verb, name, ifname, config } of steps) {
        const env = {
          CNI_COMMAND: verb,
          CNI_CONTAINERID: 'bench',
          CNI_NETNS: netns,
          CNI_IFNAME: ifname,
          CNI_PATH: path,
          PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        }
        const previous = verb === 'CHECK' ? { prevResult } : {}
        const stdin = JSON.stringify({ cniVersion: '1.0.0', name: 'bench', ...config, ...previous })
        const { clock, processor, stdout } = timed(`${builds[build]}/${name}`, env, stdin)
        if (verb === 'ADD') prevResult = JSON.parse(stdout)
        if (round < 0) continue
        times[build]?.[verb]?.clock.push(clock)
        times[build]?.[verb]?.processor.push(processor)
      }
    }
  }
  return times
}

function timed(file: string, env: Record<string, string>, stdin: string) {
  const input = new TextEncoder().encode(stdin)
  const started = performance.now()
  const ended = Bun.spawnSync([file], { env, stdin: input })
  const clock = performance.now() - started
  const stdout = ended.stdout.toString()
  if (ended.exitCode !== 0) throw new Error(`${file} ${env.CNI_COMMAND}: ${stdout}${ended.stderr}`)
  return { clock, processor: Number(ended.resourceUsage?.cpuTime.total ?? 0) / 1000, stdout }
}
