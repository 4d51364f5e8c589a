/**
 * The plan of all features together, and its installation. The policer in the NIC is a fact of this plan: one feature makes
 * it, others use it. So the plan has alternatives, best first: one with the policer, then one without.
 */
import { step } from '../../lib/log/steps.ts'
import type { Transaction } from '../../ops/apply.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import { type AddContext, type Alternative, type Looked, type Planned, PolicerRefused } from '../feature.ts'
import { merged } from '../state/journal.ts'

/** The plans of all features that have something to do, in their order. Never changed. */
export interface JointPlan {
  readonly features: readonly Planned[]
  /** Index of the policer that the best alternative has; undefined: there is but one alternative, without a policer. */
  readonly policer: number | undefined
  /** Why an alternative with a policer was left out before anybody asked the NIC. */
  readonly refused: PolicerRefused | undefined
}

/** Plans all features with the lock held. Changes nothing. @throws CniError for wishes that can't be fulfilled */
export function planTogether(looked: readonly Looked[], context: AddContext): JointPlan {
  const features = step('plan', () => looked.map((feature) => feature.plan(context)))
  const policer = features.find((feature) => feature.policer !== undefined)?.policer
  if (policer === undefined || features.some(({ usesPolicer }) => usesPolicer))
    return { features, policer, refused: undefined }
  return { features, policer: undefined, refused: new PolicerRefused('no filter came to have it') }
}

/**
 * Carries out the first alternative that the NIC takes. An alternative that the NIC refuses is taken back before the next one is
 * tried. Returns the journal of all features: `before`, with the fields of each feature as they are afterwards.
 * @throws CniError, ApplyError where no alternative is left, or none would help
 */
export function install(
  transaction: Transaction,
  { features, policer, refused }: JointPlan,
  before: OffloadJournal,
): OffloadJournal {
  const first = installAlternative(transaction, features, { policer, refused })
  if (!(first instanceof PolicerRefused)) return withFields(before, first)
  transaction.rollback()
  const second = installAlternative(transaction, features, { policer: undefined, refused: first })
  if (second instanceof PolicerRefused)
    throw new RangeError(`Cannot refuse a policer that the plan does not have: ${second.reason}`)
  return withFields(before, second)
}

function installAlternative(
  transaction: Transaction,
  features: readonly Planned[],
  alternative: Alternative,
): Partial<OffloadJournal>[] | PolicerRefused {
  const fields: Partial<OffloadJournal>[] = []
  for (const { journal, install } of features) {
    const done = install(transaction, alternative)
    if (done instanceof PolicerRefused) return done
    fields.push({ ...journal, ...done })
  }
  return fields
}

/** The fields of each feature after its installation take the place of those before. */
function withFields(before: OffloadJournal, fields: readonly Partial<OffloadJournal>[]): OffloadJournal {
  return merged({ ...before, ops: [], rules: [], notes: [] }, fields)
}
