/**
 * Runs the IPAM plugin. When an ADD is killed, the IPAM plugin that it has started can run on and lease an address later. So the plugin
 * holds a lock on the attachment's record while it runs, and DEL waits for that lock before it frees the addresses.
 */

import type { Spawn } from '../../cni/delegate.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { waiting } from '../../lib/call/call.ts'
import { isOfKind } from '../../lib/error-kind.ts'
import { notice } from '../../lib/log/notice.ts'
import { faultPoint } from '../../ops/fault.ts'
import type { RecordName } from '../../records/store.ts'

/** Starts the IPAM plugin, as a step that tests can make fail. */
export function countedSpawn({ startProgram }: Pick<Machine, 'startProgram'>): Spawn {
  return (file, stdin, env, held) => {
    faultPoint('ipam', 'before')
    const running = startProgram(file, stdin, env, held)
    return {
      end() {
        const ended = waiting('ipam', () => running.end())
        faultPoint('ipam', 'after')
        return ended
      },
    }
  }
}

/**
 * The same for an ADD whose record is written: the plugin holds the lock that {@link awaitIpam} waits for. It alone: this process closes
 * the descriptor at once.
 */
export function spawnHolding(
  machine: Pick<Machine, 'withLock' | 'startProgram'>,
  { path }: RecordName,
): Spawn {
  const spawn = countedSpawn(machine)
  return (file, stdin, env) => machine.withLock(path, 0, (held) => spawn(file, stdin, env, held))
}

/** DEL, GC and the ADD of a next owner wait so many milliseconds for it. */
const ipamMilliseconds = 10_000

/**
 * Waits until no IPAM plugin of an attachment's ADD runs any more. To be called before the record goes, with the device's lock
 * held, so that no ADD of its own is at it. One that does not end is waited for {@link ipamMilliseconds} at most, and told.
 */
export function awaitIpam({ withLock }: Pick<Machine, 'withLock'>, name: RecordName): void {
  try {
    // If the record was removed meanwhile, this makes an empty one. The next reader of the record removes it.
    withLock(name.path, ipamMilliseconds, () => undefined)
  } catch (error) {
    // A GC that can't wait so long goes on with others first (verbs/wait-budget.ts).
    if (isOfKind(error, 'out-of-time')) throw error
    // No plugin of ours has locked a path that is no file or can't be opened. The reader of the record reports it.
    if (!isOfKind(error, 'lock-timeout')) return
    notice(
      `vf-attach: the IPAM plugin that an ADD of container "${name.containerID}", interface "${name.ifname}" has started still runs; what it leases after this will not be freed`,
    )
  }
}
