import { ipFamily, networkOf, parseCidr, parseIp } from '../../lib/ip.ts'
import { AF } from '../../netlink/rtnl/const.ts'
import { decodeRule, dumpRules } from '../../netlink/rtnl/rule.ts'
import type { AddressOp, OpOf } from '../../ops/op.ts'
import { readText } from '../../sys/files.ts'
import { addressesOn, routesOfTable } from '../ip/addressing.ts'
import { findLink } from '../link/links.ts'
import { difference, type Found, type Reach, removal, type Verifiers } from './verifier.ts'

/** Addresses, routes, policy rules, neighbours and settings. */
export const addressVerifiers: Verifiers<AddressOp['do']> = {
  'addr.add': verifyAddress,
  'addr.del': removal,
  'route.add': verifyRoute,
  'route.del': removal,
  'rule.add': verifyRule,
  'rule.del': removal,
  'sysctl.set': verifySysctl,
  'neigh.use': { unseen: 'a question to a neighbour leaves nothing' },
  announce: { unseen: 'frames that were sent leave nothing' },
}

function verifyAddress(reach: Reach, { side, link, ifindex, address }: OpOf<'addr.add'>): Found[] {
  const found = reach.link(side, ifindex ?? link)
  if (found === undefined) return difference('no such interface')
  const { ip, prefix } = parseCidr(address)
  const there = addressesOn(reach.socket(side), found.ifindex).some(
    (one) => one.address === `${ip}/${prefix}`,
  )
  return difference(there ? undefined : 'no such address')
}

function verifySysctl(reach: Reach, { side, key, value, mayFail }: OpOf<'sysctl.set'>): Found[] {
  const found = reach.inside(side, () => readText(`/proc/sys/${key}`))
  if (found === value || (found === undefined && mayFail === true)) return []
  return difference(found === undefined ? 'no such setting' : `${key}=${found}`)
}

function verifyRoute(reach: Reach, op: OpOf<'route.add'>): Found[] {
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

function verifyRule(reach: Reach, op: OpOf<'rule.add'>): Found[] {
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
