/** Counters of traffic in this process's namespace, asked of the real kernel. */
import { NETLINK_GENERIC } from '../netlink/genl/genl.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import { openNetlink } from '../sys/netlink.ts'
import type { TrafficFacts } from './api/traffic.ts'
import { linkTraffic, portTraffic } from './link/traffic.ts'
import { ethtoolId, wireTraffic } from './link/wire-traffic.ts'

const NETLINK_ROUTE = 0

/** Opens the questions. Sockets are made when first used; `close` closes them. */
export function openTraffic(): TrafficFacts {
  let [route, generic]: (NetlinkSocket | undefined)[] = []
  const routeSocket = () => {
    route ??= new NetlinkSocket(openNetlink(NETLINK_ROUTE))
    return route
  }
  return {
    port: (ifindex, numVfs) => portTraffic(routeSocket(), ifindex, numVfs),
    links: () => linkTraffic(routeSocket()),
    wire: (ifindexes) => {
      generic ??= new NetlinkSocket(openNetlink(NETLINK_GENERIC))
      const family = ethtoolId(generic)
      return family === undefined ? new Map() : wireTraffic(generic, family, ifindexes)
    },
    close: () => {
      route?.close()
      generic?.close()
      route = undefined
      generic = undefined
    },
  }
}
