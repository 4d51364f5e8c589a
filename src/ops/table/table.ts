/** The table of all kinds of operations, as far as it needs no kernel. A kind without an entry does not compile. */
import type { Op, OpKind } from '../op.ts'
import { addressKinds } from './addresses.ts'
import { deviceStateKinds } from './device-state.ts'
import { filterKinds } from './filters.ts'
import type { Kind, Kinds } from './kind.ts'
import { linkKinds } from './links.ts'
import { rateKinds } from './rates.ts'
import { reservationKinds } from './reservations.ts'

const kinds: Kinds<OpKind> = {
  ...linkKinds,
  ...addressKinds,
  ...filterKinds,
  ...reservationKinds,
  ...rateKinds,
  ...deviceStateKinds,
}

/** The entry of an operation. The cast says that the entry of a kind takes the operations of that kind. */
export function kindOf(op: Op): Kind<OpKind> {
  return kinds[op.do] as unknown as Kind<OpKind>
}
