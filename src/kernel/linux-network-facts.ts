/** The network facts of this process's namespace, asked of the real kernel. */
import { NETLINK_GENERIC } from '../netlink/genl/genl.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import { openNetlink } from '../sys/netlink.ts'
import type { NetworkFacts } from './api/network-facts.ts'
import { defaultRoutes, globalAddresses } from './ip/default-routes.ts'
import {
  type DevlinkDevices,
  ddpProfiles,
  devlinkDevices,
  devlinkId,
  eswitchModes,
  rdmaEnabled,
  troublesOf,
} from './link/devlink-facts.ts'
import { findLink } from './link/links.ts'
import { networkLinks } from './link/network-links.ts'
import { tcOffloadOf } from './link/tc-offload-flag.ts'

const NETLINK_ROUTE = 0

/** Opens the questions. Sockets are made when first used, and the list of devlink is read once; `close` closes them. */
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
  let known: DevlinkDevices | undefined
  const devices = () => {
    known ??= devlinkDevices(generic(), devlink())
    return known
  }
  const among = (functions: readonly string[]) => functions.filter((pci) => devices().all.has(pci))
  return {
    links: () => networkLinks(route()),
    defaultRoutes: () => defaultRoutes(route()),
    addresses: () => globalAddresses(route()),
    vfs: (pf) => findLink(route(), pf, true)?.vfs ?? new Map(),
    eswitchModes: (functions) => eswitchModes(generic(), devlink(), among(functions)),
    troubles: () => troublesOf(generic(), devlink(), devices()),
    ddpProfiles: (functions) => ddpProfiles(generic(), devlink(), among(functions)),
    rdmaEnabled: (functions) => rdmaEnabled(generic(), devlink(), among(functions)),
    tcOffloads: (links) => new Map(links.map((one) => [one, tcOffloadOf(generic(), one) === 'on'])),
    close: () => {
      for (const one of open.values()) one.close()
      open.clear()
    },
  }
}
