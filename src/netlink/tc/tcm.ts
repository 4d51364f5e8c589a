// The header of messages about qdiscs, chains and filters, and the requests that need nothing else. Loads without the codecs of all
// kinds of filters.
import { attrs } from '../codec/attrs.ts'
import { struct } from '../codec/struct.ts'
import { bytes, cstr, s32, u8, u32 } from '../codec/wire.ts'
import { family, type Message, NLM_F, type Request } from '../message.ts'
import { RTM } from '../rtnl/const.ts'

/**
 * struct tcmsg, linux/rtnetlink.h. tcm_info of a filter is priority and protocol (filterInfo), of a qdisc a count.
 * In a shared block tcm_ifindex is -1 (TCM_IFINDEX_MAGIC_BLOCK) and tcm_parent the block's number.
 */
export const tcmsg = struct('tcmsg', [
  ['tcm_family', u8],
  ['_pad', bytes(3)],
  ['tcm_ifindex', s32],
  ['tcm_handle', u32],
  ['tcm_parent', u32],
  ['tcm_info', u32],
])

/** TC_H_* of linux/pkt_sched.h: parents. */
export const TC_H = { TC_H_ROOT: 0xffffffff, TC_H_INGRESS: 0xfffffff1, TC_H_CLSACT: 0xfffffff1 } as const

/** The TCA_* of linux/rtnetlink.h that a question about a qdisc needs. */
export const tcaName = attrs('TCA', () => ({ TCA_KIND: [1, cstr(16)] }))

const nameMessage = family(tcmsg, tcaName)

/**
 * Asks for one qdisc of a device: the one at TC_H_ROOT or at TC_H_INGRESS. The answer has no message for a built-in root qdisc
 * (noop, noqueue); ENOENT or EINVAL where nothing is at TC_H_INGRESS.
 */
export function getQdisc(ifindex: number, parent: number): Request {
  const which = { tcm_ifindex: ifindex, tcm_parent: parent }
  // Without ECHO only listeners to changes get the answer (qdisc_notify, net/sched/sch_api.c).
  return nameMessage.request('RTM_GETQDISC', RTM.RTM_GETQDISC, NLM_F.NLM_F_ECHO, which)
}

/** Number and kind of the qdisc in a message of RTM_NEWQDISC. A qdisc that the kernel made by itself has the number 0. */
export function qdiscName(message: Message): { readonly handle: number; readonly kind: string } {
  const { tcm_handle: handle, TCA_KIND: kind = '' } = nameMessage.decode(message.payload)
  return { handle, kind }
}

/** Handle of a clsact or ingress qdisc: ffff: */
const clsactHandle = 0xffff0000
const clsactOn = (ifindex: number) => ({
  ...{ tcm_ifindex: ifindex, tcm_handle: clsactHandle, tcm_parent: TC_H.TC_H_CLSACT, TCA_KIND: 'clsact' },
})

/** Makes the clsact qdisc of a device; EEXIST if it has one or `ingress`. */
export function newClsact(ifindex: number): Request {
  const flags = NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL
  return nameMessage.request('RTM_NEWQDISC', RTM.RTM_NEWQDISC, flags, clsactOn(ifindex))
}

/** Removes the clsact qdisc of a device with all its filters; EINVAL or ENOENT if there is none. */
export function deleteClsact(ifindex: number): Request {
  return nameMessage.request('RTM_DELQDISC', RTM.RTM_DELQDISC, 0, clsactOn(ifindex))
}

/** For dump(): the filters below a parent of a device, of any kind. */
export function anyFilters(ifindex: number, parent: number): Request {
  const which = { tcm_ifindex: ifindex, tcm_parent: parent }
  return nameMessage.request('RTM_GETTFILTER', RTM.RTM_GETTFILTER, 0, which)
}

/** TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS): the parent of filters on frames that a device receives. */
export const CLSACT_INGRESS = 0xfffffff2
/** TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS): the parent of filters on frames that a device sends. */
export const CLSACT_EGRESS = 0xfffffff3

/** tcm_info of a filter: `priority` 0-65535 (0: the kernel chooses) and `protocol`, the EtherType (0 in some requests). */
export function filterInfo(priority: number, protocol: number): number {
  for (const [name, value] of [
    ['priority', priority],
    ['protocol', protocol],
  ] as const) {
    if (!Number.isInteger(value) || value < 0 || value > 0xffff)
      throw new RangeError(`Cannot make tcm_info: ${name} ${value} must be 0-65535`)
  }
  return priority * 0x10000 + swap16(protocol)
}

/** The priority in tcm_info. */
export function priorityOf(info: number): number {
  return info >>> 16
}

/** The EtherType in tcm_info, where it lies in network order. */
export function protocolOf(info: number): number {
  return swap16(info & 0xffff)
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >> 8)
}
