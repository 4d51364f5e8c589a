/** All that only calls with filters or rates need, loaded as one piece when the first of them is wanted. */

export { deleteOwnFilters, findOwnFilters, findPlaced } from './own-filters.ts'
export { rateKernel, runRateOp } from './rate-ops.ts'
export { rivalsOf } from './rivals.ts'
export { changeRule, removeReplies, removeTable, sourceRules } from './rules.ts'
export { addSteers, removeSteers } from './steer.ts'
