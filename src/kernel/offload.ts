/** All that only calls with filters or rates need, loaded as one piece when the first of them is wanted. */
export { rateKernel, runRateOp } from './rate-ops.ts'
export { rivalsOf } from './rivals.ts'
export { changeRule, removeTable, sourceRules } from './rules.ts'
export {
  addSteers,
  deleteOwnFilters,
  findOwnFilters,
  removeSteers,
} from './steer.ts'
