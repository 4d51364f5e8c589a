// Scenarios of port mappings and the table of offload and NAT (test/scenarios) without representors: on VFs of a simulated
// NIC (simnic, from source, not hardware) in legacy mode, and on NICs of the pods' own.
// VF_TEST_ALL=1 runs every one wherever it holds.
import { describeScenarios } from '../scenarios/suite.ts'

describeScenarios({ nic: 'simnic', others: 3, kinds: ['simnic-legacy', 'host-nic'] })
