/** Types for the evaluation of foreign rules: a rule, its possible ends, and the search in a set. */
import type { Place, SeenExpression } from '../../netlink/nf/others.ts'
import type { NftElement } from '../../netlink/nf/tables.ts'
import type { Destination } from './leads-to.ts'
import type { Partly } from './packet.ts'
import type { Answer } from './registers.ts'

/** A rule and its chain. */
export interface Rule {
  readonly place: Place
  readonly expressions: readonly SeenExpression[]
  readonly comment: string | undefined
  /** Returns the name of a chain for people; absent when the chain's own name is that. */
  readonly nameOf?: (chain: string) => string
}

/** The end of a rule. */
export type Verdict =
  | {
      readonly do: 'translate'
      readonly to: string
      /** Undefined when the rule does not give a single address and port. */
      readonly destination: Destination | undefined
    }
  | { readonly do: 'jump' | 'goto'; readonly chain: string }
  | { readonly do: 'end' | 'return' }

/** One possible end of a rule for a packet. */
export interface Match {
  readonly verdict: Verdict
  /** True when the rule ends so for every sender. */
  readonly isSure: boolean
  /** True when the rule ends so for nearly all senders, or when chance picks one of the matches and all of them are listed. */
  readonly isForMost: boolean
  /** The element of a map that gives the verdict. */
  readonly element: NftElement | undefined
}

/** The effect of a rule on a packet. */
export interface Tried {
  /** Empty when the rule does not match, or goes on to the next rule. */
  readonly matches: readonly Match[]
  /** Expressions that cannot be read: the rule may match. */
  readonly unread: readonly string[]
  /** True when the key of a set or map of the rule has the packet's port. */
  readonly isNamed: boolean
}

/** Finds the elements of a set or map that a key may match. The answer tells whether the key has an element. */
export type FindElements = (
  place: Place,
  key: (length: number) => Partly,
) => { readonly answer: Answer; readonly elements: readonly NftElement[] }
