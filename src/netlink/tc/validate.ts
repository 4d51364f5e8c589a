// Refuses filters that the kernel would accept and not carry out: net/sched ignores attributes that it doesn't know, keys whose
// layer isn't matched, masks without a key, actions after a gap in the numbers. In: a request. Out: a RangeError.
import { type Action, type Actions, TC_COOKIE_MAX_SIZE, TCA_ACT_MAX_PRIO } from './actions/action.ts'
import { TC_ACT } from './actions/gact.ts'
import { TCA_MIRRED_EACTION } from './actions/mirred.ts'
import { TCA_VLAN_ACT } from './actions/vlan.ts'
import type { Basic } from './kinds/basic.ts'
import { type Flower, TCA_CLS_FLAGS } from './kinds/flower.ts'
import type { Matchall } from './kinds/matchall.ts'
import { TC_U32, type U32Filter } from './kinds/u32.ts'
import { protocolOf, type TcRequest } from './msg.ts'

/** linux/if_ether.h */
export const ETH_P = {
  ETH_P_IP: 0x0800,
  ETH_P_ARP: 0x0806,
  ETH_P_8021Q: 0x8100,
  ETH_P_8021AD: 0x88a8,
  ETH_P_IPV6: 0x86dd,
  ETH_P_ALL: 0x0003,
} as const
/** linux/in.h, linux/in6.h */
export const IPPROTO = {
  IPPROTO_ICMP: 1,
  IPPROTO_TCP: 6,
  IPPROTO_UDP: 17,
  IPPROTO_ICMPV6: 58,
  IPPROTO_SCTP: 132,
} as const

/** Throws RangeError if the kernel would ignore any part of the filter. Kinds and options without a check here pass. */
export function checkFilter(filter: TcRequest): void {
  const { TCA_KIND: kind, TCA_OPTIONS: options } = filter
  refuseUnknown('filter', filter)
  if (kind === undefined) refuse('TCA_KIND is missing')
  if (kind !== 'flower' && kind !== 'matchall' && kind !== 'u32' && kind !== 'basic') return
  if (options === undefined || options instanceof Uint8Array)
    refuse(`TCA_OPTIONS must be the attributes of ${kind}`)
  refuseUnknown(kind, options)
  if (kind === 'flower') {
    const flower = options as Flower
    checkKeys(flower, protocolOf(filter.tcm_info ?? 0))
    checkFlags('TCA_FLOWER_FLAGS', flower.TCA_FLOWER_FLAGS)
    checkActions(flower.TCA_FLOWER_ACT)
  } else if (kind === 'matchall') {
    const matchall = options as Matchall
    checkFlags('TCA_MATCHALL_FLAGS', matchall.TCA_MATCHALL_FLAGS)
    checkActions(matchall.TCA_MATCHALL_ACT)
  } else if (kind === 'u32') checkU32(options as U32Filter)
  else checkActions((options as Basic).TCA_BASIC_ACT)
}

function checkU32({ TCA_U32_SEL: selection, TCA_U32_FLAGS: flags, TCA_U32_ACT: list }: U32Filter): void {
  if (list !== undefined && ((selection?.flags ?? 0) & TC_U32.TC_U32_TERMINAL) === 0)
    refuse('TCA_U32_ACT needs TC_U32_TERMINAL in TCA_U32_SEL: without it the actions are never run')
  checkFlags('TCA_U32_FLAGS', flags)
  checkActions(list)
}

/** Throws RangeError for actions that the kernel would leave out or carry out differently. */
export function checkActions(list: Actions | undefined): void {
  if (list === undefined) return
  if (list.length === 0 || list.length > TCA_ACT_MAX_PRIO)
    refuse(`need 1 to ${TCA_ACT_MAX_PRIO} actions, got ${list.length}`)
  list.forEach(([order, action], i) => {
    if (order !== i + 1) refuse(`actions must be numbered 1, 2, 3 ...: number ${order} is in place ${i + 1}`)
    checkAction(action, order)
  })
}

function checkKeys(flower: Flower, protocol: number): void {
  const keys = flower as Readonly<Record<string, unknown>>
  const etherType = flower.TCA_FLOWER_KEY_ETH_TYPE
  if (etherType !== undefined && etherType !== protocol) {
    refuse(`tcm_info says protocol ${hex(protocol)}, TCA_FLOWER_KEY_ETH_TYPE ${hex(etherType)}`)
  }
  const inner = innerEtherType(flower) ?? 0
  for (const key of Object.keys(keys)) {
    const need = requirementOf(key)
    if (need === undefined) continue
    if (etherType === undefined)
      refuse(`${key} needs TCA_FLOWER_KEY_ETH_TYPE: without it the kernel matches every frame`)
    if (need.vlans !== undefined && vlansOf(flower) < need.vlans)
      refuse(`${key} needs a VLAN protocol in the EtherType before it`)
    if (need.etherTypes !== undefined && !need.etherTypes.includes(inner))
      refuse(`${key} needs EtherType ${need.etherTypes.map(hex).join(' or ')}, not ${hex(inner)}`)
    if (need.protos !== undefined && !need.protos.includes(flower.TCA_FLOWER_KEY_IP_PROTO ?? -1)) {
      refuse(
        `${key} needs TCA_FLOWER_KEY_IP_PROTO ${need.protos.join(' or ')}, not ${flower.TCA_FLOWER_KEY_IP_PROTO ?? 'none'}`,
      )
    }
  }
  for (const [key, mask] of Object.entries(keys)) {
    if (!key.endsWith('_MASK')) continue
    if (keys[key.slice(0, -5)] === undefined) refuse(`${key} is given without ${key.slice(0, -5)}`)
    if (isZeroMask(mask)) refuse(`${key} is zero: leave the key out to match anything`)
  }
  if (flower.TCA_FLOWER_KEY_FLAGS !== undefined && flower.TCA_FLOWER_KEY_FLAGS_MASK === undefined)
    refuse('TCA_FLOWER_KEY_FLAGS needs TCA_FLOWER_KEY_FLAGS_MASK')
  checkRange(flower.TCA_FLOWER_KEY_PORT_SRC_MIN, flower.TCA_FLOWER_KEY_PORT_SRC_MAX, 'SRC')
  checkRange(flower.TCA_FLOWER_KEY_PORT_DST_MIN, flower.TCA_FLOWER_KEY_PORT_DST_MAX, 'DST')
}

/** The precondition of a key: fl_set_key() reads the key only if it holds. */
interface Requirement {
  readonly etherTypes?: readonly number[]
  readonly protos?: readonly number[]
  /** Number of VLAN tags that the EtherTypes must announce. */
  readonly vlans?: number
}

const { ETH_P_IP, ETH_P_IPV6, ETH_P_ARP } = ETH_P
const { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP, IPPROTO_ICMPV6 } = IPPROTO
const anyIp = [ETH_P_IP, ETH_P_IPV6]
const withPorts = [IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP]
/** By the beginning of the key's name after TCA_FLOWER_KEY_; the first match counts. */
const requirements: readonly (readonly [prefix: string, need: Requirement])[] = [
  ['IPV4_', { etherTypes: [ETH_P_IP] }],
  ['IPV6_', { etherTypes: [ETH_P_IPV6] }],
  ['IP_', { etherTypes: anyIp }],
  ['TCP_', { etherTypes: anyIp, protos: [IPPROTO_TCP] }],
  ['UDP_', { etherTypes: anyIp, protos: [IPPROTO_UDP] }],
  ['SCTP_', { etherTypes: anyIp, protos: [IPPROTO_SCTP] }],
  ['PORT_', { etherTypes: anyIp, protos: withPorts }],
  ['ICMPV4_', { etherTypes: [ETH_P_IP], protos: [IPPROTO_ICMP] }],
  ['ICMPV6_', { etherTypes: [ETH_P_IPV6], protos: [IPPROTO_ICMPV6] }],
  ['ARP_', { etherTypes: [ETH_P_ARP, 0x8035] }],
  ['FLAGS', { etherTypes: anyIp }],
  ['CT_', { etherTypes: anyIp }],
  ['VLAN_', { vlans: 1 }],
  ['CVLAN_', { vlans: 2 }],
]

function requirementOf(key: string): Requirement | undefined {
  if (!key.startsWith('TCA_FLOWER_KEY_')) return undefined
  const name = key.slice('TCA_FLOWER_KEY_'.length)
  return requirements.find(([prefix]) => name.startsWith(prefix))?.[1]
}

function isVlan(etherType: number | undefined): boolean {
  return etherType === ETH_P.ETH_P_8021Q || etherType === ETH_P.ETH_P_8021AD
}

/** The number of VLAN tags that a filter announces by its EtherTypes or its count. */
function vlansOf(flower: Flower): number {
  const count = isVlan(flower.TCA_FLOWER_KEY_ETH_TYPE)
    ? isVlan(flower.TCA_FLOWER_KEY_VLAN_ETH_TYPE)
      ? 2
      : 1
    : 0
  return Math.max(count, flower.TCA_FLOWER_KEY_NUM_OF_VLANS ?? 0)
}

/** The EtherType after the VLAN tags that a filter matches; undefined where the filter doesn't match it. */
export function innerEtherType(flower: Flower): number | undefined {
  const outer = flower.TCA_FLOWER_KEY_ETH_TYPE
  if (!isVlan(outer)) return outer
  const inner = flower.TCA_FLOWER_KEY_VLAN_ETH_TYPE
  return isVlan(inner) ? flower.TCA_FLOWER_KEY_CVLAN_ETH_TYPE : inner
}

function checkRange(min: number | undefined, max: number | undefined, side: string): void {
  if (min === undefined && max === undefined) return
  if (min === undefined || max === undefined || min >= max) {
    refuse(`TCA_FLOWER_KEY_PORT_${side}_MIN must be less than _MAX: ${min ?? 'none'}, ${max ?? 'none'}`)
  }
}

function checkFlags(name: string, flags: number | undefined): void {
  if (flags === undefined) return
  const {
    TCA_CLS_FLAGS_SKIP_HW: skipHw,
    TCA_CLS_FLAGS_SKIP_SW: skipSw,
    TCA_CLS_FLAGS_VERBOSE: verbose,
  } = TCA_CLS_FLAGS
  if ((flags & ~(skipHw | skipSw | verbose)) !== 0)
    refuse(`${name} ${flags} has bits that only the kernel sets`)
  if ((flags & skipHw) !== 0 && (flags & skipSw) !== 0) refuse(`${name} has both SKIP_HW and SKIP_SW`)
}

function checkAction(action: Action, order: number): void {
  const { TCA_ACT_KIND: kind, TCA_ACT_OPTIONS: options, TCA_ACT_COOKIE: cookie } = action
  const name = `action ${order}`
  refuseUnknown(name, action)
  if (kind === undefined) refuse(`${name}: TCA_ACT_KIND is missing`)
  if (cookie !== undefined && (cookie.length < 1 || cookie.length > TC_COOKIE_MAX_SIZE)) {
    refuse(`${name}: TCA_ACT_COOKIE must have 1 to ${TC_COOKIE_MAX_SIZE} bytes, not ${cookie.length}`)
  }
  if (options === undefined) refuse(`${name}: TCA_ACT_OPTIONS is missing`)
  if (options instanceof Uint8Array) {
    if (kind in checks) refuse(`${name}: TCA_ACT_OPTIONS must be the attributes of ${kind}`)
    return
  }
  refuseUnknown(name, options)
  checks[kind]?.(name, options as Readonly<Record<string, unknown>>)
}

const checks: Readonly<Record<string, (name: string, options: Options) => void>> = {
  gact: (name, options) => {
    parms(name, options, 'TCA_GACT_PARMS')
  },
  csum: (name, options) => {
    if (parms(name, options, 'TCA_CSUM_PARMS').update_flags === 0)
      refuse(`${name}: csum with no flag does nothing`)
  },
  mirred: (name, options) => {
    const { eaction, ifindex, action } = parms(name, options, 'TCA_MIRRED_PARMS') as Readonly<
      Record<string, number>
    >
    const { TCA_EGRESS_REDIR: egress, TCA_INGRESS_REDIR: ingress } = TCA_MIRRED_EACTION
    if ((eaction === egress || eaction === ingress) && action !== TC_ACT.TC_ACT_STOLEN)
      refuse(`${name}: a redirect must end with TC_ACT_STOLEN, not ${action}`)
    if (!ifindex && options.TCA_MIRRED_BLOCKID === undefined) refuse(`${name}: mirred needs a device`)
  },
  pedit: (name, options) => {
    if (options.TCA_PEDIT_PARMS !== undefined)
      refuse(`${name}: TCA_PEDIT_PARMS is the form that no NIC takes: use TCA_PEDIT_PARMS_EX`)
    const { keys } = parms(name, options, 'TCA_PEDIT_PARMS_EX') as { keys: readonly { off: number }[] }
    const kinds = options.TCA_PEDIT_KEYS_EX as readonly Options[] | undefined
    if (kinds === undefined || kinds.length !== keys.length || keys.length === 0) {
      refuse(
        `${name}: TCA_PEDIT_KEYS_EX must have as many entries as there are keys: ${kinds?.length ?? 'none'} for ${keys.length}`,
      )
    }
    for (const kind of kinds) {
      refuseUnknown(name, kind)
      if (kind.TCA_PEDIT_KEY_EX_HTYPE === undefined || kind.TCA_PEDIT_KEY_EX_CMD === undefined)
        refuse(`${name}: TCA_PEDIT_KEY_EX needs HTYPE and CMD`)
    }
  },
  police: (name, options) => {
    const { index, rate, mtu } = parms(name, options, 'TCA_POLICE_TBF') as {
      index: number
      rate: { rate: number; linklayer: number }
      mtu: number
    }
    const hasRate =
      rate.rate !== 0 || options.TCA_POLICE_RATE64 !== undefined || options.TCA_POLICE_PKTRATE64 !== undefined
    if (!hasRate && index === 0)
      refuse(`${name}: police without a rate limits nothing: need one, or the index of a policer`)
    if (rate.rate !== 0 && options.TCA_POLICE_RATE === undefined)
      refuse(`${name}: TCA_POLICE_RATE is missing, to which the kernel says ENOMEM`)
    if (options.TCA_POLICE_RATE64 !== undefined && rate.rate === 0)
      refuse(`${name}: TCA_POLICE_RATE64 counts only beside a rate in TCA_POLICE_TBF`)
    if (rate.rate !== 0 && mtu === 0)
      refuse(`${name}: police needs an mtu: with 0 the kernel takes one from cell_log`)
  },
  vlan: (name, options) => {
    const does = parms(name, options, 'TCA_VLAN_PARMS').v_action
    const tags = does === TCA_VLAN_ACT.TCA_VLAN_ACT_PUSH || does === TCA_VLAN_ACT.TCA_VLAN_ACT_MODIFY
    if (tags !== (options.TCA_VLAN_PUSH_VLAN_ID !== undefined))
      refuse(`${name}: TCA_VLAN_PUSH_VLAN_ID belongs to push and modify, and to no other`)
  },
}

type Options = Readonly<Record<string, unknown>>

function parms(name: string, options: Options, key: string): Options {
  const value = options[key]
  if (value === undefined) refuse(`${name}: ${key} is missing`)
  return value as Options
}

function refuseUnknown(name: string, attributes: object): void {
  const unknown = Object.keys(attributes).find((key) => key.startsWith('#'))
  if (unknown !== undefined)
    refuse(`${name}: attribute ${unknown} is unknown here, and the kernel would ignore what it doesn't know`)
}

function isZeroMask(mask: unknown): boolean {
  if (mask instanceof Uint8Array) return mask.every((byte) => byte === 0)
  return typeof mask === 'string' ? !/[1-9a-f]/.test(mask) : mask === 0
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(4, '0')}`
}

function refuse(reason: string): never {
  throw new RangeError(`Cannot send filter: ${reason}`)
}
