import { errnoName } from '../lib/errno.ts'
import type { OfKind } from '../lib/error-kind.ts'

/** The parts of a NetlinkError. */
export interface NetlinkErrorDetails {
  /** The request: `RTM_NEWTFILTER`. */
  readonly operation: string
  /** Positive. */
  readonly errno: number
  /** The kernel's explanation (NLMSGERR_ATTR_MSG), or ours for an error of the exchange itself. */
  readonly extack?: string
  /** Byte of the request that the kernel points at, from its nlmsghdr. */
  readonly offset?: number
  /** The attribute there or the missing one: `TCA_OPTIONS > TCA_FLOWER_KEY_ETH_TYPE`. */
  readonly attribute?: string
  /** The error of the transport, for a request without an answer. */
  readonly cause?: unknown
  /** True if the result of the request is unknown; by default if there is a `cause`. */
  readonly isLost?: boolean
}

/** A refused or unanswered request: `RTM_NEWTFILTER: EOPNOTSUPP: TC offload is disabled on net device`. */
export class NetlinkError extends Error implements OfKind {
  readonly kind = 'refusal'
  readonly operation: string
  readonly errno: number
  readonly errnoName: string
  /** The same as errnoName, under the name that Node's own errors use. */
  readonly code: string
  readonly extack?: string
  readonly offset?: number
  readonly attribute?: string
  /** The answer is lost, or says too little: the result of the request is unknown. */
  readonly isLost: boolean

  constructor(details: NetlinkErrorDetails) {
    const { operation, errno, extack, offset, attribute, cause, isLost = cause !== undefined } = details
    const text = extack === undefined ? '' : `: ${extack}`
    const where = attribute === undefined ? '' : ` (${attribute})`
    super(`${operation}: ${errnoName(errno)}${text}${where}`, cause === undefined ? undefined : { cause })
    this.name = 'NetlinkError'
    this.operation = operation
    this.errno = errno
    this.errnoName = errnoName(errno)
    this.code = this.errnoName
    this.isLost = isLost
    if (extack !== undefined) this.extack = extack
    if (offset !== undefined) this.offset = offset
    if (attribute !== undefined) this.attribute = attribute
  }
}
