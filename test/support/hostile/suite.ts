// Tests of a hostile pod, one for each scenario. In: a bed, its phases and actions, the scenarios that are still open. Out: tests.
import { appendFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import type { Action } from './action.ts'
import type { HostileBed } from './bed.ts'
import { type Baseline, baseline, kills, type Phase, scenario } from './scenario.ts'
import { openReason } from './still-open.ts'

/**
 * A file that gets each outcome as a line of JSON, for the table of docs/results/2026-11-28-hostile-pods.md. With it, nothing is
 * expected.
 */
const REPORT = process.env.VF_HOSTILE_REPORT

/** Makes tests of scenarios with one action each, or with several in a row. */
export function hostileTests(
  bed: () => HostileBed,
  phase: Phase,
  cases: readonly (readonly Action[])[],
): void {
  describe(phase, () => {
    let base: Baseline | undefined
    let dirty = false
    afterEach(async () => {
      if (!dirty) return
      await bed().renew()
      base = undefined
      dirty = false
    })
    test.each(cases.map((actions) => [actions.map(({ name }) => name).join(' + '), actions] as const))(
      '%s',
      async (name, actions) => {
        base ??= await baseline(bed())
        dirty = true
        const { complaints, check, end } = await scenario(bed(), base, phase, actions)
        dirty =
          complaints.length > 0 ||
          kills(phase, bed()) ||
          end !== '' ||
          actions.some(({ name: one }) => one === 'deleted')
        const { kind } = bed()
        if (REPORT !== undefined) {
          const groups = actions.map(({ group }) => group)
          appendFileSync(REPORT, `${JSON.stringify({ kind, phase, name, groups, complaints, check, end })}\n`)
          return
        }
        const open = openReason(
          kind,
          phase,
          actions.map((one) => one.name),
        )
        if (open === undefined) expect(complaints, complaints.join('\n')).toEqual([])
        else if (complaints.length === 0 && open.sometimes !== true)
          throw new Error(`"${name}" holds now: take it off the list of what is still open (${open.reason})`)
      },
    )
  })
}
