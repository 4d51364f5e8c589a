/** What only CHECK, STATUS and vfctl ask for; linux.ts loads it when one does. */
export { filterCounters, linkCounters } from '../inspect/counters.ts'
export { missingNeeds } from '../inspect/feature-probe.ts'
export { measure } from '../inspect/measure.ts'
export { verify } from '../inspect/verify.ts'
export { tcOffloadOf } from '../link/tc-offload-flag.ts'
export { openedPorts } from '../nftables/map-elements.ts'
