/** The rights of a process, as the kernel tells them. */
import { anyCall } from '../../sys/ffi.ts'
import { readText } from '../../sys/files.ts'

/** linux/capability.h */
const LINUX_CAPABILITY_VERSION_3 = 0x20080522
const CAP_NET_ADMIN = 12
const CAP_SYS_ADMIN = 21

/** The capabilities that every verb needs. */
const needed = (1 << CAP_NET_ADMIN) | (1 << CAP_SYS_ADMIN)

/** Rights that the program of a caller, and the IPAM programs that it starts, have. */
export interface Rights {
  /** Effective capabilities, the lower 32 bits first (capget(2)). */
  readonly capabilities: readonly [number, number]
  /** The lines of /proc/PID/status that say whether a program can gain rights, and whether system calls are filtered. */
  readonly limits: string
}

/** The rights of a process. Without limits for one that has just gone: no worker has those. @throws SystemError ESRCH for one that is gone */
export function rightsOf(pid: number): Rights {
  const header = Int32Array.of(LINUX_CAPABILITY_VERSION_3, pid)
  // Effective, permitted and inheritable ones, the lower 32 bits first.
  const sets = new Uint32Array(6)
  anyCall('capget', [125, 90], [header, sets])
  const lines = readText(`/proc/${pid}/status`)?.match(/^(?:NoNewPrivs|Seccomp):.*$/gm)
  return { capabilities: [sets[0] ?? 0, sets[3] ?? 0], limits: (lines ?? []).join() }
}

/**
 * True for a process that has all rights of this one: the plugin and its IPAM programs would get more by a worker than the caller has
 * itself. A worker with less than the plugins need serves nobody.
 */
export function hasRightsOf(own: Rights, pid: number): boolean {
  const { capabilities, limits } = rightsOf(pid)
  return (
    (capabilities[0] & needed) === needed &&
    limits === own.limits &&
    own.capabilities.every((bits, at) => (bits & ~(capabilities[at] ?? 0)) === 0)
  )
}
