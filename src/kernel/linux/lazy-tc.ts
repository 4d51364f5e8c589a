/** All that only calls with filters or rates need, loaded as one piece when the first of them is wanted. */

export { conflictsOf } from '../inspect/conflicts.ts'
export { changeRule, removeReplies, removeTable, sourceRules } from '../ip/policy-rules.ts'
export { eswitchLinks } from '../link/network-links.ts'
export { addFlowFilters, removeFlowFilters } from '../tc/flow-filters.ts'
export { deleteOwnFilters, findOwnFilters, findPlaced } from '../tc/own-filters.ts'
export { rateKernel, rateLooks, runRateOp } from '../tc/rate-operations.ts'
