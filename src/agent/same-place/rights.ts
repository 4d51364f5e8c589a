/** The rights of another process, as the kernel tells them. */
import { anyCall } from '../../sys/ffi.ts'

/** linux/capability.h */
const LINUX_CAPABILITY_VERSION_3 = 0x20080522
const CAP_NET_ADMIN = 12
const CAP_SYS_ADMIN = 21

/** The capabilities that every verb needs. */
const needed = (1 << CAP_NET_ADMIN) | (1 << CAP_SYS_ADMIN)

/** True for a process that has CAP_SYS_ADMIN and CAP_NET_ADMIN in effect (capget(2)). @throws SystemError ESRCH for a process that is gone */
export function hasRights(pid: number): boolean {
  const header = Int32Array.of(LINUX_CAPABILITY_VERSION_3, pid)
  // Effective, permitted and inheritable ones, the lower 32 bits first.
  const sets = new Uint32Array(6)
  anyCall('capget', [125, 90], [header, sets])
  return ((sets[0] ?? 0) & needed) === needed
}
