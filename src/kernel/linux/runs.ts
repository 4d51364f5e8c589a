import type { OpKind, OpOf, Outcome } from '../../ops/op.ts'
import type { OpenSides } from './open-sides.ts'

/** Carries out an operation of one kind. */
export type Run<K extends OpKind> = (sides: OpenSides, op: OpOf<K>) => Outcome

/** An entry for each of these kinds. */
export type Runs<K extends OpKind> = { readonly [One in K]: Run<One> }

/** The outcome of an operation that has nothing to report. */
export const done: Outcome = {}

/** `add` or `del`. */
export function verb(kind: OpKind): 'add' | 'del' {
  return kind.endsWith('.add') ? 'add' : 'del'
}
