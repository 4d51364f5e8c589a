/** The work of operations, held against the node as it is: the half of CHECK that looks at the kernel. */
import type { Op, OpKind } from '../../ops/op.ts'
import type { Difference, DoneOp } from '../api/verify.ts'
import type { Reach, Verifier, Verifiers } from './verifier.ts'
import { addressVerifiers } from './verify-addresses.ts'
import { deviceStateVerifiers } from './verify-device-state.ts'
import { filterVerifiers } from './verify-filters.ts'
import { linkVerifiers } from './verify-links.ts'
import { rateVerifiers } from './verify-rates.ts'
import { reservationVerifiers } from './verify-reservations.ts'

/** A kind without an entry does not compile: CHECK would pass over it in silence. */
const verifiers: Verifiers<OpKind> = {
  ...linkVerifiers,
  ...addressVerifiers,
  ...filterVerifiers,
  ...reservationVerifiers,
  ...rateVerifiers,
  ...deviceStateVerifiers,
}

/** Kernel.verify: differences in the order of the operations, those of kinds that are asked for together at the end. */
export function verify(reach: Reach, done: readonly DoneOp[]): Difference[] {
  const found: Difference[] = []
  const together = new Map<OpKind, (DoneOp & { readonly at: number })[]>()
  for (const [at, one] of done.entries()) {
    const { op } = one
    const verifier = verifierOf(op)
    if (typeof verifier === 'function') found.push(...verifier(reach, op).map((rest) => ({ at, ...rest })))
    else if ('together' in verifier) {
      const ops = together.get(op.do) ?? []
      ops.push({ ...one, at })
      together.set(op.do, ops)
    }
  }
  for (const ops of together.values()) {
    const verifier = ops[0] && verifierOf(ops[0].op)
    if (typeof verifier === 'object' && 'together' in verifier) found.push(...verifier.together(reach, ops))
  }
  return found
}

/** The entry of an operation. The cast says that the entry of a kind takes the operations of that kind. */
function verifierOf(op: Op): Verifier<OpKind> {
  return verifiers[op.do] as unknown as Verifier<OpKind>
}
