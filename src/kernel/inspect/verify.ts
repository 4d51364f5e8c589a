/** What operations have left, held against what they were: the half of CHECK that looks at the kernel. */
import { ipFamily, networkOf, parseCidr, parseIp } from '../../lib/ip.ts'
import { formatPortSet } from '../../lib/port-set.ts'
import { AF } from '../../netlink/rtnl/const.ts'
import { decodeRule, dumpRules } from '../../netlink/rtnl/rule.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import { decodeFilter, getFilter } from '../../netlink/tc/filter.ts'
import type { FlowFilter, Op, RouteSpec, RuleSpec, Side } from '../../ops/op.ts'
import { readText } from '../../sys/files.ts'
import type { Difference, DoneOp } from '../api/verify.ts'
import { routesOfTable } from '../ip/addressing.ts'
import { allLinks, findLink } from '../link/links.ts'
import { reservedLocalPorts } from '../nftables/local-reserved-ports.ts'
import { listTable } from '../nftables/nft-list.ts'
import type { RunNft } from '../nftables/nft-program.ts'
import { compareNft, nftLines } from '../nftables/ruleset-diff.ts'
import { hasIngress } from '../tc/clsact.ts'
import { steerDifferences, steerPlace } from '../tc/flow-filter-spec.ts'
import { filterLine } from '../tc/format-filter.ts'
import { verifyPorts } from './verify-ports.ts'

/** How to reach the two sides. */
export interface Reach {
  socket(side: Side): NetlinkSocket
  /** A socket of rtnetlink that its user closes. */
  open(side: Side): NetlinkSocket
  /** One of the host's netfilter. */
  netfilter(): NetlinkSocket
  nft(side: Side): RunNft
  inside<T>(side: Side, action: () => T): T
  /** What of the guard of a host interface is not as it was made. */
  guard(ifindex: number, isBridge: boolean): readonly string[]
}

/** Kernel.verify */
export function verify(reach: Reach, done: readonly DoneOp[]): Difference[] {
  const filters = done.flatMap(({ op, ...rest }, at) => (op.do === 'steer.add' ? [{ op, at, ...rest }] : []))
  const others = done.flatMap(({ op }, at) => verifyOne(reach, op).map((found) => ({ at, ...found })))
  return [...others, ...verifyFilters(reach, filters)]
}

/** A difference of an operation that is known. */
type Found = Omit<Difference, 'at'>

function verifyOne(reach: Reach, op: Op): Found[] {
  switch (op.do) {
    case 'ports.reserve':
      return verifyPorts(reach.netfilter(), reach.nft('host'), op)
    case 'localports.reserve': {
      const now = reach.inside('host', reservedLocalPorts)
      const missing = op.ports.filter((port) => !now.has(port))
      if (missing.length === 0) return []
      return [{ found: `net.ipv4.ip_local_reserved_ports without ${formatPortSet(missing)}` }]
    }
    case 'nft.load':
      return verifyTable(reach.nft(op.side), op)
    case 'route.add':
      return verifyRoute(reach, op)
    case 'rule.add':
      return verifyRule(reach, op)
    case 'sysctl.set': {
      const found = reach.inside(op.side, () => readText(`/proc/sys/${op.key}`))
      if (found === op.value || (found === undefined && op.mayFail === true)) return []
      return [{ found: found === undefined ? 'no such setting' : `${op.key}=${found}` }]
    }
    case 'guard.add':
      return reach.guard(op.ifindex, op.isBridge).map((found) => ({ found }))
    case 'clsact.add': {
      const link = findLink(reach.socket('host'), op.ifindex ?? op.link)
      if (link === undefined) return [{ found: 'no such interface' }]
      return hasIngress(reach.socket('host'), link.ifindex) ? [] : [{ found: 'neither clsact nor ingress' }]
    }
    default:
      return []
  }
}

interface DoneFilter extends Omit<DoneOp, 'op'> {
  readonly op: Extract<Op, { rule: FlowFilter }>
  readonly at: number
}

/** One question for each filter, by interface, priority and handle: a dump could lose entries. */
function verifyFilters(reach: Reach, filters: readonly DoneFilter[]): Difference[] {
  const socket = reach.socket('host')
  // Number 0 is no interface's: the answer is that there is none.
  const indexes = filters.map(({ op }) => op.rule.ifindex ?? findLink(socket, op.rule.link)?.ifindex ?? 0)
  const replies = socket.batch(
    filters.map(({ op, handle }, n) =>
      // Handle 0 names no filter: the answer is ENOENT.
      getFilter(steerPlace(indexes[n] ?? 0, op.rule, handle ?? 0), 'flower'),
    ),
  )
  let names: ReadonlyMap<number, string> | undefined
  const nameOf = (ifindex: number): string | undefined => {
    names ??= new Map(allLinks(socket).map((link) => [link.ifindex, link.name]))
    return names.get(ifindex)
  }
  return filters.flatMap(({ op: { rule }, where, at }, n) => {
    const reply = replies[n]
    const message = reply instanceof NetlinkError ? undefined : reply?.messages[0]
    if (message === undefined) return [{ at, found: absence(reply) }]
    const stored = decodeFilter(message)
    const differences = steerDifferences(indexes[n] ?? 0, rule, where === 'nic', stored)
    if (differences.length === 0) return []
    return [{ at, found: filterLine(stored, nameOf), details: differences.join('; ') }]
  })
}

/** ENOENT: no such filter; EINVAL: no qdisc to hang it on; ENODEV: no such interface. Anything else is an error. */
function absence(reply: unknown): string {
  if (!(reply instanceof NetlinkError)) return 'no filter'
  if (reply.code === 'ENOENT' || reply.code === 'EINVAL') return 'no such filter'
  if (reply.code === 'ENODEV') return 'no such interface'
  throw reply
}

function verifyTable(nft: RunNft, op: Extract<Op, { text: string }>): Found[] {
  const wanted = nftLines(op.text)
  const found = listTable(nft, op.table)
  if (found.length === 0 && wanted.length > 0) return [{ found: 'no such table' }]
  const where = `${op.side === 'pod' ? 'pod:' : ''}table inet ${op.table} `
  return compareNft(wanted, found).map((one) => ({ ...one, expected: `${where}${one.expected}` }))
}

function verifyRoute(reach: Reach, op: Extract<Op, { route: RouteSpec }>): Found[] {
  const { dst, gw, link, table = 254, metric } = op.route
  const { ip, prefix } = networkOf(parseCidr(dst))
  const there = routesOfTable(() => reach.open(op.side), table).filter(
    (route) => route.dst === `${ip}/${prefix}`,
  )
  const nameOf = (ifindex = 0) => findLink(reach.socket(op.side), ifindex)?.name
  const fits = there.some(
    (route) =>
      nameOf(route.ifindex) === link &&
      route.gw === (gw === undefined ? undefined : parseIp(gw)) &&
      (metric === undefined || route.metric === metric),
  )
  if (fits) return []
  const words = there.map(({ gw, ifindex = 0, metric }) =>
    [
      `ip route ${dst}`,
      gw === undefined ? '' : `via ${gw}`,
      `dev ${nameOf(ifindex) ?? ifindex} table ${table}`,
      metric === 0 ? '' : `metric ${metric}`,
    ]
      .filter((part) => part !== '')
      .join(' '),
  )
  return [{ found: words.length === 0 ? 'no such route' : words.join(', ') }]
}

function verifyRule(reach: Reach, op: Extract<Op, { rule: RuleSpec }>): Found[] {
  const { src, table, priority } = op.rule
  const family = ipFamily(src) === 4 ? AF.AF_INET : AF.AF_INET6
  const there = reach
    .socket(op.side)
    .dump(dumpRules(family))
    .map(decodeRule)
    .filter((rule) => rule.FRA_SRC === src && rule.src_len === (family === AF.AF_INET ? 32 : 128))
  if (there.some((rule) => rule.FRA_TABLE === table && rule.FRA_PRIORITY === priority)) return []
  const words = there.map(
    (rule) => `ip rule from ${src} lookup ${rule.FRA_TABLE ?? rule.table} priority ${rule.FRA_PRIORITY ?? 0}`,
  )
  return [{ found: words.length === 0 ? 'no such rule' : words.join(', ') }]
}
