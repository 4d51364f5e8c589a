/** What a refusal of the kernel means: that there is nothing, that the NIC does not take it, or trouble. */

import { NetlinkError } from '../netlink/socket.ts'
import { OffloadRefused } from '../ops/offload-refused.ts'
import type { Offload, Outcome } from '../ops/op.ts'

/** The kernel stored another filter than it was asked for: it ignores attributes that it does not know. */
export class EchoMismatch extends Error {
  readonly code = 'EPROTO'
  constructor(differences: readonly string[]) {
    super(`the kernel stored another filter than asked for: ${differences.join('; ')}`)
    this.name = 'EchoMismatch'
  }
}

/** A filter was made that the kernel does not show (an echo or a part of a dump is lost): what it is, and where, is unknown. */
export function unseenFilter(): NetlinkError {
  return new NetlinkError({
    operation: 'RTM_NEWTFILTER',
    errno: 105,
    extack: 'the kernel does not show the filter that it has made',
    isLost: true,
  })
}

/**
 * Tries the NIC first, as far as `offload` wants it, and says where it is and why; `add` comes back with a handle.
 * @throws OffloadRefused with the driver's words when it must be the NIC
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
 * Why the NIC has not taken a filter, in its driver's words; undefined for an error that is not about the NIC. EEXIST is
 * about the key: another filter has it, with whatever flags. One that got no answer may be in the NIC.
 */
function refusalOf(error: unknown): string | undefined {
  if (error instanceof EchoMismatch) return error.message
  return error instanceof NetlinkError && error.code !== 'EEXIST' && !error.isLost
    ? wordsOf(error)
    : undefined
}

/** A refusal in the words of kernel or driver, with the name of its errno. */
export function wordsOf(error: NetlinkError): string {
  return error.extack === undefined ? error.errnoName : `${error.errnoName}: ${error.extack}`
}

/** Runs `action`; errors of these names mean that there is nothing, or nothing left. */
export function tolerate<T>(codes: readonly string[], action: () => T): T | undefined {
  try {
    return action()
  } catch (error) {
    if (error instanceof NetlinkError && codes.includes(error.code)) return undefined
    throw error
  }
}
