/**
 * Adds, finds and removes the loopback guard of a host interface: a BPF program on clsact ingress that drops packets from and to
 * 127.0.0.0/8. The program returns the verdict itself, so the filter needs no action. Each request names the filter's place.
 */

import { log } from '../../lib/log/log.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import { deleteProgram, getProgram, newProgram, programOf } from '../../netlink/tc/program.ts'
import { getQdisc, TC_H } from '../../netlink/tc/tcm.ts'
import { loopbackGuard } from '../../ops/marks/loopback-guard.ts'
import type { Outcome } from '../../ops/op.ts'
import { loadClassifier, programTag, tcxIngressPrograms, withClassifier } from '../../sys/bpf.ts'
import type { GuardFacts } from '../api/filters.ts'
import { tolerate } from '../errors.ts'
import { guardProgram } from './guard-program.ts'

/** Errors when the filter, its qdisc or its interface does not exist. */
const nothing = ['ENOENT', 'EINVAL', 'ENODEV'] as const

/** Reads the state of the loopback guard on an interface. */
export function guardFacts(socket: NetlinkSocket, ifindex: number): GuardFacts {
  const [qdisc, filter] = socket.batch([getQdisc(ifindex, TC_H.TC_H_CLSACT), getProgram(placeOn(ifindex))])
  return { qdisc: isShown(qdisc), guard: isShown(filter), tcx: tcxIngressPrograms(ifindex).length > 0 }
}

function isShown(reply: ReturnType<NetlinkSocket['batch']>[number] | undefined): boolean {
  if (!(reply instanceof NetlinkError)) return (reply?.messages.length ?? 0) > 0
  if (nothing.some((code) => code === reply.code)) return false
  throw reply
}

/**
 * Adds the guard. Replaces a guard that exists already in one request (`existed`), so that the interface is never without.
 * @throws SystemError when the kernel does not load the program, NetlinkError when it takes no such filter
 */
export function addGuard(socket: NetlinkSocket, ifindex: number, isBridge: boolean): Outcome {
  return withGuard(isBridge, (fd) => {
    try {
      socket.request(newGuard(ifindex, fd, false))
      return {}
    } catch (error) {
      if (!(error instanceof NetlinkError && error.code === 'EEXIST')) throw error
      socket.request(newGuard(ifindex, fd, true))
      return { existed: true }
    }
  })
}

/** Removes the guard. Succeeds when the guard, its qdisc or its interface is gone. */
export function removeGuard(socket: NetlinkSocket, ifindex: number): void {
  tolerate(nothing, () => socket.request(deleteProgram(placeOn(ifindex))))
}

/** The difference from the guard of addGuard(): `no such filter`, or another program in its place. Empty when there is none. */
export function guardDifferences(socket: NetlinkSocket, ifindex: number, isBridge: boolean): string[] {
  const reply = tolerate(nothing, () => socket.request(getProgram(placeOn(ifindex))))
  const [message] = reply?.messages ?? []
  if (message === undefined) return ['no such filter']
  const options = programOf(message)
  const tag = withGuard(isBridge, programTag)
  const isSame =
    options?.TCA_BPF_FLAGS === direct &&
    options.TCA_BPF_TAG !== undefined &&
    Buffer.compare(options.TCA_BPF_TAG, tag) === 0
  return isSame ? [] : [`bpf filter "${options?.TCA_BPF_NAME ?? ''}" with another program`]
}

/** Programs that stay loaded, by whether they are for a bridge. Only the place of a guard differs between two interfaces of a kind. */
const kept = new Map<boolean, number>()

/** Loads the programs, and keeps them, for a process that serves many calls. A kernel that takes none says so when one is needed. */
export function keepGuards(): void {
  for (const isBridge of [false, true]) {
    try {
      kept.set(isBridge, loadClassifier(guardProgram(isBridge), loopbackGuard.name))
    } catch (error) {
      log.debug({ reason: String(error) }, 'no program of the loopback guard is kept')
    }
  }
}

function withGuard<T>(isBridge: boolean, use: (fd: number) => T): T {
  const fd = kept.get(isBridge)
  return fd === undefined ? withClassifier(guardProgram(isBridge), loopbackGuard.name, use) : use(fd)
}

function placeOn(ifindex: number) {
  return { ifindex, priority: loopbackGuard.priority, handle: loopbackGuard.handle }
}

/** TCA_BPF_FLAG_ACT_DIRECT and TCA_CLS_FLAGS_SKIP_HW, linux/pkt_cls.h. */
const [direct, skipHw] = [1, 1]

function newGuard(ifindex: number, fd: number, replaces: boolean): ReturnType<typeof newProgram> {
  const options = { TCA_BPF_FD: fd, TCA_BPF_NAME: loopbackGuard.name, TCA_BPF_FLAGS: direct }
  return newProgram(placeOn(ifindex), { ...options, TCA_BPF_FLAGS_GEN: skipHw }, replaces)
}
