// vf-offload killed or failed at every step of every verb, with all five faults before and after each, for a pod behind a
// bridge: afterwards DEL, or GC alone, leads back to the node as it was. The table of what was hit is printed.
// test/lab/offload/faults.test.ts has the steps that a VF alone has. docs/testing.md says how to replay.
// needs: veth, bridge, nft
import { describeOffloadFaults, expectAtLeast } from '../../soak/offload-faults-suite.ts'

describeOffloadFaults({
  nic: 'veth',
  extent: 'full',
  tables: [{ kind: 'bridge', expectRows: (rows) => expectAtLeast(rows, 1, [3, 1, 1]) }],
})
