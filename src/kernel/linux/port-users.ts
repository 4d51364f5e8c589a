import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { PortUserKernel } from '../api/port-users.ts'
import { findLink } from '../link/links.ts'
import { nftables, ownConnections } from './lazy.ts'
import type { OpenSides } from './open-sides.ts'

/** Questions about the other users of host ports. */
export function portUserKernel({ route, generic, socket, netfilter }: OpenSides): PortUserKernel {
  const diag = () => socket('host', nftables().NETLINK_SOCK_DIAG)
  return {
    listeners: (proto, ports) => nftables().listenersOf(diag(), proto, ports),
    programWith: (inode) => nftables().programWith(inode),
    openConnections: (keys) =>
      ownConnections().openConnections(diag(), (action) => netfilter('host', action, []), keys),
    foreignNat: (keys) =>
      nftables().foreignNat(
        {
          netfilter: netfilter<NetlinkSocket | undefined>('host', (opened) => opened, undefined),
          generic,
          hasLink: (name) => findLink(route('host'), name) !== undefined,
        },
        keys,
      ),
  }
}
