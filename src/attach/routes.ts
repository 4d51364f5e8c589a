/** Routes of an attachment, as IPAM names them and as the kernel has them. Pure. */
import { networkOf, parseCidr, parseIp } from '../lib/ip.ts'
import type { Op, Outcome, RouteSpec } from '../ops/op.ts'
import type { AttachJournal } from './record.ts'

/** What makes a route another one than the next, beside its interface. */
type RouteKey = NonNullable<AttachJournal['othersRoutes']>[number]

/** True for the same destination by the same gateway, with the same metric in the same table. */
export function isSameRoute(one: RouteKey, other: RouteKey): boolean {
  return keyOf(one) === keyOf(other)
}

/**
 * Of the routes among `ops`, those that the pod had before, so that the kernel took none of ours (see changeRoute): an
 * interface that was there first has the default route, as a rule. What `ops` itself added before is not meant.
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
