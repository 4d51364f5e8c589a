/** Journals put together: the fields of several features, and the entries of one list that share a record. Pure. */
import { emptyJournal, type OffloadJournal } from '../../records/offload.ts'

/** Joins the lists that features share. Every other field belongs to one feature. */
export function merged(base: OffloadJournal, fields: readonly Partial<OffloadJournal>[]): OffloadJournal {
  return {
    ...Object.assign({}, base, ...fields),
    ops: [...base.ops, ...fields.flatMap(({ ops = [] }) => ops)],
    rules: [...base.rules, ...fields.flatMap(({ rules = [] }) => rules)],
    notes: [...base.notes, ...fields.flatMap(({ notes = [] }) => notes)],
  }
}

/** The journal of all entries: of those before and of this one. */
export function joined(before: OffloadJournal | undefined, own: OffloadJournal): OffloadJournal {
  if (before === undefined) return own
  const { keys, ...rest } = own
  // The filters of the entry before have counted since its ADD.
  const { received = own.received } = before
  return {
    ...merged(before, [rest]),
    ...(received === undefined ? {} : { received }),
    keys: [...before.keys, ...keys],
    entries: (before.entries ?? 1) + 1,
  }
}

/** The part of a record for which an entry without port mappings answers: the mappings are another entry's. */
export function withoutOthersPorts(journal: OffloadJournal): OffloadJournal {
  if (journal.entries === undefined) return journal
  const { keys, ops, rules } = emptyJournal
  return { ...journal, keys, ops, rules }
}

/** Index of the policer in the NIC by which one of these journals limits frames to the pod; undefined where none does. */
export function policerIn(journals: readonly OffloadJournal[]): number | undefined {
  const inNic = journals.flatMap(({ limits = [] }) => limits.filter(({ where }) => where === 'nic'))
  const [index] = inNic.flatMap(({ ops }) =>
    ops.flatMap((op) => (op.do === 'limiter.add' ? [op.limiter.index] : [])),
  )
  return index
}
