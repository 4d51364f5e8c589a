/** Runs random configs of vf-attach as a test does. In: a lab, lanes with their devices, how many. Out: nothing; throws. */
import { expect } from 'vitest'
import type { Lab } from '../../hack/lab/lab.ts'
import { type Device, type Field, runProperty } from './property.ts'
import { seedOf } from './seed.ts'

/** Prints what was accepted and refused; nothing may be left, and 30 % at least must have been accepted. */
export async function expectProperty(
  lab: Lab,
  fields: readonly Field[],
  devices: readonly Device[],
  runs: number,
): Promise<void> {
  const seed = seedOf(process.env)
  const { accepted, refused, failures } = await runProperty(lab, fields, devices, seed, runs)
  console.log(
    `configs of vf-attach, seed ${seed}: ${accepted} of ${runs} accepted, refused: ${JSON.stringify(refused)}`,
  )
  expect(failures, failures.join('\n')).toEqual([])
  expect(accepted).toBeGreaterThanOrEqual(0.3 * runs)
}
