/**
 * Replies must leave by the pod's interface on the wire: by any other they would be dropped or not recognised. Nothing to do
 * where the pod has no other way, nor for a veth, whose other end is the host that knows the connection. Pure.
 */
import { CniError, code } from '../../cni/error.ts'
import type { LinkFacts, RouteFacts, SourceRuleFacts } from '../../kernel/api/facts.ts'
import { contains, formatCidr, ipFamily, networkOf, parseCidr, parseIp } from '../../lib/ip.ts'
import type { Op, RouteSpec } from '../../ops/op.ts'
import type { Port } from '../port/port.ts'
import { type Identity, isRouteTable, rulePriority } from '../state/identity.ts'

/** An address of the pod, with the gateway that prevResult names for it. */
export interface PodAddress {
  readonly ip: string
  /** CIDR form. */
  readonly address: string
  readonly gateway: string | undefined
}

/** The facts by which replies are led. */
export interface ReplyFacts {
  readonly port: Port
  readonly podAddresses: readonly PodAddress[]
  /** Of the main table, and of those to which rules for the pod's addresses lead. */
  readonly podRoutes: readonly RouteFacts[]
  /** Of the families in which replies may need a rule. */
  readonly podRules: readonly SourceRuleFacts[]
}

/** Number of the routing table that everybody uses who names none. */
export const mainTable = 254

/** So many routes by its interface a pod may have, for each of which a table for replies needs one. */
const mostWays = 1_000

/**
 * Rules `from podIP` with a table that has all ways which lead out of the interface: the subnets, the routes of the main
 * table, and where that has no default route by it the gateway that the pod's addresses name. An address for which
 * somebody else did the same (sbr) is left to that.
 */
export function planReplies(
  { port, podAddresses, podRoutes, podRules }: ReplyFacts,
  { routeTable: table }: Identity,
): { readonly ops: readonly Op[]; readonly notes: readonly string[] } {
  const { wire, link } = port
  if (wire === undefined || link === undefined) return { ops: [], notes: [] }
  const notes: string[] = []
  const ops = familiesOf(podAddresses).flatMap((family): Op[] => {
    const routes = podRoutes.filter(({ dst }) => ipFamily(dst) === family)
    const own = podAddresses.filter(({ ip }) => ipFamily(ip) === family)
    const served = own.filter(({ ip }) => !podRules.some((rule) => leadsOut(rule, ip, routes, link)))
    if (onlyWayIs(routes, link) || served.length === 0) return []
    const ways = waysOut(own, routes, link, family)
    if (ways.length > mostWays) {
      const words = `${ways.length} routes lead out of it, each of which replies would need once more; must be at most ${mostWays}`
      throw new CniError(code.invalidConfig, `Cannot map ports to "${link.name}": ${words}`)
    }
    if (!ways.some(isDefault)) {
      const list = ways.map(({ dst }) => dst).join(', ')
      notes.push(`IPv${family}: no gateway is known, only clients in ${list} are served`)
    }
    return [
      ...ways.map((way): Op => ({ do: 'route.add', side: 'pod', route: { ...way, table } })),
      ...served.map(({ ip: src }): Op => {
        return { do: 'rule.add', side: 'pod', rule: { src, table, priority: rulePriority } }
      }),
    ]
  })
  return { ops, notes }
}

/** Families of addresses, each once. */
export function familiesOf(addresses: readonly PodAddress[]): readonly (4 | 6)[] {
  return [...new Set(addresses.map(({ ip }) => ipFamily(ip)))]
}

/** True when the main table, of whose routes of one family `routes` has all, leads everybody out of `link`. */
export function onlyWayIs(routes: readonly RouteFacts[], link: LinkFacts): boolean {
  const main = routes.filter((route) => route.table === mainTable && !isLocal(route))
  return main.some(isDefault) && main.every(({ ifindex }) => ifindex === link.ifindex)
}

/** No client is there: link-local networks of IPv6, and ::1, which stands in the main table. */
function isLocal({ dst }: RouteFacts): boolean {
  return /^fe[89ab][0-9a-f]:/.test(dst) || dst === '::1/128'
}

function isDefault({ dst }: Pick<RouteFacts, 'dst'>): boolean {
  return dst.endsWith('/0')
}

/** True when a rule of others sends what comes from `ip` to a table that leads out of `link` and nowhere else. */
function leadsOut(
  rule: SourceRuleFacts,
  ip: string,
  routes: readonly RouteFacts[],
  link: LinkFacts,
): boolean {
  if (!isFor(rule, ip)) return false
  const ways = routes.filter((route) => route.table === rule.table && !isLocal(route))
  return ways.length > 0 && ways.every(({ ifindex }) => ifindex === link.ifindex)
}

/** True for a rule of others that leads what comes from `ip` past the main table. */
export function isFor({ src: from, table }: SourceRuleFacts, ip: string): boolean {
  const src = parseCidr(from)
  // Another network of this pod may have one, which goes with that network.
  if (isRouteTable(table)) return false
  return table !== mainTable && ipFamily(src.ip) === ipFamily(ip) && contains(src, parseIp(ip))
}

/** Tables to which rules of others send what comes from one of `addresses`. */
export function tablesBehind(
  rules: readonly SourceRuleFacts[],
  addresses: readonly PodAddress[],
): readonly number[] {
  const found = rules.filter((rule) => addresses.some(({ ip }) => isFor(rule, ip)))
  return [...new Set(found.map(({ table }) => table))]
}

/** Routes out of `link`, neighbours before gateways, each destination with one metric once. */
function waysOut(
  own: readonly PodAddress[],
  routes: readonly RouteFacts[],
  { ifindex, name: link }: LinkFacts,
  family: 4 | 6,
): RouteSpec[] {
  const subnets = own.map(({ address }) => formatCidr(networkOf(parseCidr(address))))
  const ways = new Map<string, RouteSpec>(subnets.map((dst) => [dst, { dst, link }]))
  const more = routes.filter((route) => {
    const isOut = route.table === mainTable && route.ifindex === ifindex && !isLocal(route)
    return isOut && !ways.has(route.dst)
  })
  for (const { dst, gw, metric, mtu, advmss, onlink } of more) {
    ways.set(`${dst} ${metric}`, {
      ...{ dst, link },
      ...(gw === undefined ? {} : { gw }),
      ...(metric === 0 ? {} : { metric }),
      ...(mtu === undefined ? {} : { mtu }),
      ...(advmss === undefined ? {} : { advmss }),
      ...(onlink === undefined ? {} : { onlink }),
    })
  }
  const gateway = own.find((address) => address.gateway !== undefined)?.gateway
  if (gateway !== undefined && !more.some(isDefault)) {
    const dst = family === 4 ? '0.0.0.0/0' : '::/0'
    ways.set(dst, { dst, gw: gateway, link })
  }
  const all = [...ways.values()]
  return [...all.filter(({ gw }) => gw === undefined), ...all.filter(({ gw }) => gw !== undefined)]
}
