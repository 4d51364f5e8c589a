/** Questions of CHECK, STATUS and vfctl alone, loaded when the first of them is asked. */
export { filterCounters, linkCounters, vfCounters } from '../inspect/counters.ts'
export { missingNeeds } from '../inspect/feature-probe.ts'
export { measure } from '../inspect/measure.ts'
export { verify } from '../inspect/verify.ts'
export { tcOffloadOf } from '../link/tc-offload-flag.ts'
export { everyOpenedPort, openedPorts } from '../nftables/map-elements.ts'
