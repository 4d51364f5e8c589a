// The output of the kernel's own tests of tc becomes cases, and the list decides which may fail, and which may pass without the card.
import { expect, test } from 'vitest'
import type { Selftest } from './list.ts'
import { casesOf, judge, needless } from './output.ts'

const OUTPUT = `INFO: something
@card
@card
TEST: dst_mac match (skip_sw)                                       [ OK ]
@host
@refused Error: simnic: cannot match on MPLS labels.
TEST: mpls_label match (skip_sw)                                    [FAIL]
\tDid not match on correct filter
TEST: ping                                                          [ OK ]
@host
TEST: dev simpf0rep1 egress pedit ip src set 198.51.100.1           [ OK ]
`

test('each result is a case, with the filters and refusals before it and the words behind it', () => {
  expect(casesOf(OUTPUT)).toEqual([
    { name: 'dst_mac match (skip_sw)', result: 'OK', where: 'card', words: [] },
    {
      name: 'mpls_label match (skip_sw)',
      result: 'FAIL',
      where: 'host',
      words: ['Did not match on correct filter', 'Error: simnic: cannot match on MPLS labels.'],
    },
    { name: 'ping', result: 'OK', where: '-', words: [] },
    { name: 'dev simpf0rep1 egress pedit ip src set 198.51.100.1', result: 'OK', where: 'host', words: [] },
  ])
})

test('a case passes in the card, or is in the list as what it is', () => {
  const judged = (list: Partial<Selftest>) =>
    casesOf(OUTPUT).map((one) => {
      const { ok, remark } = judge({ name: 'x', ...list }, one)
      return [ok, remark]
    })
  expect(judged({})).toEqual([
    [true, ''],
    [false, 'Did not match on correct filter; Error: simnic: cannot match on MPLS labels.'],
    [true, ''],
    [false, 'passes without a filter in the card'],
  ])
  const listed: Partial<Selftest> = {
    fails: [{ cases: /mpls_.*/, reason: 'no MPLS' }],
    host: [{ cases: /dev \S+ egress .*/, reason: 'egress' }],
  }
  expect(judged(listed)).toEqual([
    [true, ''],
    [true, 'no MPLS'],
    [true, ''],
    [true, 'egress'],
  ])
  expect(judged({ fails: [{ cases: /ping|dst_mac.*/, reason: 'broken' }] })[2]).toEqual([
    false,
    'passes, but the list says: broken',
  ])
})

test('an entry of the list without a case is told', () => {
  const of = (cases: RegExp) => needless({ name: 'x', fails: [{ cases, reason: 'gone' }] }, casesOf(OUTPUT))
  expect(of(/mpls_label match .*/)).toEqual([])
  expect(of(/mpls_label/)).toEqual(['no case is like mpls_label: gone'])
})
