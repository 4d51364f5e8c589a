/** The half of an operation's kind that needs no kernel: the side that it is for, its command line, its way back. */
import type { Op, OpKind, OpOf, Side } from '../op.ts'

/**
 * The way back: the kind that takes the same fields, as `addr.del` takes back `addr.add`; a function that makes the operation; or
 * the reason why there is none.
 */
export type Undo<K extends OpKind> =
  | Exclude<OpOf<K>['do'], K>
  | ((op: OpOf<K>) => Op)
  | { readonly none: string }

/** One kind of operation. */
export interface Kind<K extends OpKind> {
  readonly side: Side | ((op: OpOf<K>) => Side)
  /** The command line, or several: what a log, an error and a report show, and what one can type. */
  line(op: OpOf<K>): string | readonly string[]
  readonly undo: Undo<K>
}

/** An entry for each of these kinds. */
export type Kinds<K extends OpKind> = { readonly [One in K]: Kind<One> }

/** The side that stands in an operation. */
export function sideOf({ side }: { readonly side: Side }): Side {
  return side
}

/** `add` or `del`. */
export function verb(kind: OpKind): string {
  return kind.slice(kind.lastIndexOf('.') + 1)
}

/** Words without those that are empty. */
export function joined(words: readonly string[]): string {
  return words.filter((word) => word !== '').join(' ')
}
