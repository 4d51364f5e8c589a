// Scenarios of port mappings and the table of offload and NAT (test/scenarios) on VFs of a simulated NIC (simnic, from
// source, not hardware) in switchdev mode.
// VF_TEST_ALL=1 runs every one wherever it holds.
import { describeScenarios } from '../scenarios/suite.ts'

describeScenarios({ nic: 'simnic', kinds: ['simnic-full', 'simnic-steer-only'] })
