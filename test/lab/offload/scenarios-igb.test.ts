// Scenarios of port mappings and the table of offload and NAT (test/scenarios) on VFs of a real driver in legacy mode: those
// that tell most there. VF_TEST_ALL=1 runs every one that holds.
import { describeScenarios } from '../../scenarios/suite.ts'

describeScenarios('test/lab/offload/scenarios-igb')
