// DEL, or GC alone, leads back from a kill or a failure at every operation of every verb, with limits of a VF of a
// simulated NIC in legacy mode (simnic, from source, not hardware). Each operation is struck once, before or after it.
// This kind of port has most operations: the VF's rate, and in the pod all that limits a pod behind a bridge.
// test/native/bandwidth/faults.test.ts has the steps that every kind has. VF_TEST_ALL=1 runs all kinds here;
// VF_SOAK_FAULTS=short strikes before and after each step, full with all five faults. VF_SOAK_SEED and VF_FAULT_CASE
// replay as in test/lab/attach/faults.test.ts.
import { bridgeTable, legacyTable, switchdevTable } from '../../soak/limit-tables.ts'
import { describeOffloadFaults } from '../../soak/offload-faults-suite.ts'

describeOffloadFaults({
  nic: 'simnic',
  extent: 'once',
  tables: process.env.VF_TEST_ALL === '1' ? [bridgeTable, legacyTable, switchdevTable] : [legacyTable],
  // GC goes the way of DEL, and DEL says of its operations no more than their numbers.
  chosen: ({ verb, point }) =>
    point.startsWith('op:') && (verb !== 'GC' || ['op:2', 'op:3', 'op:4'].includes(point)),
})
