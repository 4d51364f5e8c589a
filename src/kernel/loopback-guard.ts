/**
 * The guard of a host interface against packets from and to 127.0.0.0/8: a BPF program on clsact ingress, which gives the verdict
 * itself, so that the kernel needs no action for it. Every request goes by its place: nothing is dumped.
 */
import { loopbackGuard } from '../lib/loopback-guard.ts'
import { NLM_F, type Request } from '../netlink/message.ts'
import { RTM } from '../netlink/rtnl/const.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/socket.ts'
import { TCA_BPF_FLAG } from '../netlink/tc/bpf.ts'
import { decodeFilter, deleteFilter, getFilter } from '../netlink/tc/filter.ts'
import { TCA_CLS_FLAGS } from '../netlink/tc/flower.ts'
import { CLSACT_INGRESS, filterInfo, type Tc, tcMessage } from '../netlink/tc/msg.ts'
import { ETH_P } from '../netlink/tc/rule.ts'
import { getQdisc, TC_H } from '../netlink/tc/tcm.ts'
import type { Outcome } from '../ops/op.ts'
import { programTag, withClassifier } from '../sys/bpf.ts'
import { guardProgram } from './guard-program.ts'
import { tolerate } from './refusals.ts'

/** What an interface has of a guard. */
export interface GuardFacts {
  /** A clsact or ingress qdisc, whoever made it. */
  readonly qdisc: boolean
  readonly guard: boolean
}

/** Of a filter that is not there, or its qdisc, or its interface. */
const nothing = ['ENOENT', 'EINVAL', 'ENODEV'] as const

/** Looks at an interface, in one datagram. */
export function guardFacts(socket: NetlinkSocket, ifindex: number): GuardFacts {
  const [qdisc, filter] = socket.batch([
    getQdisc(ifindex, TC_H.TC_H_CLSACT),
    getFilter(placeOn(ifindex), 'bpf'),
  ])
  return { qdisc: isShown(qdisc), guard: isShown(filter) }
}

function isShown(reply: ReturnType<NetlinkSocket['batch']>[number] | undefined): boolean {
  if (!(reply instanceof NetlinkError)) return (reply?.messages.length ?? 0) > 0
  if (nothing.some((code) => code === reply.code)) return false
  throw reply
}

/**
 * Makes the guard. In the place of one that is there comes this one, at once.
 * @throws SystemError when the kernel does not load the program, NetlinkError when it takes no such filter
 */
export function addGuard(socket: NetlinkSocket, ifindex: number, isBridge: boolean): Outcome {
  return withClassifier(guardProgram(isBridge), loopbackGuard.name, (fd) => {
    try {
      socket.request(newGuard(ifindex, fd, NLM_F.NLM_F_EXCL))
      return {}
    } catch (error) {
      if (!(error instanceof NetlinkError && error.code === 'EEXIST')) throw error
      socket.request(newGuard(ifindex, fd, 0))
      return { existed: true }
    }
  })
}

/** Takes it away; fine when it is gone, also with its qdisc or interface. */
export function removeGuard(socket: NetlinkSocket, ifindex: number): void {
  tolerate(nothing, () => socket.request(deleteFilter(placeOn(ifindex), 'bpf')))
}

/** What is not as addGuard() left it: `no such filter`, or another program in its place. */
export function guardDifferences(socket: NetlinkSocket, ifindex: number, isBridge: boolean): string[] {
  const reply = tolerate(nothing, () => socket.request(getFilter(placeOn(ifindex), 'bpf')))
  const [message] = reply?.messages ?? []
  if (message === undefined) return ['no such filter']
  const options = optionsOf(decodeFilter(message))
  const tag = withClassifier(guardProgram(isBridge), loopbackGuard.name, programTag)
  const isSame =
    options?.TCA_BPF_FLAGS === TCA_BPF_FLAG.TCA_BPF_FLAG_ACT_DIRECT &&
    options.TCA_BPF_TAG !== undefined &&
    Buffer.compare(options.TCA_BPF_TAG, tag) === 0
  return isSame ? [] : [`bpf filter "${options?.TCA_BPF_NAME ?? ''}" with another program`]
}

function optionsOf({ TCA_OPTIONS: options }: Tc) {
  return options === undefined || options instanceof Uint8Array || !('TCA_BPF_ID' in options)
    ? undefined
    : options
}

function placeOn(ifindex: number) {
  const { priority, handle } = loopbackGuard
  return { ifindex, priority, handle, protocol: ETH_P.ETH_P_ALL }
}

function newGuard(ifindex: number, fd: number, exclusive: number): Request {
  return tcMessage.request('RTM_NEWTFILTER', RTM.RTM_NEWTFILTER, NLM_F.NLM_F_CREATE | exclusive, {
    tcm_ifindex: ifindex,
    tcm_handle: loopbackGuard.handle,
    tcm_parent: CLSACT_INGRESS,
    tcm_info: filterInfo(loopbackGuard.priority, ETH_P.ETH_P_ALL),
    TCA_KIND: 'bpf',
    TCA_OPTIONS: {
      TCA_BPF_FD: fd,
      TCA_BPF_NAME: loopbackGuard.name,
      TCA_BPF_FLAGS: TCA_BPF_FLAG.TCA_BPF_FLAG_ACT_DIRECT,
      TCA_BPF_FLAGS_GEN: TCA_CLS_FLAGS.TCA_CLS_FLAGS_SKIP_HW,
    },
  })
}
