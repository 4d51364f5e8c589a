import { type Addr, decodeAddr, dumpAddrs } from '../../netlink/rtnl/addr.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'

/** The kernel's messages for the addresses of one interface, or of all; none for an interface that has left meanwhile. */
export function dumpedAddresses(socket: NetlinkSocket, ifindex?: number): Addr[] {
  if (ifindex === undefined) return socket.dump(dumpAddrs({})).map(decodeAddr)
  try {
    const found = socket.dump(dumpAddrs({ ifa_index: ifindex })).map(decodeAddr)
    return found.filter(({ ifa_index }) => ifa_index === ifindex)
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENODEV') return []
    throw error
  }
}
