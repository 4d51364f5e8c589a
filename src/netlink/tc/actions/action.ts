// Actions of filters, and actions without a filter, which filters share by index: TCA_ACT_* of linux/pkt_cls.h, RTM_*ACTION.
import { type AttrsOf, attrs, byKind } from '../../codec/attrs.ts'
import { indexed } from '../../codec/lists.ts'
import { struct } from '../../codec/struct.ts'
import { bytes, cstr, u8, u32, type Value } from '../../codec/wire.ts'
import { family, type Message, NLM_F, type Request } from '../../message.ts'
import { RTM } from '../../rtnl/const.ts'
import { stats } from '../stats.ts'
import { csum } from './csum.ts'
import { gact, TC_ACT } from './gact.ts'
import { mirred, TCA_MIRRED_EACTION } from './mirred.ts'
import { type Pedit, pedit } from './pedit.ts'
import { type PolicerSpec, police, policer, policerByIndex } from './police.ts'
import { TCA_VLAN_ACT, vlan } from './vlan.ts'

/** The kernel takes 32 actions in a filter and ignores further ones. */
export const TCA_ACT_MAX_PRIO = 32
/** Longest TCA_ACT_COOKIE. */
export const TC_COOKIE_MAX_SIZE = 16
/** TCA_ACT_FLAGS_* of linux/pkt_cls.h. */
export const TCA_ACT_FLAGS = {
  TCA_ACT_FLAGS_NO_PERCPU_STATS: 1,
  TCA_ACT_FLAGS_SKIP_HW: 2,
  TCA_ACT_FLAGS_SKIP_SW: 4,
} as const

/** TCA_ACT_FLAG_* of linux/rtnetlink.h for TCA_ROOT_FLAGS. */
export const TCA_ROOT_FLAGS = { TCA_FLAG_LARGE_DUMP_ON: 1 } as const

/** struct nla_bitfield32, linux/netlink.h. Only the bits of `value` that `selector` has count. */
export const nla_bitfield32 = struct('nla_bitfield32', [
  ['value', u32],
  ['selector', u32],
])

/** TCA_ACT_* of linux/pkt_cls.h: one action. Some kinds require NLA_F_NESTED in OPTIONS, so all have it. */
export const action = attrs('TCA_ACT', () => ({
  TCA_ACT_KIND: [1, cstr(16)],
  TCA_ACT_OPTIONS: [2, byKind('TCA_ACT_KIND', { gact, mirred, pedit, csum, vlan, police })],
  TCA_ACT_INDEX: [3, u32],
  TCA_ACT_STATS: [4, stats, 'noflag'],
  TCA_ACT_PAD: [5, bytes()],
  TCA_ACT_COOKIE: [6, bytes()],
  TCA_ACT_FLAGS: [7, nla_bitfield32],
  TCA_ACT_HW_STATS: [8, nla_bitfield32],
  TCA_ACT_USED_HW_STATS: [9, nla_bitfield32],
  TCA_ACT_IN_HW_COUNT: [10, u32],
}))
export type Action = AttrsOf<(typeof action)['table']>

/** The actions of a filter by their order, 1 first. */
export const actions = indexed('TCA_ACT_TAB', action, 'noflag')
export type Actions = Value<typeof actions>

/** struct tcamsg, linux/rtnetlink.h */
export const tcamsg = struct('tcamsg', [
  ['tca_family', u8],
  ['_pad', bytes(3)],
])

/** TCA_ROOT_* of linux/rtnetlink.h. */
export const actionRoot = attrs('TCA_ROOT', () => ({
  TCA_ROOT_TAB: [1, actions, 'noflag'],
  TCA_ROOT_FLAGS: [2, nla_bitfield32],
  TCA_ROOT_COUNT: [3, u32],
  TCA_ROOT_TIME_DELTA: [4, u32],
  TCA_ROOT_EXT_WARN_MSG: [5, cstr(0xffff)],
}))

/** The payload of RTM_*ACTION. */
export const actionMessage = family(tcamsg, actionRoot)

/** Makes actions that filters can share by index; EEXIST if an index is taken. */
export function newActions(list: readonly Action[]): Request {
  const flags = NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL
  return actionMessage.request('RTM_NEWACTION', RTM.RTM_NEWACTION, flags, { TCA_ROOT_TAB: actionList(list) })
}

/** Removes an action by kind and index; ENOENT if it isn't there, EPERM while a filter uses it. */
export function deleteAction(kind: string, index: number): Request {
  return byIndex('RTM_DELACTION', kind, index)
}

/** Asks for an action by kind and index; ENOENT if it isn't there. */
export function getAction(kind: string, index: number): Request {
  return byIndex('RTM_GETACTION', kind, index)
}

/** For dump(): all actions of a kind, those inside filters too. Without TCA_ROOT_FLAGS the kernel shows 32 at most. */
export function dumpActions(kind: string): Request {
  const flag = TCA_ROOT_FLAGS.TCA_FLAG_LARGE_DUMP_ON
  return actionMessage.request('RTM_GETACTION', RTM.RTM_GETACTION, 0, {
    TCA_ROOT_TAB: [[1, { TCA_ACT_KIND: kind }]],
    TCA_ROOT_FLAGS: { value: flag, selector: flag },
  })
}

/** The actions in a message of RTM_NEWACTION, RTM_DELACTION or RTM_GETACTION. */
export function decodeActions(message: Message): readonly Action[] {
  return (actionMessage.decode(message.payload).TCA_ROOT_TAB ?? []).map(([, one]) => one)
}

function byIndex(name: 'RTM_DELACTION' | 'RTM_GETACTION', kind: string, index: number): Request {
  const list = actionList([{ TCA_ACT_KIND: kind, TCA_ACT_INDEX: index }])
  return actionMessage.request(name, RTM[name], 0, { TCA_ROOT_TAB: list })
}

/** Numbers actions in the order given. */
export function actionList(list: readonly Action[]): Actions {
  return list.map((one, i) => [i + 1, one] as const)
}

const parameters = { index: 0, capab: 0, refcnt: 0, bindcnt: 0 }

/** Sends the frame out of another device, and ends. */
export function redirectTo(ifindex: number, cookie?: Uint8Array): Action {
  const parms = {
    ...parameters,
    action: TC_ACT.TC_ACT_STOLEN,
    eaction: TCA_MIRRED_EACTION.TCA_EGRESS_REDIR,
    ifindex,
  }
  return make('mirred', { TCA_MIRRED_PARMS: parms }, cookie)
}

/** Ends with a verdict: TC_ACT_OK, TC_ACT_SHOT, TC_ACT_GOTO_CHAIN | chain. */
export function verdict(control: number, cookie?: Uint8Array): Action {
  return make('gact', { TCA_GACT_PARMS: { ...parameters, action: control } }, cookie)
}

/** Rewrites headers (peditRewrite), and continues. */
export function rewrite(options: Pedit, cookie?: Uint8Array): Action {
  return make('pedit', options, cookie)
}

/** Computes checksums again (TCA_CSUM_UPDATE_FLAG), and continues. */
export function updateChecksums(flags: number, cookie?: Uint8Array): Action {
  return make(
    'csum',
    { TCA_CSUM_PARMS: { ...parameters, action: TC_ACT.TC_ACT_PIPE, update_flags: flags } },
    cookie,
  )
}

/** Takes the outer VLAN tag off, and continues. */
export function popVlan(cookie?: Uint8Array): Action {
  return make('vlan', { TCA_VLAN_PARMS: vlanParameters(TCA_VLAN_ACT.TCA_VLAN_ACT_POP) }, cookie)
}

/** Puts an 802.1Q tag with this id on, and continues. */
export function pushVlan(id: number, cookie?: Uint8Array): Action {
  return make(
    'vlan',
    {
      TCA_VLAN_PARMS: vlanParameters(TCA_VLAN_ACT.TCA_VLAN_ACT_PUSH),
      TCA_VLAN_PUSH_VLAN_ID: id,
      TCA_VLAN_PUSH_VLAN_PROTOCOL: 0x8100,
    },
    cookie,
  )
}

/** Lets frames within the rate through and drops the others. Continues, or ends with `conform`. */
export function limitRate(spec: PolicerSpec, cookie?: Uint8Array): Action {
  return make('police', policer(spec), cookie)
}

/** Like limitRate(), by the policer that newActions() made with that index. */
export function limitByIndex(index: number, cookie?: Uint8Array): Action {
  return make('police', policerByIndex(index), cookie)
}

function vlanParameters(v_action: number) {
  return { ...parameters, action: TC_ACT.TC_ACT_PIPE, v_action }
}

function make(
  kind: string,
  options: NonNullable<Action['TCA_ACT_OPTIONS']>,
  cookie: Uint8Array | undefined,
): Action {
  const one: Action = { TCA_ACT_KIND: kind, TCA_ACT_OPTIONS: options }
  return cookie === undefined ? one : { ...one, TCA_ACT_COOKIE: cookie }
}
