/** Routes of an attachment, as IPAM names them and as the kernel has them. Pure. */
import type { RouteFacts } from '../../kernel/api/facts.ts'
import { networkOf, parseCidr, parseIp } from '../../lib/ip.ts'
import type { Op, Outcome, RouteSpec } from '../../ops/op.ts'
import type { AttachJournal } from '../../records/attach.ts'

/** The values that tell two routes of one interface apart. */
type RouteKey = NonNullable<AttachJournal['othersRoutes']>[number]

/** True for the same destination by the same gateway, with the same metric in the same table. */
export function isSameRoute(one: RouteKey, other: RouteKey): boolean {
  return keyOf(one) === keyOf(other)
}

/**
 * Of the routes among `ops`, those that the pod had before, so that the kernel took none of ours (see changeRoute): an
 * interface that was there first has the default route, as a rule. Routes that `ops` itself added before do not count.
 */
export function othersRoutes(ops: readonly Op[], outcomes: readonly Outcome[]): RouteKey[] {
  const routes = ops.flatMap((op, at) =>
    op.do === 'route.add' ? [{ route: op.route, existed: outcomes[at]?.existed === true }] : [],
  )
  const own = new Set(routes.filter(({ existed }) => !existed).map(({ route }) => keyOf(route)))
  return routes
    .filter(({ route, existed }) => existed && !own.has(keyOf(route)))
    .map(({ route }) => keyPart(route))
}

function keyPart({ dst, gw, table, metric }: RouteSpec): RouteKey {
  return {
    dst,
    ...(gw === undefined ? {} : { gw }),
    ...(table === undefined ? {} : { table }),
    ...(metric === undefined ? {} : { metric }),
  }
}

function keyOf({ dst, gw, table, metric }: RouteKey): string {
  const { ip, prefix } = networkOf(parseCidr(dst))
  return `${ip}/${prefix} ${gw === undefined ? '' : parseIp(gw)} ${table ?? ''} ${metric ?? ''}`
}

/** RT_TABLE_MAIN and RT_SCOPE_LINK of linux/rtnetlink.h. */
const mainTable = 254
const linkScope = 253
/** The kernel gives a route of IPv6 this metric for 0 (IP6_RT_PRIO_USER of linux/ipv6_route.h). */
const ipv6Metric = 1024
/** The kernel cuts larger ones (ip_metrics_convert of net/ipv4/metrics.c). */
const largest = { mtu: 65_535 - 15, advmss: 65_535 - 40 }

/** True when `found` is the route that the kernel makes of `spec`. Which interface it leaves by is for the caller to compare. */
export function isRoute(found: RouteFacts, spec: RouteSpec): boolean {
  const { ip, prefix } = networkOf(parseCidr(spec.dst))
  const { table, metric, scope } = defaults(spec)
  return (
    found.dst === `${ip}/${prefix}` &&
    found.gw === (spec.gw === undefined ? undefined : parseIp(spec.gw)) &&
    found.table === (spec.table || table) &&
    found.metric === (spec.metric || metric) &&
    (isIpv6(spec) || (found.scope ?? 0) === (spec.scope ?? scope)) &&
    (found.mtu ?? 0) === Math.min(spec.mtu ?? 0, largest.mtu) &&
    (found.advmss ?? 0) === Math.min(spec.advmss ?? 0, largest.advmss)
  )
}

/** A route that is there as one would ask for it: what is the default is left out. */
export function specOf(found: RouteFacts, link: string): RouteSpec {
  const { dst, gw, table, metric, scope = 0, mtu = 0, advmss = 0 } = found
  const plain = defaults({ dst, gw })
  return {
    ...{ dst, link },
    ...(gw === undefined ? {} : { gw }),
    ...(table === plain.table ? {} : { table }),
    ...(metric === plain.metric ? {} : { metric }),
    ...(scope === plain.scope ? {} : { scope }),
    ...(mtu === 0 ? {} : { mtu }),
    ...(advmss === 0 ? {} : { advmss }),
  }
}

/** As changeRoute() and the kernel complete it. */
function defaults(route: { readonly dst: string; readonly gw?: string | undefined }) {
  const v6 = isIpv6(route)
  const scope = !v6 && route.gw === undefined ? linkScope : 0
  return { table: mainTable, metric: v6 ? ipv6Metric : 0, scope }
}

function isIpv6({ dst }: { readonly dst: string }): boolean {
  return dst.includes(':')
}
