/** The network facts of this process's namespace, asked of the real kernel. */
import { NETLINK_GENERIC } from '../netlink/genl/genl.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import { openNetlink } from '../sys/netlink.ts'
import type { NetworkFacts } from './api/network-facts.ts'
import { defaultRoutes, globalAddresses } from './ip/default-routes.ts'
import { ddpProfiles, devlinkId, eswitchModes, rdmaEnabled, troublesOf } from './link/devlink-facts.ts'
import { findLink } from './link/links.ts'
import { networkLinks } from './link/network-links.ts'

const NETLINK_ROUTE = 0

/** Opens the questions. Sockets are made when first used; `close` closes them. */
export function openNetworkFacts(): NetworkFacts {
  const open = new Map<number, NetlinkSocket>()
  const socket = (protocol: number): NetlinkSocket => {
    const known = open.get(protocol)
    if (known !== undefined) return known
    const opened = new NetlinkSocket(openNetlink(protocol))
    open.set(protocol, opened)
    return opened
  }
  const route = () => socket(NETLINK_ROUTE)
  const generic = () => socket(NETLINK_GENERIC)
  let family: number | undefined
  const devlink = () => {
    family ??= devlinkId(generic())
    return family
  }
  return {
    links: () => networkLinks(route()),
    defaultRoutes: () => defaultRoutes(route()),
    addresses: () => globalAddresses(route()),
    vfs: (pf) => findLink(route(), pf, true)?.vfs ?? new Map(),
    eswitchModes: (functions) => eswitchModes(generic(), devlink(), functions),
    troubles: () => troublesOf(generic(), devlink()),
    ddpProfiles: (functions) => ddpProfiles(generic(), devlink(), functions),
    rdmaEnabled: (functions) => rdmaEnabled(generic(), devlink(), functions),
    close: () => {
      for (const one of open.values()) one.close()
      open.clear()
    },
  }
}
