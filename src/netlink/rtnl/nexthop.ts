// Nexthop objects, which routes can share: RTM_GETNEXTHOP, struct nhmsg and NHA_* of linux/nexthop.h.
import { attrs } from '../codec/attrs.ts'
import { struct } from '../codec/struct.ts'
import { u8, u32 } from '../codec/wire.ts'
import { family, type Message, type Request } from '../message.ts'
import { RTM } from './const.ts'

/** struct nhmsg, linux/nexthop.h */
export const nhmsg = struct('nhmsg', [
  ['nh_family', u8],
  ['nh_scope', u8],
  ['nh_protocol', u8],
  ['_resvd', u8],
  ['nh_flags', u32],
])

/** NHA_* of linux/nexthop.h: the few that are read. */
export const nexthop = attrs('NHA', () => ({ NHA_ID: [1, u32], NHA_OIF: [5, u32] }))

const nexthopMessage = family(nhmsg, nexthop)

/** For dump(): the nexthop objects with one interface. EOPNOTSUPP before Linux 5.3. */
export function dumpNexthops(ifindex: number): Request {
  return nexthopMessage.request('RTM_GETNEXTHOP', RTM.RTM_GETNEXTHOP, 0, { NHA_OIF: ifindex })
}

/** Number and interface of the nexthop object in a message of RTM_NEWNEXTHOP. */
export function decodeNexthop(message: Message): {
  readonly id: number | undefined
  readonly ifindex: number | undefined
} {
  const { NHA_ID: id, NHA_OIF: ifindex } = nexthopMessage.decode(message.payload)
  return { id, ifindex }
}
