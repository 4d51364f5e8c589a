/** All that only calls with filters, rates or ports need, loaded as one piece when the first of them is wanted. */
export { NETLINK_SOCK_DIAG } from '../netlink/diag/inet.ts'
export { NETLINK_NETFILTER } from '../netlink/nf/nfnetlink.ts'
export { forgetConnections } from './conntrack.ts'
export { reservedBy, reservedCookies } from './host-elements.ts'
export { releasePorts, reservePorts } from './host-ports.ts'
export { listenersOf, programWith } from './listeners.ts'
export { dropTable, loadTable, probeNft } from './nft.ts'
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
