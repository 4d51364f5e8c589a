// Scenarios of port mappings and the table of offload and NAT (test/scenarios) on VFs of a real driver in legacy mode.
// VF_TEST_ALL=1 runs every one wherever it holds.
import { describeScenarios } from '../scenarios/suite.ts'

describeScenarios({ nic: 'igb', kinds: ['igb'] })
