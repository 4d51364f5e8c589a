/** Names that belong to a device which is in a pod: it gets them back, so that nobody else's is meant by them. */
import { CniError, code } from '../../cni/error.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { isAlive } from '../../ops/owner-netns.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { type RecordName, type RecordStore, textOrNone } from '../../records/store.ts'

/**
 * Makes sure that no device which a living pod has was called `name` on the host, but for the one that was found by it, `found`. A pod
 * can give its interface names that come home with it: who asks for the network of another device would get this one.
 * @throws CniError 11 that names the owner
 */
export function refuseTakenName(
  machine: Machine,
  store: RecordStore<AttachJournal>,
  key: string,
  name: string,
  found: { readonly id: string; readonly link: string },
): void {
  for (const one of store.list()) {
    if (one.subject === found.id || !isNamedIn(one, name)) continue
    const record = readable(store, one)
    const { link } = record?.journal.original ?? {}
    if (record === undefined || link === undefined || ![link.name, ...link.altnames].includes(name)) continue
    if (record.journal.pendingClose === true || !isAlive(machine, record.owner)) continue
    const { containerID, ifname, network } = record.owner
    throw new CniError(
      code.tryAgainLater,
      `Cannot use ${key} "${name}": it is the name of "${one.subject}", which container "${containerID}", interface "${ifname}", network "${network}" has; "${found.link}" only has that name now`,
      { details: one.path },
    )
  }
}

/** Most records can be passed over without being read as such. */
function isNamedIn({ path }: RecordName, name: string): boolean {
  return textOrNone(path)?.includes(JSON.stringify(name)) === true
}

/** One that can't be read is the business of those whose device it is. */
function readable(store: RecordStore<AttachJournal>, name: RecordName) {
  try {
    return store.read(name)
  } catch {
    return undefined
  }
}
