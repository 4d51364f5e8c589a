import type { AddressOp, OpOf, Outcome } from '../../ops/op.ts'
import { writeValue } from '../../sys/files.ts'
import type { AddressKernel } from '../api/addresses.ts'
import {
  addressesOn,
  allRoutes,
  changeAddress,
  changeRoute,
  hasDefaultRoute,
  interfaceTo,
  nodeAddresses,
  routesOfTable,
  useNeighbour,
} from '../ip/addressing.ts'
import { announce } from './announce.ts'
import { tc } from './lazy.ts'
import type { OpenSides } from './open-sides.ts'
import { done, type Runs, verb } from './runs.ts'

/** Addresses, routes, policy rules, neighbours and settings. */
export const addressRuns: Runs<AddressOp['do']> = {
  'addr.add': runAddress,
  'addr.del': runAddress,
  'route.add': runRoute,
  'route.del': runRoute,
  'rule.add': runRule,
  'rule.del': runRule,
  'sysctl.set': ({ inside }, op) => {
    inside(op.side, () => setSysctl(op))
    return done
  },
  'neigh.use': (sides, op) => {
    useNeighbour(sides.route(op.side), indexOf(sides, op), op.address)
    return done
  },
  announce: (sides, op) => {
    announce(sides.route('pod'), indexOf(sides, { side: 'pod', ...op }), sides.pod, op)
    return done
  },
}

/** Questions about addressing. */
export function addressKernel({ route, openRoute }: OpenSides): AddressKernel {
  return {
    addresses: (side, ifindex) => addressesOn(route(side), ifindex),
    nodeAddresses: (families) => nodeAddresses(route('host'), families),
    routes: (side, table) =>
      table === undefined ? allRoutes(route(side)) : routesOfTable(() => openRoute(side), table),
    hasDefaultRoute: (side, family, ifindex) => hasDefaultRoute(() => openRoute(side), family, ifindex),
    interfaceTo: (address) => interfaceTo(route('host'), address),
    sourceRules: (side, family) => tc().sourceRules(() => openRoute(side), family),
    removeReplies: (rules, routes) => tc().removeReplies(route('pod'), rules, routes),
    removeTable: (table, priority) => tc().removeTable(() => openRoute('pod'), table, priority),
  }
}

/** By its number where that is known: a name may be another one by now. */
function indexOf(
  sides: OpenSides,
  { side, link, ifindex }: Pick<OpOf<'addr.add'>, 'side' | 'link' | 'ifindex'>,
): number {
  return ifindex ?? sides.indexOf(side, link)
}

function runAddress(sides: OpenSides, op: OpOf<'addr.add'>): Outcome {
  changeAddress(sides.route(op.side), verb(op.do), indexOf(sides, op), op.address)
  return done
}

function runRoute(sides: OpenSides, { do: kind, side, route }: OpOf<'route.add'>): Outcome {
  return changeRoute(sides.route(side), verb(kind), indexOf(sides, { side, ...route }), route)
}

function runRule({ route }: OpenSides, op: OpOf<'rule.add'>): Outcome {
  return tc().changeRule(route(op.side), verb(op.do), op.rule)
}

/** Writes a sysctl; one that this kernel does not have is passed over if the operation may fail. */
function setSysctl(op: OpOf<'sysctl.set'>): void {
  try {
    writeValue(`/proc/sys/${op.key}`, op.value)
  } catch (error) {
    if (op.mayFail !== true) throw error
  }
}
