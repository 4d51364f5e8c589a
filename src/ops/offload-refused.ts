/** A filter that must be in hardware is not taken there. Message, code and extack are the kernel's. */
export class OffloadRefused extends Error {
  /** The driver's words, with the errno. */
  readonly refusal: string
  /** errno name. */
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
