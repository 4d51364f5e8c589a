// Shared by the tests of flow filters: a filter, its addition and removal, and the tables of net/sched.
import { expect } from 'vitest'
import { addClsact } from '../../src/kernel/tc/clsact.ts'
import { addFlowFilters, removeFlowFilters } from '../../src/kernel/tc/flow-filters.ts'
import type { NetlinkSocket } from '../../src/netlink/socket.ts'
import { flowerOf } from '../../src/netlink/tc/filter.ts'
import type { Flower } from '../../src/netlink/tc/kinds/flower.ts'
import type { Tc } from '../../src/netlink/tc/msg.ts'
import type { FlowFilter, Offload, Outcome } from '../../src/ops/op.ts'
import { Sched } from './sched.ts'

export { steer as spec } from '../ops/examples.ts'

export const pf = 2

/** Adds one filter. @throws its error */
export function addFilter(
  socket: NetlinkSocket,
  ifindex: number,
  wanted: FlowFilter,
  offload: Offload,
): Outcome {
  const [result] = addFlowFilters(socket, [{ ifindex, spec: wanted, offload }])
  if (result instanceof Error || result === undefined) throw result
  return result
}

export function removeFilter(socket: NetlinkSocket, ifindex: number, unwanted: FlowFilter): void {
  expect(removeFlowFilters(socket, [{ ifindex, spec: unwanted }])).toEqual([{}])
}

export function withClsact(takes?: true | string): Sched {
  const sched = new Sched(takes)
  addClsact(sched.socket, pf)
  return sched
}

export const prefix = '766601'

/** The filter with changed options. */
export function change(filter: Tc, options: { [K in keyof Flower]: Flower[K] | undefined }): Tc {
  const entries = Object.entries({ ...flowerOf(filter), ...options }).filter(
    ([, value]) => value !== undefined,
  )
  return { ...filter, TCA_OPTIONS: Object.fromEntries(entries) as Flower }
}
