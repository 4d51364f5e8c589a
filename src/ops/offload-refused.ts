import type { OfKind } from '../lib/error-kind.ts'

/** The NIC or its driver refuses a filter that must be in hardware. Message, code and extack are the kernel's. */
export class OffloadRefused extends Error implements OfKind {
  readonly kind = 'refusal'
  /** The driver's words, with the errno. */
  readonly refusal: string
  /** Name of the errno. */
  readonly code: string
  readonly extack: string | undefined

  constructor(refusal: string, cause?: Error & { readonly code?: unknown; readonly extack?: unknown }) {
    super(cause?.message ?? refusal, { cause })
    this.name = 'OffloadRefused'
    this.refusal = refusal
    this.code = typeof cause?.code === 'string' ? cause.code : 'EOPNOTSUPP'
    this.extack = typeof cause?.extack === 'string' ? cause.extack : undefined
  }
}
