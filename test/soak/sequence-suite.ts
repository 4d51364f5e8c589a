/** Runs random sequences of vf-attach as a test does. In: a lab, devices, how many. Out: nothing; throws. */
import { expect } from 'vitest'
import type { Lab } from '../../hack/lab/lab.ts'
import type { Place } from './script.ts'
import { seedOf } from './seed.ts'
import type { DeviceKind } from './sequence-devices.ts'
import { runSequences } from './sequences.ts'

/** Runs `usual` sequences, or VF_SOAK_COUNT, and prints what the calls came to; nothing may be left. */
export async function expectSequences(
  lab: Lab,
  kind: DeviceKind,
  places: readonly Place[],
  usual: number,
): Promise<void> {
  const seed = seedOf(process.env)
  const count = Number(process.env.VF_SOAK_COUNT ?? usual)
  const { verbs, left, failures } = await runSequences(lab, kind, places, seed, count)
  console.log(`sequences of vf-attach, seed ${seed}: ${count}, verbs ${JSON.stringify(verbs)}`)
  expect(failures, failures.join('\n')).toEqual([])
  expect(left).toEqual({ devices: 0, addresses: 0, records: 0 })
}
