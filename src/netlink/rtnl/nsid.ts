// Numbers that one network namespace has for others: RTM_GETNSID, struct rtgenmsg and NETNSA_* of linux/net_namespace.h.
import { attrs } from '../codec/attrs.ts'
import { struct } from '../codec/struct.ts'
import { bytes, s32, u8, u32 } from '../codec/wire.ts'
import { family, type Message, type Request } from '../message.ts'
import { RTM } from './const.ts'

/** struct rtgenmsg, linux/rtnetlink.h: one byte, and the padding before the attributes. */
const rtgenmsg = struct('rtgenmsg', [
  ['rtgen_family', u8],
  ['_pad', bytes(3)],
])

/** NETNSA_* of linux/net_namespace.h. NETNSA_TARGET_NSID needs Linux 4.20. */
export const netnsa = attrs('NETNSA', () => ({
  NETNSA_NSID: [1, s32],
  NETNSA_PID: [2, u32],
  NETNSA_FD: [3, u32],
  NETNSA_TARGET_NSID: [4, s32],
  NETNSA_CURRENT_NSID: [5, s32],
}))

/** The payload of RTM_*NSID. */
const nsidMessage = family(rtgenmsg, netnsa)

/** The namespace in question: by an open descriptor, or by its number. */
export type WhichNetns = { readonly NETNSA_FD: number } | { readonly NETNSA_NSID: number }

/**
 * Asks for the number that the socket's namespace has for another namespace. With `target`, itself a number of the socket's
 * namespace, asks for the number that the namespace `target` has.
 */
export function getNsid(which: WhichNetns, target?: number): Request {
  const value = target === undefined ? which : { ...which, NETNSA_TARGET_NSID: target }
  return nsidMessage.request('RTM_GETNSID', RTM.RTM_GETNSID, 0, value)
}

/** The number in the answer to {@link getNsid}; undefined when the namespace has no number (NETNSA_NSID_NOT_ASSIGNED, -1). */
export function decodeNsid(message: Message): number | undefined {
  const { NETNSA_NSID: nsid = -1 } = nsidMessage.decode(message.payload)
  return nsid < 0 ? undefined : nsid
}
