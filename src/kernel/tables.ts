/** All that reservations of host ports and tables of nftables need, loaded as one piece when the first of them is wanted. */
export { NETLINK_SOCK_DIAG } from '../netlink/diag/inet.ts'
export { NETLINK_NETFILTER } from '../netlink/nf/nfnetlink.ts'
export { forgetConnections } from './conntrack.ts'
export { foreignNat } from './foreign-nat/look.ts'
export { reservedBy, reservedCookies } from './host-elements.ts'
export { releasePorts, reservePorts } from './host-ports.ts'
export { listenersOf, programWith } from './listeners.ts'
export { dropTable, loadTable, probeNft } from './nft.ts'
