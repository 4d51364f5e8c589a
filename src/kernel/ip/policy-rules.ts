/** Changes and reads a pod's policy rules (`ip rule`) and removes the routing tables of ours that they lead to. */
import { ipFamily, networkOf, parseCidr } from '../../lib/ip.ts'
import { notice } from '../../lib/log/notice.ts'
import { AF } from '../../netlink/rtnl/const.ts'
import {
  decodeRoute,
  deleteRoute,
  dumpRoutes,
  type RouteRequest,
  RT_SCOPE,
  RT_TABLE,
  RTPROT,
} from '../../netlink/rtnl/route.ts'
import {
  decodeRule,
  deleteRule,
  dumpRules,
  FR_ACT,
  newRule,
  type RuleRequest,
} from '../../netlink/rtnl/rule.ts'
import { NetlinkError, type NetlinkSocket, type Scanned } from '../../netlink/socket.ts'
import type { Outcome, RouteSpec, RuleSpec } from '../../ops/op.ts'
import type { SourceRuleFacts } from '../api/facts.ts'
import type { OpenSocket } from '../link/sides.ts'
import { atMost } from './at-most.ts'

/**
 * Adds or removes the policy rule `from SRC lookup TABLE`. An equal policy rule that exists already is accepted (`existed`): an ADD
 * whose record was lost has made it.
 */
export function changeRule(socket: NetlinkSocket, verb: 'add' | 'del', spec: RuleSpec): Outcome {
  const request = ruleOf(spec)
  try {
    socket.request(verb === 'add' ? newRule(request) : deleteRule(request))
    return {}
  } catch (error) {
    if (verb === 'add' && error instanceof NetlinkError && error.code === 'EEXIST') return { existed: true }
    throw error
  }
}

function ruleOf({ src, table, priority }: RuleSpec): RuleRequest {
  const v4 = ipFamily(src) === 4
  return {
    family: v4 ? AF.AF_INET : AF.AF_INET6,
    src_len: v4 ? 32 : 128,
    action: FR_ACT.FR_ACT_TO_TBL,
    FRA_SRC: src,
    FRA_TABLE: table,
    FRA_PRIORITY: priority,
    FRA_PROTOCOL: RTPROT.RTPROT_STATIC,
  }
}

/** Policy rules of a family that select by the source address alone. @throws NetlinkError EOVERFLOW as atMost() */
export function sourceRules(open: OpenSocket, family: 4 | 6): SourceRuleFacts[] {
  return atMost(open, dumpRules(family === 4 ? AF.AF_INET : AF.AF_INET6), 'policy rules')
    .map(decodeRule)
    .flatMap((rule) => {
      const { FRA_SRC: src, src_len, FRA_TABLE: table = rule.table } = rule
      const isPlain =
        rule.action === FR_ACT.FR_ACT_TO_TBL && rule.flags === 0 && rule.dst_len === 0 && rule.tos === 0
      if (src === undefined || !isPlain || others.some((name) => rule[name] !== undefined)) return []
      return [{ src: `${src}/${src_len}`, table }]
    })
}

/** Attributes of policy rules that select by more than the source address. */
const others = [
  'FRA_IIFNAME',
  'FRA_OIFNAME',
  'FRA_FWMARK',
  'FRA_TUN_ID',
  'FRA_UID_RANGE',
  'FRA_IP_PROTO',
  'FRA_SPORT_RANGE',
  'FRA_DPORT_RANGE',
  'FRA_DSCP',
] as const

/**
 * Removes policy rules, and routes by destination, metric and table. The interface is no part of the request, because the pod may
 * have renamed it. To remove an object that is gone already succeeds. Policy rules go first, because they make the routes matter.
 */
export function removeReplies(
  socket: NetlinkSocket,
  rules: readonly RuleSpec[],
  routes: readonly RouteSpec[],
): void {
  const requests = [
    ...rules.map((rule) => deleteRule(ruleOf(rule))),
    ...routes.flatMap((route) =>
      route.table === undefined ? [] : [deleteRoute(routeOf(route, route.table))],
    ),
  ]
  for (const reply of socket.batch(requests)) {
    if (reply instanceof NetlinkError && !gone.has(reply.code)) throw reply
  }
}

function routeOf({ dst, metric }: RouteSpec, table: number): RouteRequest {
  const { ip, prefix } = networkOf(parseCidr(dst))
  return {
    rtm_family: ipFamily(ip) === 4 ? AF.AF_INET : AF.AF_INET6,
    rtm_dst_len: prefix,
    rtm_table: RT_TABLE.RT_TABLE_UNSPEC,
    // RT_SCOPE_NOWHERE matches a route of any scope.
    rtm_scope: RT_SCOPE.RT_SCOPE_NOWHERE,
    rtm_protocol: RTPROT.RTPROT_BOOT,
    ...(prefix === 0 ? {} : { RTA_DST: ip }),
    RTA_TABLE: table,
    ...(metric === undefined ? {} : { RTA_PRIORITY: metric }),
  }
}

/** Limit per family. An attachment has far fewer policy rules. */
const mostRules = 1_000
/** Limit of datagrams of routes per family, each up to 32 KiB: some thousands of routes, more than an ADD puts into a table. */
const mostRead = 16

/**
 * Removes every policy rule that leads to `table` with `priority`, then the routes in `table`. Succeeds when there are none.
 * Does not list policy rules, or routes of other tables, because a pod can have any number of them. A pod can also put any number
 * of routes into `table`: routes above the limit stay, and a notice tells so. No policy rule leads to them.
 */
export function removeTable(open: OpenSocket, table: number, priority: number): void {
  const socket = open()
  try {
    for (const family of [AF.AF_INET, AF.AF_INET6]) {
      const rule = {
        family,
        action: FR_ACT.FR_ACT_TO_TBL,
        FRA_TABLE: table,
        FRA_PRIORITY: priority,
      }
      for (let n = 0; n < mostRules && removed(() => socket.request(deleteRule(rule))); n++);
      const { found, isWhole } = routesIn(open, family, table)
      for (const reply of socket.batch(found.map((message) => deleteRoute(decodeRoute(message)))))
        if (reply instanceof NetlinkError && !gone.has(reply.code)) throw reply
      if (!isWhole)
        notice(
          `vf-offload: Cannot remove every route in table ${table} of the pod: the pod has added more than an ADD makes`,
        )
    }
  } finally {
    socket.close()
  }
}

/** The routes of a table. The kernel refuses to list a table that does not exist, and cannot list one that changes all the time. */
function routesIn(open: OpenSocket, rtm_family: number, table: number): Scanned {
  const socket = open()
  try {
    return socket.first(dumpRoutes({ rtm_family, RTA_TABLE: table }), mostRead)
  } catch (error) {
    if (!(error instanceof NetlinkError && (error.code === 'ENOENT' || error.code === 'EINTR'))) throw error
    return { found: [], isWhole: error.code === 'ENOENT' }
  } finally {
    socket.close()
  }
}

/** Errors that tell that a policy rule or a route is gone. */
const gone: ReadonlySet<string> = new Set(['ENOENT', 'ESRCH'])

/** Runs a removal; false when there was nothing to remove. */
function removed(remove: () => void): boolean {
  try {
    remove()
    return true
  } catch (error) {
    if (!(error instanceof NetlinkError && gone.has(error.code))) throw error
    return false
  }
}
