/**
 * The lock of an attachment: while an ADD or DEL of a container's interface runs, every other ADD or DEL of it waits, in a worker of the
 * agent or in a process of its own. A runtime sends DEL as soon as its ADD is dead, but a worker may still be at that ADD.
 */

import { CniError, code } from '../cni/error.ts'
import type { Request } from '../cni/request.ts'
import type { Machine } from '../kernel/api/machine.ts'
import { cancellable, requireCaller } from '../lib/call/call.ts'
import { isOfKind } from '../lib/error-kind.ts'
import { notice } from '../lib/log/notice.ts'
import { beginStep } from '../lib/log/steps.ts'
import { hasNoPlace } from '../lib/no-place.ts'
import { type ByteLock, withByteLock } from '../sys/lock/byte-lock.ts'

/** Longest wait for the lock, in milliseconds. */
const lockMilliseconds = 30_000

/** The part of a machine that the lock needs. */
type Place = Pick<Machine, 'sharedDir' | 'sha256'>

/** The byte of an attachment. Two attachments may share a byte: then one waits for the other in vain, and nothing else happens. */
export function attachmentLock({ sharedDir, sha256 }: Place, containerID: string, ifname: string): ByteLock {
  const hash = sha256(`${containerID} ${ifname}`)
  return { path: `${sharedDir}/attachments`, byte: Number.parseInt(hash.slice(0, 12), 16) }
}

/**
 * Runs `action` while no other ADD or DEL of the request's attachment runs on the node. An ADD whose caller goes meanwhile does nothing.
 * If there can be no file for the lock, nobody else has the lock either, and the action runs without.
 * @throws CniError 11 when the lock was not free in time, or the caller is gone
 */
export function withAttachmentLock<T>(
  machine: Place,
  { containerID, ifname, command }: Pick<Request, 'containerID' | 'ifname' | 'command'>,
  action: () => T,
): T {
  const end = beginStep('lock')
  let hasBegun = false
  const begin = () => {
    end()
    hasBegun = true
    return action()
  }
  const still = command === 'ADD' ? () => cancellable(requireCaller) : undefined
  try {
    return withByteLock(attachmentLock(machine, containerID, ifname), lockMilliseconds, begin, still)
  } catch (error) {
    end(true)
    if (hasBegun) throw error
    if (isOfKind(error, 'lock-timeout')) throw busy(error, containerID, ifname)
    if (isOfKind(error, 'caller-gone'))
      throw new CniError(code.tryAgainLater, error.message, { cause: error })
    if (!hasNoPlace(error, noLocks)) throw error
    notice(`vf-flower: ${command} goes on without the lock of the attachment: ${error.message}`)
    return action()
  }
}

function busy(cause: Error, containerID: string, ifname: string): CniError {
  const details = `another call of container "${containerID}", interface "${ifname}" has not ended`
  return new CniError(code.tryAgainLater, cause.message, { details, cause })
}

/** Answers of a file system without such locks. */
const noLocks = ['ENOLCK', 'EINVAL', 'EOPNOTSUPP']
