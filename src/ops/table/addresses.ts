import { ipFamily } from '../../lib/ip.ts'
import type { AddressOp, OpOf, RouteSpec } from '../op.ts'
import { type Kinds, sideOf, verb } from './kind.ts'

/** Addresses, routes, policy rules, neighbours and settings. */
export const addressKinds: Kinds<AddressOp['do']> = {
  'addr.add': { side: sideOf, line: addressLine, undo: 'addr.del' },
  'addr.del': { side: sideOf, line: addressLine, undo: 'addr.add' },
  'route.add': { side: sideOf, line: routeLine, undo: 'route.del' },
  'route.del': { side: sideOf, line: routeLine, undo: 'route.add' },
  'rule.add': { side: sideOf, line: ruleLine, undo: 'rule.del' },
  'rule.del': { side: sideOf, line: ruleLine, undo: 'rule.add' },
  'sysctl.set': {
    side: sideOf,
    line: (op) => `sysctl -w ${op.key}=${op.value}`,
    undo: (op) => ({ ...op, value: op.was, was: op.value }),
  },
  'neigh.use': {
    side: sideOf,
    line: (op) => `ip neigh replace ${op.address} dev ${op.link} nud none use`,
    undo: { none: 'a question to a neighbour leaves nothing' },
  },
  announce: {
    side: 'pod',
    line: (op) => `arping -U -c ${op.count} -I ${op.link} ${op.addresses.join(' ')}`,
    undo: { none: 'frames that were sent are sent' },
  },
}

function addressLine(op: OpOf<'addr.add'>): string {
  return `ip address ${verb(op.do)} ${op.address} dev ${op.link}`
}

function routeLine(op: OpOf<'route.add'>): string {
  return `ip route ${verb(op.do)} ${routeWords(op.route)}`
}

function ruleLine({ do: kind, rule }: OpOf<'rule.add'>): string {
  // Without a family ip takes every policy rule for one of IPv4.
  const family = rule.src.includes(':') ? '-6 ' : ''
  return `ip ${family}rule ${verb(kind)} from ${rule.src} lookup ${rule.table} priority ${rule.priority}`
}

/** A route as `ip route` has it. */
export function routeWords(route: RouteSpec): string {
  const words = [route.dst]
  const { dst, gw } = route
  if (gw !== undefined) words.push(`via ${ipFamily(gw) === ipFamily(dst) ? '' : 'inet6 '}${gw}`)
  words.push(`dev ${route.link}`)
  if (route.onlink === true) words.push('onlink')
  if (route.table !== undefined) words.push(`table ${route.table}`)
  if (route.metric !== undefined) words.push(`metric ${route.metric}`)
  if (route.scope !== undefined) words.push(`scope ${route.scope}`)
  if (route.src !== undefined) words.push(`src ${route.src}`)
  if (route.mtu !== undefined) words.push(`mtu ${route.mtu}`)
  if (route.advmss !== undefined) words.push(`advmss ${route.advmss}`)
  return words.join(' ')
}
