// The entries of one list share a record: what counts from the first ADD on is kept.
import { expect, test } from 'vitest'
import { joined } from '../../../src/offload/state/journal.ts'
import { emptyJournal } from '../../../src/records/offload.ts'

test('counters that filters are compared with are those before the first filter', () => {
  const own = { ...emptyJournal, received: { byPf: 20 } }
  expect(joined({ ...emptyJournal, received: { byPf: 10 } }, own).received).toEqual({ byPf: 10 })
  expect(joined({ ...emptyJournal, received: { byPf: 10 } }, emptyJournal).received).toEqual({ byPf: 10 })
  expect(joined(emptyJournal, own).received).toEqual({ byPf: 20 })
  expect(joined(emptyJournal, emptyJournal)).not.toHaveProperty('received')
})
