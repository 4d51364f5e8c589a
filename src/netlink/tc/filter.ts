// Filters: RTM_*TFILTER of linux/rtnetlink.h. In: the place of a filter and its options. Out: requests that the kernel carries out
// completely (checkFilter refuses parts that the kernel would ignore).
import { type Message, NLM_F, type Request } from '../message.ts'
import { RTM } from '../rtnl/const.ts'
import type { Action, Actions } from './actions/action.ts'
import type { Basic } from './kinds/basic.ts'
import { type Flower, TCA_CLS_FLAGS } from './kinds/flower.ts'
import type { Matchall } from './kinds/matchall.ts'
import type { U32Filter } from './kinds/u32.ts'
import {
  CLSACT_INGRESS,
  filterInfo,
  priorityOf,
  protocolOf,
  TCA_DUMP_FLAGS,
  type Tc,
  type TcRequest,
  tcMessage,
} from './msg.ts'
import { checkFilter } from './validate.ts'

/** Kinds of filters with options that this folder reads and writes. */
export type FilterKind = 'flower' | 'matchall' | 'u32' | 'basic'

/** The place of a filter. `ifindex`, `parent`, `chain`, `priority`, `handle` name one filter; `protocol` is the EtherType of its slot. */
export interface FilterPlace {
  readonly ifindex: number
  /** CLSACT_INGRESS by default, CLSACT_EGRESS, or the block's number with ifindex BLOCK_IFINDEX. */
  readonly parent?: number
  /** 0 by default. */
  readonly chain?: number
  /** 1-65535; in a new filter 0 lets the kernel choose. */
  readonly priority: number
  /** Non-zero; in a new filter 0 or undefined lets the kernel choose. */
  readonly handle?: number
  readonly protocol: number
}

/** Adds a flower filter; EEXIST if the handle, or the key in that priority, is taken. With `echo` the reply has the filter as stored. */
export function newFlower(place: FilterPlace, options: Flower, echo = true): Request {
  return newFilter({ ...header(place), TCA_KIND: 'flower', TCA_OPTIONS: options }, echo)
}

/** Adds a matchall filter. Its echo would have no options (compareEcho). */
export function newMatchall(place: FilterPlace, options: Matchall, echo = false): Request {
  return newFilter({ ...header(place), TCA_KIND: 'matchall', TCA_OPTIONS: options }, echo)
}

/** Adds any filter. Throws RangeError if the kernel would silently ignore a part of the filter. */
export function newFilter(value: TcRequest, echo = true): Request {
  checkFilter(value)
  const flags = NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL | (echo ? NLM_F.NLM_F_ECHO : 0)
  return tcMessage.request('RTM_NEWTFILTER', RTM.RTM_NEWTFILTER, flags, value)
}

/** Asks for one filter by its place; the reply's first message is the filter. ENOENT if it isn't there. `kind` is TCA_KIND, `flower`. */
export function getFilter(place: FilterPlace, kind: string): Request {
  return tcMessage.request('RTM_GETTFILTER', RTM.RTM_GETTFILTER, 0, { ...header(place), TCA_KIND: kind })
}

/** Removes one filter by its place; ENOENT if the filter isn't there, EINVAL if its qdisc isn't. */
export function deleteFilter(place: FilterPlace, kind: string): Request {
  if (!place.handle || !place.priority)
    throw new RangeError(
      'Cannot delete a filter without handle and priority: the kernel would delete all of them',
    )
  return tcMessage.request('RTM_DELTFILTER', RTM.RTM_DELTFILTER, 0, { ...header(place), TCA_KIND: kind })
}

/** Removes all filters of a kind in a slot, and the slot itself; ENOENT if there is none. */
export function deleteSlot({ handle: _, ...place }: FilterPlace, kind: FilterKind): Request {
  if (!place.priority)
    throw new RangeError('Cannot delete a slot without priority: the kernel would delete all of them')
  return tcMessage.request('RTM_DELTFILTER', RTM.RTM_DELTFILTER, 0, { ...header(place), TCA_KIND: kind })
}

/** The filters that a dump shows. */
export interface DumpedFilters {
  /** CLSACT_INGRESS by default. */
  readonly parent?: number
  /** All chains if undefined. */
  readonly chain?: number
  /** Only the filters of one priority and EtherType: the kernel skips the others (tcf_chain_dump of net/sched/cls_api.c). */
  readonly slot?: Pick<FilterPlace, 'priority' | 'protocol'>
  readonly terse?: boolean
}

/** For dump(): the filters below a parent of a device. A dump proves presence only: see NetlinkSocket.dump. */
export function dumpFilters(ifindex: number, options: DumpedFilters = {}): Request {
  const { parent = CLSACT_INGRESS, chain, slot, terse = false } = options
  const bit = TCA_DUMP_FLAGS.TCA_DUMP_FLAGS_TERSE
  return tcMessage.request('RTM_GETTFILTER', RTM.RTM_GETTFILTER, 0, {
    tcm_ifindex: ifindex,
    tcm_parent: parent,
    ...(slot === undefined ? {} : { tcm_info: filterInfo(slot.priority, slot.protocol) }),
    ...(chain === undefined ? {} : { TCA_CHAIN: chain }),
    ...(terse ? { TCA_DUMP_FLAGS: { value: bit, selector: bit } } : {}),
  })
}

/** The filter in a message of RTM_NEWTFILTER. */
export function decodeFilter(message: Message): Tc {
  return tcMessage.decode(message.payload)
}

/** The place of a dumped or echoed filter. */
export function placeOf(filter: Tc): Required<FilterPlace> {
  return {
    ifindex: filter.tcm_ifindex,
    parent: filter.tcm_parent,
    chain: filter.TCA_CHAIN ?? 0,
    priority: priorityOf(filter.tcm_info),
    handle: filter.tcm_handle,
    protocol: protocolOf(filter.tcm_info),
  }
}

/** The flower options of a filter; undefined for another kind, and for the head of a slot, which a dump shows without options. */
export function flowerOf(filter: TcRequest): Flower | undefined {
  return optionsOf<Flower>(filter, 'flower')
}

/** The matchall options of a filter; undefined for another kind. */
export function matchallOf(filter: TcRequest): Matchall | undefined {
  return optionsOf<Matchall>(filter, 'matchall')
}

/** The u32 options of a filter or of a hash table, which has a TCA_U32_DIVISOR; undefined for another kind. */
export function u32Of(filter: TcRequest): U32Filter | undefined {
  return optionsOf<U32Filter>(filter, 'u32')
}

/** The basic options of a filter; undefined for another kind. */
export function basicOf(filter: TcRequest): Basic | undefined {
  return optionsOf<Basic>(filter, 'basic')
}

function optionsOf<T>(
  { TCA_KIND: kind, TCA_OPTIONS: options }: TcRequest,
  wanted: FilterKind,
): T | undefined {
  return kind === wanted && options !== undefined && !(options instanceof Uint8Array)
    ? (options as T)
    : undefined
}

/** The actions of a filter of a {@link FilterKind} in their order. */
export function actionsOf(filter: TcRequest): readonly Action[] {
  const list: Actions =
    flowerOf(filter)?.TCA_FLOWER_ACT ??
    matchallOf(filter)?.TCA_MATCHALL_ACT ??
    u32Of(filter)?.TCA_U32_ACT ??
    basicOf(filter)?.TCA_BASIC_ACT ??
    []
  return list.map(([, action]) => action)
}

/** TCA_CLS_FLAGS of a filter; 0 for a kind without flags. */
export function flagsOf(filter: TcRequest): number {
  return (
    flowerOf(filter)?.TCA_FLOWER_FLAGS ??
    matchallOf(filter)?.TCA_MATCHALL_FLAGS ??
    u32Of(filter)?.TCA_U32_FLAGS ??
    0
  )
}

/** True if a driver reports that it has the filter. No proof by itself: the flag stays set after a change of the eSwitch mode. */
export function isInHardware(filter: TcRequest): boolean {
  return (flagsOf(filter) & TCA_CLS_FLAGS.TCA_CLS_FLAGS_IN_HW) !== 0
}

/** True for the parts of a slot that a dump shows besides filters: the slot's head, and the hash tables of u32. */
export function isSlotOnly(filter: Tc): boolean {
  return filter.TCA_OPTIONS === undefined || u32Of(filter)?.TCA_U32_DIVISOR !== undefined
}

/**
 * True when no other filter of `dump` is in the slot of this one: same interface, parent, chain, priority and protocol. Remove a u32
 * filter that is alone by {@link deleteSlot}: removing it by handle would leave its hash table if another slot has u32 too.
 */
export function isAloneInSlot(filter: Tc, dump: readonly Tc[]): boolean {
  const slotOf = ({ tcm_ifindex, tcm_parent, tcm_info, TCA_CHAIN = 0 }: Tc) =>
    [tcm_ifindex, tcm_parent, tcm_info, TCA_CHAIN].join()
  return !dump.some(
    (other) =>
      !isSlotOnly(other) && other.tcm_handle !== filter.tcm_handle && slotOf(other) === slotOf(filter),
  )
}

function header(place: FilterPlace): TcRequest {
  const { ifindex, parent = CLSACT_INGRESS, chain = 0, priority, handle = 0, protocol } = place
  const value = {
    tcm_ifindex: ifindex,
    tcm_handle: handle,
    tcm_parent: parent,
    tcm_info: filterInfo(priority, protocol),
  }
  return chain === 0 ? value : { ...value, TCA_CHAIN: chain }
}
