/** The form of an entry of the table of CHECK (verify.ts). */
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { OpKind, OpOf, Side } from '../../ops/op.ts'
import type { LinkKernel } from '../api/links.ts'
import type { RateKernel } from '../api/rates.ts'
import type { Difference, DoneOp } from '../api/verify.ts'
import type { RunNft } from '../nftables/nft-program.ts'
import type { RateLooks } from '../tc/rate-operations.ts'

/** Ways to the two sides. */
export interface Reach extends Pick<LinkKernel, 'link'> {
  socket(side: Side): NetlinkSocket
  /** A socket of rtnetlink that its user closes. */
  open(side: Side): NetlinkSocket
  /** A socket of the host's netfilter. */
  netfilter(): NetlinkSocket
  nft(side: Side): RunNft
  inside<T>(side: Side, action: () => T): T
  /** Differences of the guard of a host interface from the one that was made. */
  guard(ifindex: number, isBridge: boolean): readonly string[]
  rates(): RateLooks & Pick<RateKernel, 'limiters' | 'ratesOfPort'>
}

/** A difference of an operation that is known. */
export type Found = Omit<Difference, 'at'>

/** A done operation of a kind, with its place in the list. */
export interface Placed<K extends OpKind> extends Omit<DoneOp, 'op'> {
  readonly op: OpOf<K>
  readonly at: number
}

/**
 * The look at the work of one kind of operation: a function for one operation; a function for all of them together, where one
 * question serves many; or the reason why there is nothing to look at.
 */
export type Verifier<K extends OpKind> =
  | ((reach: Reach, op: OpOf<K>) => readonly Found[])
  | { readonly together: (reach: Reach, done: readonly Placed<K>[]) => readonly Difference[] }
  | { readonly unseen: string }

/** An entry for each of these kinds. */
export type Verifiers<K extends OpKind> = { readonly [One in K]: Verifier<One> }

/** For the kinds that take something away. */
export const removal = {
  unseen: 'the thing is gone; whoever made the like since is not ours to judge',
} as const

/** One difference, or none. */
export function difference(found: string | undefined): Found[] {
  return found === undefined ? [] : [{ found }]
}

/** A sentence for a value that is not as it was set. */
export function unlike(what: string, wanted: unknown, found: unknown): string | undefined {
  return wanted === found ? undefined : `${what} ${String(found)} instead of ${String(wanted)}`
}
