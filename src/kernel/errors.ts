/** Tells refusals of the kernel apart: the object does not exist, the NIC refuses it, or a real error. */

import type { OfKind } from '../lib/error-kind.ts'
import { NetlinkError } from '../netlink/socket.ts'
import { OffloadRefused } from '../ops/offload-refused.ts'
import type { Offload, Outcome } from '../ops/op.ts'

/** The kernel stored something else than it was asked for: it ignores attributes that it does not know. */
export class StoredOtherwise extends Error implements OfKind {
  readonly kind = 'refusal'
  readonly code = 'EPROTO'
  /** One line for each attribute or action: `number of actions: asked 1, kernel has 2`. */
  readonly differences: readonly string[]

  constructor(differences: readonly string[]) {
    super(`the kernel stored another filter than asked for: ${differences.join('; ')}`)
    this.name = 'StoredOtherwise'
    this.differences = differences
  }
}

/** The kernel has added a filter and does not show it, because an echo or a part of a dump is lost. The filter may be in the NIC. */
export function unseenFilter(): NetlinkError {
  return new NetlinkError({
    operation: 'RTM_NEWTFILTER',
    errno: 105,
    extack: 'the kernel does not show the filter that it has made',
    isLost: true,
  })
}

/**
 * Offers an object to the NIC first, unless `offload` is `off`. `prefer` falls back to software and keeps the refusal. `add` adds
 * the object and returns its handle.
 * @throws OffloadRefused with the driver's reason when `offload` is `require`
 */
export function offered(offload: Offload, add: (inHardware: boolean) => number): Outcome {
  if (offload === 'off') return { where: 'host', handle: add(false) }
  try {
    return { where: 'nic', handle: add(true) }
  } catch (error) {
    const refusal = refusalOf(error)
    if (refusal === undefined || !(error instanceof Error)) throw error
    if (offload === 'require') throw new OffloadRefused(refusal, error)
    return { where: 'host', refusal, handle: add(false) }
  }
}

/**
 * The driver's reason for a refused filter; undefined for an error that is not about the NIC. EEXIST is about the key, which
 * another filter has. A filter without an answer (`isLost`) may be in the NIC.
 */
function refusalOf(error: unknown): string | undefined {
  if (error instanceof StoredOtherwise) return error.message
  return error instanceof NetlinkError && error.code !== 'EEXIST' && !error.isLost
    ? wordsOf(error)
    : undefined
}

/** A refusal as text: the name of its errno, then the reason of kernel or driver. */
export function wordsOf(error: NetlinkError): string {
  return error.extack === undefined ? error.errnoName : `${error.errnoName}: ${error.extack}`
}

/** Runs `action`. Returns undefined for an error with one of `codes`, which tells that the object does not exist. */
export function tolerate<T>(codes: readonly string[], action: () => T): T | undefined {
  try {
    return action()
  } catch (error) {
    if (error instanceof NetlinkError && codes.includes(error.code)) return undefined
    throw error
  }
}
