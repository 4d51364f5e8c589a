// Limits of a VF of a simulated NIC in legacy mode (simnic, from source, not hardware), killed or failed at every operation of
// every verb, once, before or after it: DEL, or GC alone, leads back, with the rate of the VF as it was. Of all kinds of port
// this one has most operations: the VF's rate, and in the pod all that limits a pod behind a bridge.
// test/native/bandwidth/faults.test.ts has the steps that every kind has; VF_TEST_ALL=1 runs all kinds here. With
// VF_SOAK_FAULTS=short before and after each step, with full all five faults. VF_SOAK_SEED and VF_FAULT_CASE as in attach-faults.
import { bridgeTable, legacyTable, switchdevTable } from '../../soak/limit-tables.ts'
import { describeOffloadFaults } from '../../soak/offload-faults-suite.ts'

describeOffloadFaults({
  nic: 'simnic',
  what: 'limits',
  extent: 'once',
  tables: process.env.VF_TEST_ALL === '1' ? [bridgeTable, legacyTable, switchdevTable] : [legacyTable],
  // GC goes the way of DEL, and DEL says of its operations no more than their numbers.
  chosen: ({ verb, point }) =>
    point.startsWith('op:') && (verb !== 'GC' || ['op:2', 'op:3', 'op:4'].includes(point)),
})
