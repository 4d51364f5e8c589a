/** Policy rules of a pod and the routing tables behind them. */
import { ipFamily } from '../lib/ip.ts'
import { AF } from '../netlink/rtnl/const.ts'
import { decodeRoute, deleteRoute, dumpRoutes, RTPROT } from '../netlink/rtnl/route.ts'
import { decodeRule, deleteRule, dumpRules, FR_ACT, newRule, type RuleRequest } from '../netlink/rtnl/rule.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/socket.ts'
import type { RuleSpec } from '../ops/op.ts'
import type { SourceRuleFacts } from './facts.ts'

/** Adds or removes `from SRC lookup TABLE`. */
export function changeRule(socket: NetlinkSocket, verb: 'add' | 'del', spec: RuleSpec): void {
  const v4 = ipFamily(spec.src) === 4
  const request: RuleRequest = {
    family: v4 ? AF.AF_INET : AF.AF_INET6,
    src_len: v4 ? 32 : 128,
    action: FR_ACT.FR_ACT_TO_TBL,
    FRA_SRC: spec.src,
    FRA_TABLE: spec.table,
    FRA_PRIORITY: spec.priority,
    FRA_PROTOCOL: RTPROT.RTPROT_STATIC,
  }
  socket.request(verb === 'add' ? newRule(request) : deleteRule(request))
}

/** Rules of a family that lead to a table and go by the source address alone. */
export function sourceRules(socket: NetlinkSocket, family: 4 | 6): SourceRuleFacts[] {
  return socket
    .dump(dumpRules(family === 4 ? AF.AF_INET : AF.AF_INET6))
    .map(decodeRule)
    .flatMap((rule) => {
      const { FRA_SRC: src, src_len, FRA_TABLE: table = rule.table } = rule
      const isPlain =
        rule.action === FR_ACT.FR_ACT_TO_TBL && rule.flags === 0 && rule.dst_len === 0 && rule.tos === 0
      if (src === undefined || !isPlain || others.some((name) => rule[name] !== undefined)) return []
      return [{ src: `${src}/${src_len}`, table }]
    })
}

/** What else a rule can look at. */
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

/** Removes every rule that leads to `table` with `priority`, then every route in it. Succeeds when there are none. */
export function removeTable(socket: NetlinkSocket, table: number, priority: number): void {
  for (const family of [AF.AF_INET, AF.AF_INET6]) {
    for (const message of socket.dump(dumpRules(family))) {
      const rule = decodeRule(message)
      if (rule.FRA_TABLE === table && rule.FRA_PRIORITY === priority)
        tolerate(() => socket.request(deleteRule(rule)))
    }
  }
  for (const message of socket.dump(dumpRoutes())) {
    const route = decodeRoute(message)
    // A multicast route of IPv6 (ff00::/8) appears in every table by itself and goes with the interface.
    if (route.RTA_TABLE === table) tolerate(() => socket.request(deleteRoute(route)))
  }
}

/** Runs a removal; what is gone already is fine. */
function tolerate(remove: () => void): void {
  try {
    remove()
  } catch (error) {
    if (!(error instanceof NetlinkError && (error.code === 'ENOENT' || error.code === 'ESRCH'))) throw error
  }
}
