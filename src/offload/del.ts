/**
 * DEL of `vf-offload`, and what all verbs share: where records are, and the lock. It has an entry of its own, because a process
 * that serves one DEL would load more code for planning than for removing.
 */
import { explained } from '../cni/failure.ts'
import type { Request } from '../cni/request.ts'
import type { Machine } from '../kernel/api/machine.ts'
import { notice } from '../lib/log/notice.ts'
import { attachFolder } from '../records/attach.ts'
import { keepingNewer } from '../records/newer.ts'
import { anyJournal, offloadRecords } from '../records/offload.ts'
import { recordStore } from '../records/store.ts'
import { ratesRemoval } from './bandwidth/removal.ts'
import { folderOf, type OffloadName, offloadNames } from './config/plugin-names.ts'
import { readTeardown } from './config/teardown.ts'
import type { FeatureRemoval } from './feature.ts'
import { portsRemoval } from './portmap/removal.ts'
import { removeAttachment } from './verbs/del.ts'

/** How long a verb waits for its turn, in milliseconds. Turns are short, but hundreds may come at once: no IPAM, no other process but nft. */
const lockMilliseconds = 30_000

/**
 * One lock for all of the node, wherever a network keeps its records: the host's port map and the clsact qdiscs are
 * shared by all attachments.
 */
export function withSharedLock<T>(machine: Machine, action: () => T): T {
  return machine.withLock(sharedLock(machine), lockMilliseconds, action)
}

/** Runs `action` under that lock if nobody has it at this moment. @throws LockTimeout */
export function withFreeLock<T>(machine: Machine, action: () => T): T {
  return machine.withLock(sharedLock(machine), 0, action)
}

function sharedLock({ sharedDir }: Machine): string {
  return `${sharedDir}/lock`
}

/** The records of a name. */
export function recordsOf(name: OffloadName, stateDir: string) {
  return offloadRecords(stateDir, folderOf(name))
}

/** The records of this name, those of the others, and vf-attach's. */
export function storesOf(name: OffloadName, stateDir: string) {
  const others = offloadNames.filter((other) => other !== name)
  return {
    store: recordsOf(name, stateDir),
    otherStores: others.map((other) => recordsOf(other, stateDir)),
    attachStore: recordStore(stateDir, attachFolder, anyJournal),
  }
}

/** The removing halves of the parts that a name stands for, in the order of features.ts. */
function removalsOf(name: OffloadName): readonly FeatureRemoval[] {
  if (name === 'vf-offload') return [ratesRemoval, portsRemoval]
  return name === 'portmap' ? [portsRemoval] : [ratesRemoval]
}

/** Serves DEL under one of the plugin's names. */
export function offloadDel(machine: Machine, name: OffloadName): (request: Request) => void {
  return (request) =>
    explained(() => {
      const { stateDir } = readTeardown(request)
      const stores = storesOf(name, stateDir)
      const store = keepingNewer(stores.store, 'vf-offload')
      const setting = { machine, ...stores, store, parts: removalsOf(name) }
      removeAttachment(setting, request, (action) => withLockOrNone(machine, action))
    })
}

/**
 * The shared lock, or none where there can be no file for it: then nobody else has it either. An ADD can't begin there, and
 * a DEL must not fail for that.
 */
function withLockOrNone<T>(machine: Machine, action: () => T): T {
  let isLocked = false
  try {
    return withSharedLock(machine, () => {
      isLocked = true
      return action()
    })
  } catch (error) {
    if (isLocked || !(error instanceof Error) || !hasNoPlace(error)) throw error
    notice(`vf-offload: DEL goes on without the node's lock: ${error.message}`)
    return action()
  }
}

/** What the kernel answers where a file can't be made. */
function hasNoPlace(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : ''
  return [
    'EROFS',
    'EEXIST',
    'ENXIO',
    'ENOENT',
    'ENOTDIR',
    'EISDIR',
    'ELOOP',
    'ENOSPC',
    'EDQUOT',
    'EACCES',
    'EPERM',
  ].includes(code)
}
