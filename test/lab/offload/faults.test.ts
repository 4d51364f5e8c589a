// vf-offload killed or failed at the steps that a VF alone has: afterwards DEL, or GC alone, leads back to the node as it was.
// The table of what was hit is printed. On a VF of a simulated NIC in switchdev mode, where an ADD does most (simnic, from
// source, not hardware), each step once, before or after it; test/native/offload/faults.test.ts has all faults at the steps
// that a pod behind a bridge has too. With VF_TEST_ALL=1 in legacy mode and behind a bridge too, with VF_SOAK_FAULTS=short
// before and after each step, with full all five faults. docs/testing.md says how to replay.
import type { Point } from '../../soak/fault-cases.ts'
import { describeOffloadFaults, expectAtLeast, type OffloadTable } from '../../soak/offload-faults-suite.ts'

const { VF_TEST_ALL, VF_SOAK_FAULTS } = process.env

/** Steps with a note: a clsact that is made has one. */
const switchdev: OffloadTable = {
  kind: 'simnic-full',
  expectRows: (rows) => expectAtLeast(rows, 10, VF_SOAK_FAULTS === undefined ? [2, 2, 1] : [5, 3, 3]),
}
const others: readonly OffloadTable[] = [
  { kind: 'bridge', expectRows: (rows) => expectAtLeast(rows, 1, [3, 1, 1]) },
  { kind: 'simnic-legacy', expectRows: (rows) => expectAtLeast(rows, 8, [4, 2, 2]) },
]

describeOffloadFaults({
  nic: 'simnic',
  extent: 'once',
  tables: VF_TEST_ALL === '1' ? [...others, switchdev] : [switchdev],
  chosen: isOfVf,
})

/**
 * Steps that a pod behind a bridge does not have, without the other family once more: records and the node's table are struck natively. DEL says of its
 * operations no more than their numbers: of these every other one. GC goes the way of DEL: of GC some.
 */
function isOfVf({ verb, point, what }: Point): boolean {
  if (what.startsWith('record.')) return false
  if (verb === 'GC') return ['op:2', 'op:4', 'file:1'].includes(point)
  if (verb === 'DEL') return Number(point.split(':')[1]) % 2 === 1
  return !/^nft |^pod:ip (-6 rule|route add (fd00|::))/.test(what)
}
