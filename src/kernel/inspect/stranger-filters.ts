/** Finds filters of others among hundreds of our own, which are passed over undecoded. Pure. */
import { fromHex } from '../../lib/hex.ts'
import { nlmsghdr } from '../../netlink/message.ts'

/** The offset of the priority in a message of a filter: the upper half of tcm_info (struct tcmsg, linux/rtnetlink.h). */
const priorityAt = nlmsghdr.size + 18

/**
 * The payloads of the filters in a datagram up to the priority `last` that have no cookie of ours, as copies. Our own filters are sorted out
 * by their bytes, because the uplink of a node has hundreds of them.
 */
export function strangersIn(datagram: Uint8Array, last: number, ownPrefix: string): Uint8Array[] {
  const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length)
  const ownCookie = Buffer.from([20, 0, 6, 0, ...fromHex(ownPrefix)])
  const found: Uint8Array[] = []
  let own = bytes.indexOf(ownCookie)
  for (let at = 0; at < bytes.length; ) {
    const end = at + bytes.readUInt32LE(at)
    const prio = bytes.readUInt16LE(at + priorityAt)
    while (own >= 0 && own < at) own = bytes.indexOf(ownCookie, at)
    if (prio <= last && !(own >= 0 && own < end)) found.push(datagram.slice(at + nlmsghdr.size, end))
    at = (end + 3) & ~3
  }
  return found
}
