/** Runs random sequences. In: a Lab with devices of a kind, a seed, how many. Out: what they showed, added up. */
import type { Lab } from '../../hack/lab/lab.ts'
import { runLanes } from './run.ts'
import type { Place } from './script.ts'
import type { DeviceKind } from './sequence-devices.ts'
import { judgeSequence } from './sequence-model.ts'
import { actWords, jobOf, planSequence } from './sequence-plan.ts'

export interface SequenceReport {
  readonly sequences: number
  readonly verbs: Readonly<Record<'succeeded' | 'failed' | 'killed', number>>
  readonly left: Readonly<Record<'devices' | 'addresses' | 'records', number>>
  readonly failedSeeds: number
  /** A line for each sequence that went wrong, with the seed that replays it. */
  readonly failures: readonly string[]
}

/**
 * Runs `count` sequences with the seeds `seed`, `seed` + 1, ..., shared out among the places.
 * `onProgress` hears how many have ended. `warm`: an agent serves the calls.
 */
export async function runSequences(
  lab: Lab,
  kind: DeviceKind,
  places: readonly Place[],
  seed: number,
  count: number,
  onProgress: (ended: number) => void = () => undefined,
  warm?: boolean,
): Promise<SequenceReport> {
  const lanes = places.map((place, lane) => {
    const seeds = Array.from({ length: count }, (_, index) => seed + index)
    const mine = seeds.filter((_, index) => index % places.length === lane)
    return { place, sequences: mine.map((one) => planSequence(one, place, kind)) }
  })
  let done = 0
  const answers = await runLanes(
    lab,
    lanes.map(({ place, sequences }) => ({ place, jobs: sequences.map(jobOf) })),
    { onAnswer: () => onProgress(++done), ...(warm === undefined ? {} : { warm }) },
  )
  const verbs = { succeeded: 0, failed: 0, killed: 0 }
  const left = { devices: 0, addresses: 0, records: 0 }
  const failures: string[] = []
  for (const sequence of lanes.flatMap(({ sequences }) => sequences)) {
    const verdict = judgeSequence(sequence, answers.get(String(sequence.seed)))
    for (const key of ['succeeded', 'failed', 'killed'] as const) verbs[key] += verdict.ended[key]
    for (const key of ['devices', 'addresses', 'records'] as const) left[key] += verdict.left[key]
    if (verdict.violations.length === 0) continue
    const [first, ...others] = verdict.violations
    const more = others.length === 0 ? '' : ` (and ${others.length} more)`
    const story = sequence.acts.map(actWords).join('; ')
    failures.push(`seed ${sequence.seed}: ${first}${more}; all of it: ${story}; end by ${sequence.end}`)
  }
  return { sequences: count, verbs, left, failedSeeds: failures.length, failures }
}
