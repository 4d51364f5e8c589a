// All scenarios of port mappings (test/scenarios) that hold behind the distribution's plugin bridge, and its part of the table
// of offload and NAT. SCTP is in test/lab/portmap/kinds.test.ts.
// needs: veth, bridge, nft, conntrack
import { describeScenarios } from '../../scenarios/suite.ts'

describeScenarios('test/native/offload/scenarios-bridge')
