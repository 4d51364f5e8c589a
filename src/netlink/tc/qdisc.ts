// Qdiscs, which carry filters or shape frames. RTM_*QDISC of linux/rtnetlink.h.
import { type Message, NLM_F, type Request } from '../message.ts'
import { RTM } from '../rtnl/const.ts'
import { TC_H, type Tc, tcMessage } from './msg.ts'
import { type Tbf, type TbfSpec, tbfOptions } from './tbf.ts'

export { deleteClsact, getQdisc, newClsact } from './tcm.ts'

/**
 * Makes a tbf the root qdisc of a device, in place of the device's default qdisc; EEXIST if somebody has made a root qdisc.
 * `handle` has the major number in its upper half, 1 to 0x7fff.
 */
export function newTbf(ifindex: number, handle: number, spec: TbfSpec): Request {
  const flags = NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL
  return tcMessage.request('RTM_NEWQDISC', RTM.RTM_NEWQDISC, flags, {
    tcm_ifindex: ifindex,
    tcm_handle: handle,
    tcm_parent: TC_H.TC_H_ROOT,
    TCA_KIND: 'tbf',
    TCA_OPTIONS: tbfOptions(spec),
  })
}

/** Removes the root qdisc of a device if it has that handle; ENOENT or EINVAL if it has another. The default qdisc takes its place. */
export function deleteRootQdisc(ifindex: number, handle: number): Request {
  return tcMessage.request('RTM_DELQDISC', RTM.RTM_DELQDISC, 0, {
    tcm_ifindex: ifindex,
    tcm_handle: handle,
    tcm_parent: TC_H.TC_H_ROOT,
  })
}

/** The options of a tbf; undefined for a qdisc of another kind. */
export function tbfOf(qdisc: Tc): Tbf | undefined {
  const { TCA_KIND: kind, TCA_OPTIONS: options } = qdisc
  return kind === 'tbf' && options !== undefined && !(options instanceof Uint8Array)
    ? (options as Tbf)
    : undefined
}

/** For dump(): the qdiscs of all devices. The kernel ignores `ifindex`; 0 = all. */
export function dumpQdiscs(ifindex = 0): Request {
  return tcMessage.request('RTM_GETQDISC', RTM.RTM_GETQDISC, 0, { tcm_ifindex: ifindex })
}

/** The qdisc in a message of RTM_NEWQDISC. */
export function decodeQdisc(message: Message): Tc {
  return tcMessage.decode(message.payload)
}
