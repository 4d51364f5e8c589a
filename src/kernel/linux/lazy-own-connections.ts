/** All that keeps the node its own connections beside ports on a wire, loaded as one piece when the first of them is wanted. */

export { openConnections } from '../inspect/open-connections.ts'
export { keptOffRemoval, keptOffRequests } from '../nftables/kept-off.ts'
export {
  releaseLocalPorts,
  reservedLocalPorts,
  reserveLocalPorts,
  steeredPorts,
} from '../nftables/local-reserved-ports.ts'
