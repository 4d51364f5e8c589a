/** Moving an interface between namespaces, with its new name, in one request, and whole or not at all. */
import { changeLink, IFF } from '../../netlink/rtnl/link.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { LinkMove as Move, Side } from '../../ops/op.ts'
import { SystemError } from '../../sys/errno.ts'
import { ownNetns } from '../../sys/namespaces.ts'
import type { LinkFacts } from '../api/facts.ts'
import type { OpenNetns } from '../api/machine.ts'
import { allLinks, findLink, MissingLink, mustFindLink } from './links.ts'

/**
 * Moves and renames with one RTM_NEWLINK, so that no third party ever sees the interface under a foreign name. The
 * kernel moves first and renames afterwards (do_setlink), so a name that is taken leaves the interface moved under its
 * old name: after any error both namespaces are looked at and the interface is brought back, up if it was up; addresses
 * that it had are gone then. Throws the kernel's error, or StrandedLink when the way back failed too.
 */
export function moveLink(socket: (side: Side) => NetlinkSocket, pod: OpenNetns | undefined, op: Move): void {
  refuseOddName(op.newName)
  if (op.from === op.to) rename(socket(op.from), op)
  else if (op.ifindex === undefined || !movedAsItIs(socket, pod, op, op.ifindex)) {
    movedAfterALook(socket, pod, op)
  }
}

/**
 * Moves the interface with this number without having looked at it. It keeps the number (IFLA_NEW_IFINDEX, Linux 5.13),
 * by which it is known in both namespaces whatever its name is, or gets the one that is asked for. False, and nothing done,
 * when its number is taken over there and no other was asked for.
 */
function movedAsItIs(
  socket: (side: Side) => NetlinkSocket,
  pod: OpenNetns | undefined,
  op: Move,
  ifindex: number,
): boolean {
  const there = op.newIfindex ?? ifindex
  try {
    send(socket(op.from), ifindex, op.to, op.newName, pod, there)
    return true
  } catch (error) {
    const code = error instanceof NetlinkError ? error.code : undefined
    if (code === 'EBUSY' && op.newIfindex === undefined) return false
    if (code === 'EBUSY' || code === 'ENODEV' || findLink(socket(op.from), ifindex) !== undefined) throw error
    try {
      const stray = findLink(socket(op.to), there)
      // The kernel shuts an interface down to move it.
      if (stray === undefined || stray.up) throw new MissingLink(op.name)
      comeBack(socket, pod, op, stray, { name: stray.name, ifindex, up: op.up === true })
    } catch (second) {
      throw new StrandedLink(op, error, second)
    }
    throw error
  }
}

function movedAfterALook(socket: (side: Side) => NetlinkSocket, pod: OpenNetns | undefined, op: Move): void {
  const link = findMoving(socket(op.from), op)
  try {
    sendNumbered(socket(op.from), link.ifindex, op.to, op.newName, pod, op.newIfindex)
  } catch (error) {
    try {
      bringBack(socket, pod, op, link)
    } catch (second) {
      throw new StrandedLink(op, error, second)
    }
    throw error
  }
}

function rename(socket: NetlinkSocket, op: Move): void {
  // The kernel takes a rename to the same name for done.
  const ifindex = op.ifindex ?? mustFindLink(socket, op.name).ifindex
  socket.request(changeLink({ ifi_index: ifindex, IFLA_IFNAME: op.newName }))
}

function findMoving(socket: NetlinkSocket, op: Move): LinkFacts {
  const link = findLink(socket, op.ifindex ?? op.name)
  if (link === undefined) throw new MissingLink(op.name)
  return link
}

/** A refused move left the interface in the other namespace, and it could not be brought back. */
export class StrandedLink extends Error {
  readonly code: string

  constructor(op: Move, refusal: unknown, second: unknown) {
    const words = (error: unknown) => (error instanceof Error ? error.message : String(error))
    super(`${words(refusal)}; "${op.name}" is left in the ${op.to}: ${words(second)}`, { cause: refusal })
    this.name = 'StrandedLink'
    this.code = refusal instanceof Error && 'code' in refusal ? String(refusal.code) : 'EIO'
  }
}

/**
 * The kernel makes a name of its own out of one with a "%" (dev_prep_valid_name), keeps the old one for an empty one,
 * and finds others invalid (dev_valid_name) only after the move.
 */
function refuseOddName(name: string): void {
  if (/^[^\s/:%]{1,15}$/.test(name) && name !== '.' && name !== '..') return
  throw new SystemError('link.move', 22, `"${name}" is no interface name`)
}

function send(
  from: NetlinkSocket,
  ifindex: number,
  to: Side,
  name: string,
  pod: OpenNetns | undefined,
  newIndex?: number,
): void {
  const host = to === 'host' ? ownNetns() : undefined
  try {
    const fd = host?.fd ?? pod?.fd
    if (fd === undefined) throw new Error('Cannot move an interface to the pod: no namespace was given')
    const change = { ifi_index: ifindex, IFLA_NET_NS_FD: fd, IFLA_IFNAME: name }
    from.request(changeLink(newIndex === undefined ? change : { ...change, IFLA_NEW_IFINDEX: newIndex }))
  } finally {
    host?.close()
  }
}

/** Sends with a number to have there, or with any other where that is taken. */
function sendNumbered(
  from: NetlinkSocket,
  ifindex: number,
  to: Side,
  name: string,
  pod: OpenNetns | undefined,
  newIndex: number | undefined,
): void {
  try {
    send(from, ifindex, to, name, pod, newIndex)
  } catch (error) {
    if (newIndex === undefined || !(error instanceof NetlinkError && error.code === 'EBUSY')) throw error
    send(from, ifindex, to, name, pod)
  }
}

/** Undoes what a refused move may have done. */
function bringBack(
  socket: (side: Side) => NetlinkSocket,
  pod: OpenNetns | undefined,
  op: Move,
  was: LinkFacts,
): void {
  // Its number may be another one now, its name is not: only the renaming can fail after the move.
  const isIt = (link: LinkFacts) =>
    link.name === was.name && link.parent === was.parent && link.kind === was.kind
  const stayed = findLink(socket(op.from), was.ifindex)
  if (stayed !== undefined && isIt(stayed)) return
  const stray = allLinks(socket(op.to)).find(isIt)
  if (stray === undefined) throw new MissingLink(was.name)
  comeBack(socket, pod, op, stray, was)
}

function comeBack(
  socket: (side: Side) => NetlinkSocket,
  pod: OpenNetns | undefined,
  op: Move,
  stray: LinkFacts,
  { name, ifindex, up }: Pick<LinkFacts, 'name' | 'ifindex' | 'up'>,
): void {
  sendNumbered(socket(op.to), stray.ifindex, op.from, name, pod, ifindex)
  if (!up) return
  const back = mustFindLink(socket(op.from), name)
  socket(op.from).request(
    changeLink({ ifi_index: back.ifindex, ifi_flags: IFF.IFF_UP, ifi_change: IFF.IFF_UP }),
  )
}
