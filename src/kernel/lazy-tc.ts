/** All that only calls with filters or rates need, loaded as one piece when the first of them is wanted. */

export { deleteOwnFilters, findOwnFilters, findPlaced } from './tc/own-filters.ts'
export { rateKernel, runRateOp } from './tc/rate-operations.ts'
export { rivalsOf } from './inspect/conflicts.ts'
export { changeRule, removeReplies, removeTable, sourceRules } from './ip/policy-rules.ts'
export { addSteers, removeSteers } from './tc/flow-filters.ts'
