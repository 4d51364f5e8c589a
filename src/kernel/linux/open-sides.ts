/** The two sides of a node with their sockets, which are made when first used. */
import { NetlinkSocket, type Transport } from '../../netlink/socket.ts'
import type { Side } from '../../ops/op.ts'
import { SystemError } from '../../sys/errno.ts'
import { withNetns } from '../../sys/namespaces.ts'
import { openNetlink } from '../../sys/netlink.ts'
import type { OpenNetns } from '../api/machine.ts'
import { findLink, mustFindLink } from '../link/links.ts'
import type { Sides } from '../link/sides.ts'
import type { RunNft } from '../nftables/nft-program.ts'
import { hostSockets, kept } from './kept/sockets.ts'
import { runNft } from './run-nft.ts'

/** All that the adapter's files need to reach the kernel. */
export interface OpenSides extends Sides {
  readonly pod: OpenNetns | undefined
  /** The pod's namespace. Throws when none was given. */
  podNetns(): OpenNetns
  /** A socket of rtnetlink that serves nobody else until its user closes it. */
  openRoute(side: Side): NetlinkSocket
  /** A socket of a side by the number of its protocol (NETLINK_*). */
  socket(side: Side, protocol: number): NetlinkSocket
  /** Runs `action` with a socket of netfilter; a kernel without netfilter's netlink has `nothing`, as an empty table would. */
  netfilter<T>(side: Side, action: (socket: NetlinkSocket) => T, nothing: T): T
  /** Runs `action` in the namespace of a side. */
  inside<T>(side: Side, action: () => T): T
  nft(side: Side): RunNft
  /** Looks at an interface, and keeps its number for operations that name it. */
  link: (side: Side, by: number | string, options?: { readonly vfs?: boolean }) => ReturnType<typeof findLink>
  close(): void
}

const NETLINK_ROUTE = 0
const NETLINK_NETFILTER = 12
const NETLINK_GENERIC = 16

/** Opens the sides. `close` closes the sockets. */
export function openSides(pod?: OpenNetns): OpenSides {
  const ofPod = new Map<number, NetlinkSocket>()
  const podNetns = (): OpenNetns => {
    if (pod !== undefined) return pod
    throw new Error('Cannot reach the pod: no namespace was given')
  }
  const open = (side: Side, protocol: number): NetlinkSocket =>
    new NetlinkSocket(openNetlink(protocol, side === 'pod' ? podNetns() : undefined))
  // Sockets of the host by their protocol: a process that lives long keeps them.
  const ofHost = new Map<number, NetlinkSocket>()
  const socket = (side: Side, protocol: number): NetlinkSocket => {
    const own = side === 'host' ? ofHost : ofPod
    const known = own.get(protocol)
    if (known !== undefined) return known
    const opened = side === 'host' ? hostSockets.take(protocol) : open(side, protocol)
    own.set(protocol, opened)
    return opened
  }
  const route = (side: Side): NetlinkSocket => socket(side, NETLINK_ROUTE)
  // A socket whose dump was read to its end serves the next dump of the side.
  const spare = new Map<Side, ReusedSocket>()
  const openRoute = (side: Side): NetlinkSocket => {
    const left = spare.get(side)
    spare.delete(side)
    const netns = side === 'pod' ? podNetns() : undefined
    return left ?? new ReusedSocket(openNetlink(NETLINK_ROUTE, netns), (closed) => takeBack(side, closed))
  }
  const takeBack = (side: Side, closed: ReusedSocket): void => {
    if (closed.isIdle && !spare.has(side)) spare.set(side, closed)
    else closed.end()
  }
  const inside = <T>(side: Side, action: () => T): T =>
    side === 'pod' && pod !== undefined ? withNetns(pod, action) : action()
  // Numbers of interfaces that were looked at, by side and name: an operation needs no second look.
  const numbers = new Map<string, number>()
  return {
    pod,
    podNetns,
    socket,
    route,
    inside,
    openRoute,
    generic: () => socket('host', NETLINK_GENERIC),
    background: () => kept.background,
    netfilter: (side, action, nothing) => {
      let opened: NetlinkSocket
      try {
        opened = socket(side, NETLINK_NETFILTER)
      } catch (error) {
        if (error instanceof SystemError && error.code === 'EPROTONOSUPPORT') return nothing
        throw error
      }
      return action(opened)
    },
    nft: (side) => (args, input) =>
      runNft(args, input, side === 'pod' ? podPatience : undefined, (action) => inside(side, action)),
    indexOf: (side, name) => {
      const key = `${side} ${name}`
      const ifindex = numbers.get(key) ?? mustFindLink(route(side), name).ifindex
      numbers.set(key, ifindex)
      return ifindex
    },
    forget: () => numbers.clear(),
    link: (side, by, options) => {
      const found = findLink(route(side), by, options?.vfs === true)
      const name = typeof by === 'number' ? found?.name : by
      if (found !== undefined) numbers.set(`${side} ${name}`, found.ifindex)
      else if (name !== undefined) numbers.delete(`${side} ${name}`)
      return found
    },
    close: () => {
      for (const opened of spare.values()) opened.end()
      for (const opened of ofPod.values()) opened.close()
      for (const [protocol, opened] of ofHost) hostSockets.give(protocol, opened)
      ofPod.clear()
      ofHost.clear()
      spare.clear()
    },
  }
}

/** A socket that goes back to whoever lent it when its user closes it. */
class ReusedSocket extends NetlinkSocket {
  readonly #takeBack: (socket: ReusedSocket) => void

  constructor(transport: Transport, takeBack: (socket: ReusedSocket) => void) {
    super(transport)
    this.#takeBack = takeBack
  }

  override close(): void {
    this.#takeBack(this)
  }

  end(): void {
    super.close()
  }
}

/** Time for `nft` in a pod, in milliseconds: it reads all that is there, a pod can have as much as it likes, and others wait. */
const podPatience = 10_000
