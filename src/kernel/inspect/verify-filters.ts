import { NetlinkError } from '../../netlink/socket.ts'
import { decodeFilter, getFilter } from '../../netlink/tc/filter.ts'
import type { FilterOp, OpOf } from '../../ops/op.ts'
import type { Difference } from '../api/verify.ts'
import { allLinks, findLink } from '../link/links.ts'
import { hasIngress } from '../tc/clsact.ts'
import { flowFilterDifferences, flowFilterPlace } from '../tc/flow-filter-spec.ts'
import { filterLine } from '../tc/format-filter.ts'
import { type Found, type Placed, type Reach, removal, type Verifiers } from './verifier.ts'

/** Filters for port mappings, and the qdisc that filters hang on. */
export const filterVerifiers: Verifiers<FilterOp['do']> = {
  'clsact.add': verifyClsact,
  'clsact.del': removal,
  'steer.add': { together: verifyFilters },
  'steer.del': removal,
  'guard.add': (reach, op) => reach.guard(op.ifindex, op.isBridge).map((found) => ({ found })),
  'guard.del': removal,
}

function verifyClsact(reach: Reach, op: OpOf<'clsact.add'>): Found[] {
  const socket = reach.socket(op.side)
  const link = findLink(socket, op.ifindex ?? op.link)
  if (link === undefined) return [{ found: 'no such interface' }]
  return hasIngress(socket, link.ifindex) ? [] : [{ found: 'neither clsact nor ingress' }]
}

/** One question for each filter, by interface, priority and handle: a dump could lose entries. */
function verifyFilters(reach: Reach, filters: readonly Placed<'steer.add'>[]): Difference[] {
  const socket = reach.socket('host')
  // Number 0 is no interface's: the answer is that there is none.
  const indexes = filters.map(({ op }) => op.rule.ifindex ?? findLink(socket, op.rule.link)?.ifindex ?? 0)
  const replies = socket.batch(
    filters.map(({ op, handle }, n) =>
      // Handle 0 names no filter: the answer is ENOENT.
      getFilter(flowFilterPlace(indexes[n] ?? 0, op.rule, handle ?? 0), 'flower'),
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
    const differences = flowFilterDifferences(indexes[n] ?? 0, rule, where === 'nic', stored)
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
