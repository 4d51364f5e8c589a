// Scenarios of port mappings and the table of offload and NAT (test/scenarios) on a simulated NIC (simnic, from source, not
// hardware): VFs in legacy mode, NICs of the pods' own, VFs in switchdev mode. Those that tell most there; VF_TEST_ALL=1 runs
// every one that holds.
import { describeScenarios } from '../../scenarios/suite.ts'

describeScenarios('test/lab/offload/scenarios-simnic')
