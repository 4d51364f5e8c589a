/** The record stores of the plugin's names, and the node's lock under which all of them are written. */
import type { Machine } from '../../kernel/api/machine.ts'
import { attachFolder } from '../../records/attach.ts'
import { anyJournal, offloadRecords } from '../../records/offload.ts'
import { recordStore } from '../../records/store.ts'
import { folderOf, type OffloadName, offloadNames } from '../config/plugin-names.ts'

/**
 * A verb waits so long for the lock, in milliseconds. Each turn is short: no IPAM plugin and no other process but nft runs
 * under the lock. But hundreds of calls may come at once.
 */
const lockMilliseconds = 30_000

/**
 * Runs `action` under the one lock of the node. All networks share the lock, wherever they keep their records, because all
 * attachments share the host's port map and the clsact qdiscs. @throws LockTimeout after 30 s
 */
export function withSharedLock<T>(machine: Machine, action: () => T): T {
  return machine.withLock(sharedLock(machine), lockMilliseconds, action)
}

/** Runs `action` under that lock if nobody has the lock at this moment. @throws LockTimeout */
export function withFreeLock<T>(machine: Machine, action: () => T): T {
  return machine.withLock(sharedLock(machine), 0, action)
}

function sharedLock({ sharedDir }: Machine): string {
  return `${sharedDir}/lock`
}

/** The records of one of the plugin's names. */
export function recordsOf(name: OffloadName, stateDir: string) {
  return offloadRecords(stateDir, folderOf(name))
}

/** The records of this name, those of the other names, and those of vf-attach. */
export function storesOf(name: OffloadName, stateDir: string) {
  const others = offloadNames.filter((other) => other !== name)
  return {
    store: recordsOf(name, stateDir),
    otherStores: others.map((other) => recordsOf(other, stateDir)),
    attachStore: recordStore(stateDir, attachFolder, anyJournal),
  }
}
