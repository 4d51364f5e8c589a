/** Moves an interface to another namespace and renames it, in one request, whole or not at all. */
import { changeLink, IFF } from '../../netlink/rtnl/link.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { LinkMove as Move, Side } from '../../ops/op.ts'
import { SystemError } from '../../sys/errno.ts'
import { ownNetns } from '../../sys/namespaces.ts'
import type { LinkFacts } from '../api/facts.ts'
import type { OpenNetns } from '../api/machine.ts'
import { allLinks, findLink, MissingLink, mustFindLink } from './links.ts'

/**
 * Moves and renames with one RTM_NEWLINK, so that no other process sees the interface under a wrong name. The kernel moves
 * first and renames afterwards (do_setlink): when the new name is taken, the interface has moved under its old name. After an
 * error, this function therefore looks in both namespaces and brings the interface back, up if it was up. The move has
 * removed the addresses of the interface then.
 * @throws the kernel's error; StrandedLink when the way back fails too
 */
export function moveLink(socket: (side: Side) => NetlinkSocket, pod: OpenNetns | undefined, op: Move): void {
  refuseOddName(op.newName)
  if (op.from === op.to) rename(socket(op.from), op)
  else if (op.ifindex === undefined || !movedAsItIs(socket, pod, op, op.ifindex)) {
    movedAfterALook(socket, pod, op)
  }
}

/**
 * Moves the interface with this ifindex without a read before. The interface keeps its ifindex, or gets `newIfindex`
 * (IFLA_NEW_IFINDEX, Linux 5.13), so that the ifindex identifies it in both namespaces. Returns false, with nothing changed,
 * when the other namespace has the ifindex already and the operation has no `newIfindex`.
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
      // An interface that is up is not the moved one: the kernel sets an interface down to move it.
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
  // The kernel accepts a rename to the same name.
  const ifindex = op.ifindex ?? mustFindLink(socket, op.name).ifindex
  socket.request(changeLink({ ifi_index: ifindex, IFLA_IFNAME: op.newName }))
}

function findMoving(socket: NetlinkSocket, op: Move): LinkFacts {
  const link = findLink(socket, op.ifindex ?? op.name)
  if (link === undefined) throw new MissingLink(op.name)
  return link
}

/** A refused move has left the interface in the other namespace, and the way back has failed too. */
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
 * Refuses a name before the move. The kernel replaces a "%" in a name (dev_prep_valid_name), keeps the old name when the new one
 * is empty, and refuses an invalid name (dev_valid_name) only after the move.
 */
function refuseOddName(name: string): void {
  if (/^[^\s/:%]{1,15}$/.test(name) && name !== '.' && name !== '..') return
  const allowed = 'must be 1 to 15 characters without space, "/", ":" and "%", and not "." or ".."'
  throw new SystemError('link.move', 22, `"${name}" is no interface name; ${allowed}`)
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

/** Moves to the ifindex `newIndex`, or to an ifindex of the kernel's choice where `newIndex` is taken. */
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

/** Moves the interface back when a refused move has left it in the other namespace. */
function bringBack(
  socket: (side: Side) => NetlinkSocket,
  pod: OpenNetns | undefined,
  op: Move,
  was: LinkFacts,
): void {
  // The ifindex may have changed. The name has not: the rename is the only step that can fail after the move.
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
