// A worker that is killed before and after each step of each verb of vf-offload, port mappings and limits of a pod behind a bridge: the call is
// done all the same, once, and answered once, and DEL or GC leads back to the node as it was. test/native/offload/faults.test.ts and
// test/native/bandwidth/faults.test.ts have the same tables for calls without an agent. VF_TEST_ALL=1 strikes each step with each fault.
// VF_FAULT_CASE runs one case again.
// needs: veth, bridge, nft, tbf
import { describe } from 'vitest'
import { bridgeTable } from '../../soak/limit-tables.ts'
import { describeOffloadFaults, expectAtLeast } from '../../soak/offload-faults-suite.ts'

const isLong = process.env.VF_TEST_ALL === '1'

describe('a worker of vf-offload is killed', () => {
  describeOffloadFaults({
    ...{ nic: 'veth', warm: true, extent: isLong ? 'full' : 'killed twice' },
    tables: [{ kind: 'bridge', expectRows: (rows) => expectAtLeast(rows, 1, [3, 1, 1]) }, bridgeTable],
  })
})
