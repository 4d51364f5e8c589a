/** What only CHECK, STATUS and vfctl ask for; linux.ts loads it when one does. */
export { filterCounters, linkCounters } from './counters.ts'
export { tcOffloadOf } from './ethtool.ts'
export { openedPorts } from './host-elements.ts'
export { limitCounters } from './limit-counters.ts'
export { missingNeeds } from './needs.ts'
export { verify } from './verify.ts'
