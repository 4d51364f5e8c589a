// Numbers that a namespace has for others: RTM_GETNSID, struct rtgenmsg and NETNSA_* of linux/net_namespace.h.
import { attrs } from '../attrs.ts'
import { family, type Message, type Request } from '../message.ts'
import { struct } from '../struct.ts'
import { bytes, s32, u8, u32 } from '../wire.ts'
import { RTM } from './const.ts'

/** struct rtgenmsg, linux/rtnetlink.h, up to where the attributes begin (NLMSG_ALIGN). */
const header = struct('rtgenmsg', [
  ['rtgen_family', u8],
  ['_pad', bytes(3)],
])

/** NETNSA_* of linux/net_namespace.h. */
export const netns = attrs('NETNSA', () => ({
  NETNSA_NSID: [1, s32],
  NETNSA_PID: [2, u32],
  NETNSA_FD: [3, u32],
}))

const nsidMessage = family(header, netns)

/** NETNSA_NSID_NOT_ASSIGNED */
const notAssigned = -1

/** Asks which number the socket's namespace has for the one that `fd` is open on. The reply's first message has it. */
export function getNsid(fd: number): Request {
  return nsidMessage.request('RTM_GETNSID', RTM.RTM_GETNSID, 0, { NETNSA_FD: fd })
}

/** The number in a message of RTM_NEWNSID, as IFLA_LINK_NETNSID has it; undefined where there is none. */
export function decodeNsid(message: Message): number | undefined {
  const { NETNSA_NSID: id } = nsidMessage.decode(message.payload)
  return id === notAssigned ? undefined : id
}
