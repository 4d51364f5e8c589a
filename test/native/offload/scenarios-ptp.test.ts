// Scenarios of port mappings (test/scenarios) that take another way behind the distribution's plugin ptp than behind a bridge,
// and ptp's part of the table of offload and NAT. VF_TEST_ALL=1 runs every one that holds.
// needs: veth, nft, conntrack
import { describeScenarios } from '../../scenarios/suite.ts'

describeScenarios('test/native/offload/scenarios-ptp')
