/** The words of the walk through rules of others: a rule, its ends, and a look into a set. */
import type { Place, SeenExpression } from '../../netlink/nf/others.ts'
import type { NftElement } from '../../netlink/nf/tables.ts'
import type { Destination } from './leads-to.ts'
import type { Partly } from './packet.ts'
import type { Answer } from './registers.ts'

/** A rule, and the chain that it stands in. */
export interface Rule {
  readonly place: Place
  readonly expressions: readonly SeenExpression[]
  readonly comment: string | undefined
  /** What people call a chain; by itself where its name is that. */
  readonly nameOf?: (chain: string) => string
}

/** How a rule ends. */
export type Verdict =
  | {
      readonly do: 'translate'
      readonly to: string
      /** Undefined where it is not one address that the rule gives. */
      readonly destination: Destination | undefined
    }
  | { readonly do: 'jump' | 'goto'; readonly chain: string }
  | { readonly do: 'end' | 'return' }

/** One way in which a rule may end for a packet. */
export interface Match {
  readonly verdict: Verdict
  /** The packet takes this way whoever sent it. */
  readonly isSure: boolean
  /** Nearly all senders' packets take this way, or one that chance picks of ways that are all given. */
  readonly isForMost: boolean
  /** The element of a map that says so. */
  readonly element: NftElement | undefined
}

/** What a rule does with a packet. */
export interface Tried {
  /** None where the rule does not match, or goes on. */
  readonly matches: readonly Match[]
  /** Expressions that nobody here can read: the rule may match. */
  readonly unread: readonly string[]
  /** A set or map has the packet's port in the key that the rule asks for. */
  readonly isNamed: boolean
}

/** A look into a set or map: the elements that a key may have, and whether it has one. */
export type FindElements = (
  place: Place,
  key: (length: number) => Partly,
) => { readonly answer: Answer; readonly elements: readonly NftElement[] }
