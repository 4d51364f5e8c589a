// Limits of a pod behind a bridge, killed or failed before and after every step of every verb, by one of five faults, in turn: DEL,
// or GC alone, leads back. Both ways where the kernel has a filter that leads every frame to an ifb; else to the pod alone, by a shaper.
// test/lab/bandwidth/faults.test.ts has VFs. The table of what was hit is printed.
// needs: veth, bridge, nft, tbf
import { bridgeTable } from '../../soak/limit-tables.ts'
import { describeOffloadFaults } from '../../soak/offload-faults-suite.ts'

describeOffloadFaults({ nic: 'veth', extent: 'short', tables: [bridgeTable] })
