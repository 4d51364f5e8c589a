// Scenarios of port mappings and the table of offload and NAT (test/scenarios) behind the plugins bridge and ptp of the
// distribution; the node's own NIC is simulated.
// VF_TEST_ALL=1 runs every one wherever it holds.
import { describeScenarios } from '../scenarios/suite.ts'

describeScenarios({ nic: 'simnic', kinds: ['bridge', 'ptp'] })
