/** All that only calls with filters or rates need, loaded as one piece when the first of them is wanted. */
export { rateKernel, runRateOp } from './rate-ops.ts'
export { rivalsOf } from './rivals.ts'
export { changeRule, removeTable, sourceRules } from './rules.ts'
export {
  addClsact,
  addSteer,
  deleteOwnFilter,
  dropEmptyClsact,
  findOwnFilters,
  hasIngress,
  removeSteer,
} from './steer.ts'
