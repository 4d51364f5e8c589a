// Routing policy rules: RTM_*RULE, struct fib_rule_hdr and FRA_* of linux/fib_rules.h.
import { type AttrsOf, attrs } from '../codec/attrs.ts'
import { struct } from '../codec/struct.ts'
import { be64, bytes, cstr, ip, u8, u16, u32, type Value } from '../codec/wire.ts'
import { type FamilyRequest, family, type Message, NLM_F, type Request } from '../message.ts'
import { RTM } from './const.ts'

/** struct fib_rule_hdr, linux/fib_rules.h. Tables above 255 are in FRA_TABLE. */
export const fib_rule_hdr = struct('fib_rule_hdr', [
  ['family', u8],
  ['dst_len', u8],
  ['src_len', u8],
  ['tos', u8],
  ['table', u8],
  ['_res', bytes(2)],
  ['action', u8],
  ['flags', u32],
])

/** FR_ACT_* of linux/fib_rules.h. */
export const FR_ACT = {
  FR_ACT_TO_TBL: 1,
  FR_ACT_GOTO: 2,
  FR_ACT_NOP: 3,
  FR_ACT_BLACKHOLE: 6,
  FR_ACT_UNREACHABLE: 7,
  FR_ACT_PROHIBIT: 8,
} as const

/** struct fib_rule_uid_range, linux/fib_rules.h. The range includes both ends. */
export const fib_rule_uid_range = struct('fib_rule_uid_range', [
  ['start', u32],
  ['end', u32],
])
/** struct fib_rule_port_range, linux/fib_rules.h. The range includes both ends, in host order. */
export const fib_rule_port_range = struct('fib_rule_port_range', [
  ['start', u16],
  ['end', u16],
])

/** FRA_* of linux/fib_rules.h. */
export const rule = attrs('FRA', () => ({
  FRA_DST: [1, ip],
  FRA_SRC: [2, ip],
  FRA_IIFNAME: [3, cstr(16)],
  FRA_GOTO: [4, u32],
  FRA_PRIORITY: [6, u32],
  FRA_FWMARK: [10, u32],
  FRA_FLOW: [11, u32],
  FRA_TUN_ID: [12, be64],
  FRA_SUPPRESS_IFGROUP: [13, u32],
  FRA_SUPPRESS_PREFIXLEN: [14, u32],
  FRA_TABLE: [15, u32],
  FRA_FWMASK: [16, u32],
  FRA_OIFNAME: [17, cstr(16)],
  FRA_L3MDEV: [19, u8],
  FRA_UID_RANGE: [20, fib_rule_uid_range],
  FRA_PROTOCOL: [21, u8],
  FRA_IP_PROTO: [22, u8],
  FRA_SPORT_RANGE: [23, fib_rule_port_range],
  FRA_DPORT_RANGE: [24, fib_rule_port_range],
  FRA_DSCP: [25, u8],
}))
export type RuleAttributes = AttrsOf<(typeof rule)['table']>

/** The payload of RTM_*RULE. */
export const ruleMessage = family(fib_rule_hdr, rule)
export type Rule = Value<typeof ruleMessage>
export type RuleRequest = FamilyRequest<(typeof fib_rule_hdr)['fields'], (typeof rule)['table']>

/** Adds a policy rule; EEXIST if there is an equal one. Without FRA_PRIORITY the kernel takes the number before the second lowest. */
export function newRule(value: RuleRequest): Request {
  return ruleMessage.request('RTM_NEWRULE', RTM.RTM_NEWRULE, NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL, value)
}

/** Removes the first policy rule that agrees with all given fields; ENOENT if none does. */
export function deleteRule(value: RuleRequest): Request {
  return ruleMessage.request('RTM_DELRULE', RTM.RTM_DELRULE, 0, value)
}

/** For dump(): the policy rules of a family (AF_INET, AF_INET6). */
export function dumpRules(family: number): Request {
  return ruleMessage.request('RTM_GETRULE', RTM.RTM_GETRULE, 0, { family })
}

/** The policy rule in a message of RTM_NEWRULE. */
export function decodeRule(message: Message): Rule {
  return ruleMessage.decode(message.payload)
}
