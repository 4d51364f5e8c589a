import type { OpOf } from '../../ops/op.ts'

/** The kinds of operations that an ADD plans. CHECK has an entry for each (verbs/check-plan.ts). */
export type PlannedKind =
  | 'vf.set'
  | 'link.set'
  | 'link.move'
  | 'altname.del'
  | 'bridge.vlan.add'
  | 'bridge.vlan.del'
  | 'addr.add'
  | 'route.add'
  | 'sysctl.set'
  | 'neigh.use'
  | 'announce'

/** An operation of an ADD. */
export type PlannedOp = { [K in PlannedKind]: OpOf<K> & { readonly do: K } }[PlannedKind]
