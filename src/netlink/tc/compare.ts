// Compares a request with the filter that the kernel has stored (the NLM_F_ECHO reply, or a later dump). The differences come out as
// sentences. Additions of the kernel itself are no differences: offload flags and counts, statistics, indexes, all-ones masks.
import { hexOctets } from '../../lib/mac.ts'
import type { Row } from '../codec/tlv.ts'
import type { Action } from './actions/action.ts'
import { type Police, rateOf } from './actions/police.ts'
import { actionsOf, basicOf, flagsOf, flowerOf, matchallOf, u32Of } from './filter.ts'
import type { Basic } from './kinds/basic.ts'
import { type Flower, flower, TCA_CLS_FLAGS } from './kinds/flower.ts'
import type { U32Filter } from './kinds/u32.ts'
import { priorityOf, protocolOf, type Tc, type TcRequest } from './msg.ts'
import { innerEtherType } from './validate.ts'

/**
 * The parts of `requested` that are different or missing in `echoed`, and the conditions that the kernel has added; empty if the kernel
 * has stored the request. The echo of a new matchall filter has no options (mall_change() hands back no handle): for that kind,
 * compare the answer to getFilter().
 */
export function compareEcho(requested: TcRequest, echoed: Tc): string[] {
  const differences: string[] = []
  const expect = expecting(differences)
  comparePlace(requested, echoed, expect)
  expect('TCA_KIND', requested.TCA_KIND, echoed.TCA_KIND)
  if (requested.TCA_KIND !== echoed.TCA_KIND) return differences
  if (requested.TCA_OPTIONS !== undefined && echoed.TCA_OPTIONS === undefined) {
    return [...differences, 'TCA_OPTIONS: the kernel has none']
  }
  const [wanted, got] = [flowerOf(requested), flowerOf(echoed)]
  if (wanted !== undefined && got !== undefined) compareFlower(wanted, got, expect)
  expect('flags', userFlags(requested), userFlags(echoed))
  expect(
    'TCA_MATCHALL_CLASSID',
    matchallOf(requested)?.TCA_MATCHALL_CLASSID,
    matchallOf(echoed)?.TCA_MATCHALL_CLASSID,
  )
  for (const key of u32Conditions) expect(key, u32Of(requested)?.[key], u32Of(echoed)?.[key])
  const [basic, stored] = [basicOf(requested), basicOf(echoed)]
  for (const key of ['TCA_BASIC_CLASSID', 'TCA_BASIC_POLICE'] as const)
    expect(key, basic?.[key], stored?.[key])
  expect('TCA_BASIC_EMATCHES', expressionOf(basic), expressionOf(stored))
  const actions = actionsOf(echoed)
  expect('number of actions', actionsOf(requested).length, actions.length)
  actionsOf(requested).forEach((action, i) => {
    const other = actions[i]
    if (other !== undefined) compareAction(`action ${i + 1} (${action.TCA_ACT_KIND})`, action, other, expect)
  })
  return differences
}

/** Like {@link compareEcho}, for an action without a filter. */
export function compareActions(requested: Action, stored: Action): string[] {
  const differences: string[] = []
  compareAction(`action (${requested.TCA_ACT_KIND})`, requested, stored, expecting(differences))
  return differences
}

type Expect = (what: string, wanted: unknown, got: unknown) => void

function expecting(differences: string[]): Expect {
  return (what, wanted, got) => {
    if (isSame(wanted, got)) return
    const [left, right] = [show(wanted), show(got)]
    if (left !== right) differences.push(`${what}: asked ${left}, kernel has ${right}`)
  }
}

type Options = Readonly<Record<string, unknown>>

function comparePlace(requested: TcRequest, echoed: Tc, expect: Expect): void {
  const { tcm_ifindex = 0, tcm_parent = 0, tcm_handle = 0, tcm_info = 0 } = requested
  expect('tcm_ifindex', tcm_ifindex, echoed.tcm_ifindex)
  expect('tcm_parent', tcm_parent, echoed.tcm_parent)
  if (tcm_handle !== 0) expect('tcm_handle', tcm_handle, echoed.tcm_handle)
  if (priorityOf(tcm_info) !== 0) expect('priority', priorityOf(tcm_info), priorityOf(echoed.tcm_info))
  expect('protocol', protocolOf(tcm_info), protocolOf(echoed.tcm_info))
  expect('TCA_CHAIN', requested.TCA_CHAIN ?? 0, echoed.TCA_CHAIN ?? 0)
}

/** The condition of a basic filter; undefined for every packet. */
function expressionOf(basic: Basic | undefined): Basic['TCA_BASIC_EMATCHES'] {
  const tree = basic?.TCA_BASIC_EMATCHES
  return tree?.TCA_EMATCH_TREE_HDR?.nmatches === 0 ? undefined : tree
}

/** The conditions of a u32 filter and its next table. The kernel chooses the hash table of the filter. */
const u32Conditions = [
  'TCA_U32_SEL',
  'TCA_U32_MARK',
  'TCA_U32_INDEV',
  'TCA_U32_LINK',
  'TCA_U32_CLASSID',
  'TCA_U32_POLICE',
] as const satisfies readonly (keyof U32Filter)[]

/** Attributes of flower that are no conditions, or that another place compares. */
const elsewhere: ReadonlySet<string> = new Set([
  'TCA_FLOWER_ACT',
  'TCA_FLOWER_FLAGS',
  'TCA_FLOWER_IN_HW_COUNT',
  'TCA_FLOWER_KEY_ETH_TYPE',
])

function compareFlower(wanted: Flower, got: Flower, expect: Expect): void {
  // With VLAN tags the kernel shows the innermost EtherType here, or none if the request has none (fl_dump_key).
  const etherType = got.TCA_FLOWER_KEY_ETH_TYPE
  const inner = innerEtherType(wanted)
  if (etherType !== inner) expect('TCA_FLOWER_KEY_ETH_TYPE', wanted.TCA_FLOWER_KEY_ETH_TYPE, etherType)
  for (const name of new Set([...Object.keys(wanted), ...Object.keys(got)])) {
    if (elsewhere.has(name) || name.endsWith('_MASK') || isSameCondition(wanted, got, name)) continue
    expect(name, condition(wanted, name), condition(got, name))
  }
}

/**
 * True for equal keys under equal masks, where the kernel shows all ones for a mask that was not asked for: nearly every condition of every
 * filter, and {@link condition} costs more than all else of a comparison.
 */
function isSameCondition(wanted: Options, got: Options, name: string): boolean {
  const [key, mask, shown] = [wanted[name], wanted[`${name}_MASK`], got[`${name}_MASK`]]
  if (key === undefined || !isSame(key, got[name])) return false
  return isSame(mask, shown) || (mask === undefined && isSame(shown, fullMask(name, key)))
}

const fullMasks = new Map<string, unknown>()

/** The mask of all ones for a key of flower, which always has the same size; undefined for a key without a mask. */
function fullMask(name: string, key: unknown): unknown {
  if (fullMasks.has(name)) return fullMasks.get(name)
  const table = flower.table as Readonly<Record<string, Row>>
  const size = table[name]?.[1].encode(key).length ?? 0
  const full = table[`${name}_MASK`]?.[1].decode(new Uint8Array(size).fill(0xff))
  fullMasks.set(name, full)
  return full
}

/** The wire bytes of a key under its mask, with that mask; all ones without a mask. */
function condition(options: Flower, name: string): string | undefined {
  const object = options as Options
  const table = flower.table as Readonly<Record<string, Row>>
  const [key, mask] = [object[name], object[`${name}_MASK`]]
  const codec = table[name]?.[1]
  if (key === undefined || codec === undefined) return key === undefined ? undefined : show(key)
  const bytes = codec.encode(key)
  const bits = table[`${name}_MASK`]?.[1].encode(
    mask ?? codec.decode(new Uint8Array(bytes.length).fill(0xff)),
  )
  if (bits === undefined) return show(key)
  const kept = codec.decode(bytes.map((byte, i) => byte & (bits[i] ?? 0)))
  return bits.every((byte) => byte === 0xff) ? show(kept) : `${show(kept)} with mask ${show(mask)}`
}

/** The offload flags of a request, without those that only the kernel sets. VERBOSE isn't a property of the filter. */
function userFlags(filter: TcRequest): number {
  return flagsOf(filter) & (TCA_CLS_FLAGS.TCA_CLS_FLAGS_SKIP_HW | TCA_CLS_FLAGS.TCA_CLS_FLAGS_SKIP_SW)
}

function compareAction(name: string, wanted: Action, got: Action, expect: Expect): void {
  expect(`${name} TCA_ACT_KIND`, wanted.TCA_ACT_KIND, got.TCA_ACT_KIND)
  if (wanted.TCA_ACT_COOKIE !== undefined)
    expect(`${name} TCA_ACT_COOKIE`, wanted.TCA_ACT_COOKIE, got.TCA_ACT_COOKIE)
  for (const key of ['TCA_ACT_FLAGS', 'TCA_ACT_HW_STATS'] as const) {
    const { value = 0, selector = 0 } = wanted[key] ?? {}
    if (selector !== 0) expect(`${name} ${key}`, value & selector, (got[key]?.value ?? 0) & selector)
  }
  const asked = wanted.TCA_ACT_OPTIONS
  if (wanted.TCA_ACT_KIND !== got.TCA_ACT_KIND || asked === undefined || asked instanceof Uint8Array) return
  const stored = (got.TCA_ACT_OPTIONS ?? {}) as Options
  if (wanted.TCA_ACT_KIND === 'police') {
    comparePolice(name, asked as Police, stored as Police, expect)
    return
  }
  for (const [key, value] of Object.entries(asked)) {
    expect(`${name} ${key}`, parameters(value, value), parameters(stored[key], value))
  }
}

/**
 * Compares the limits: the kernel keeps neither the rate table nor its layout. For a policer that was asked for by index alone, the
 * kernel shows all values of that policer.
 */
function comparePolice(name: string, asked: Police, stored: Police, expect: Expect): void {
  const [wanted, got] = [asked.TCA_POLICE_TBF, stored.TCA_POLICE_TBF]
  if (wanted?.index) expect(`${name} index`, wanted.index, got?.index)
  if (wanted === undefined || wanted.rate.rate === 0) return
  const rate = (options: Police) =>
    options.TCA_POLICE_TBF && rateOf(options.TCA_POLICE_TBF.rate, options.TCA_POLICE_RATE64)
  expect(`${name} rate`, rate(asked), rate(stored))
  expect(`${name} TCA_POLICE_RESULT`, asked.TCA_POLICE_RESULT, stored.TCA_POLICE_RESULT)
  for (const field of ['action', 'burst', 'mtu'] as const)
    expect(`${name} ${field}`, wanted[field], got?.[field])
}

/** A parameter struct without the fields of tc_gen that the kernel fills in. An index stays if the request has one. */
function parameters(value: unknown, asked: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array)
    return value
  const { index, capab: _capab, refcnt: _refcnt, bindcnt: _bindcnt, ...rest } = value as Options
  const isAsked = typeof asked === 'object' && asked !== null && 'index' in asked && asked.index !== 0
  return isAsked ? { ...rest, index } : rest
}

/** True for values that are equal part by part. Equal values may be written in two ways, which {@link show} sees. */
function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false
  if (one instanceof Uint8Array || other instanceof Uint8Array)
    return one instanceof Uint8Array && other instanceof Uint8Array && Buffer.compare(one, other) === 0
  if (Array.isArray(one) !== Array.isArray(other)) return false
  let count = 0
  for (const key in one) {
    if (!(key in other) || !isSame((one as Options)[key], (other as Options)[key])) return false
    count++
  }
  for (const _ in other) count--
  return count === 0
}

/** One line for a value, with sorted keys: equal values have equal lines. */
function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value instanceof Uint8Array) return hexOctets(value, 0, value.length)
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`
  if (typeof value !== 'object' || value === null) return String(value)
  const object = value as Options
  const keys = Object.keys(object).sort()
  return `{${keys.map((key) => `${key} ${show(object[key])}`).join(', ')}}`
}
