import type { FilterOp, FlowFilterOp, Outcome } from '../../ops/op.ts'
import type { FilterKernel } from '../api/filters.ts'
import { clsact, guard, inspect, tc } from './lazy.ts'
import type { OpenSides } from './open-sides.ts'
import { done, type Runs } from './runs.ts'

/** Filters for port mappings, and the qdisc that filters hang on. */
export const filterRuns: Runs<FilterOp['do']> = {
  'clsact.add': ({ route, indexOf }, { side, link, ifindex }) =>
    clsact().addClsact(route(side), ifindex ?? indexOf(side, link)),
  'clsact.del': ({ openRoute, indexOf }, { side, link, ifindex }) => {
    clsact().dropEmptyClsact(() => openRoute(side), ifindex ?? indexOf(side, link))
    return done
  },
  'steer.add': runFilter,
  'steer.del': runFilter,
  'guard.add': ({ route }, op) => guard().addGuard(route('host'), op.ifindex, op.isBridge),
  'guard.del': ({ route }, op) => {
    guard().removeGuard(route('host'), op.ifindex)
    return done
  },
}

/** Runner.runAll */
export function runFilters({ route, indexOf }: OpenSides, ops: readonly FlowFilterOp[]): (Outcome | Error)[] {
  const filters = ops.map(({ rule, ...op }) => {
    return { ...op, ifindex: rule.ifindex ?? indexOf('host', rule.link), spec: rule }
  })
  const { addFlowFilters, removeFlowFilters } = tc()
  return (ops[0]?.do === 'steer.add' ? addFlowFilters : removeFlowFilters)(route('host'), filters)
}

/** Questions about filters. */
export function filterKernel({ route, openRoute, indexOf }: OpenSides): FilterKernel {
  return {
    ownFilters: (prefix, side = 'host', places) =>
      tc().findOwnFilters(() => openRoute(side), prefix, places, side === 'pod' ? podSlot : undefined),
    placedFilters: (filters) => tc().findPlaced(route('host'), filters),
    removeFilters: (filters, side = 'host') => tc().deleteOwnFilters(route(side), filters),
    filterCounters: (rules) =>
      inspect().filterCounters(route('host'), rules, (name) => indexOf('host', name)),
    conflicts: (link, specs, ownPrefix) => tc().conflictsOf(route('host'), link, specs, ownPrefix),
    guardFacts: (ifindex) => guard().guardFacts(route('host'), ifindex),
    hasIngress: (ifindex, side = 'host') => clsact().hasIngress(route(side), ifindex),
    dropEmptyClsact: (ifindex) => clsact().dropEmptyClsact(() => openRoute('host'), ifindex),
  }
}

/** So many datagrams are read of a slot of filters in a pod, of up to 32 KiB each: some ten thousand filters. */
const podSlot = 128

function runFilter(sides: OpenSides, op: FlowFilterOp): Outcome {
  const [result] = runFilters(sides, [op])
  if (result instanceof Error) throw result
  return result ?? done
}
