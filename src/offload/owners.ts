/** Who has a host port, where the host's table does not say it. */

import { notice } from '../lib/notice.ts'
import { PortTaken } from '../lib/port-taken.ts'
import { ApplyError } from '../ops/apply.ts'
import { isGone } from '../ops/held-netns.ts'
import type { RecordName, RecordStore } from '../ops/record-store.ts'
import type { OffloadSetting } from './add.ts'
import { cookiePrefix, identityOf } from './identity.ts'
import type { OffloadJournal } from './record.ts'

type Records = Pick<OffloadSetting, 'machine' | 'store' | 'otherStores'>

/**
 * Puts the reservations of all other attachments whose pods live back into a table that has none: who flushes the node's rules takes
 * them away, and the next ADD would get a port that somebody has. What can't be restored is told, and fails no ADD.
 */
export function restoreReservations({ machine, kernel, store, otherStores }: OffloadSetting): void {
  for (const one of [store, ...otherStores]) {
    for (const name of one.list()) {
      try {
        const record = one.read(name)
        if (record === undefined || isGone(machine, record.owner)) continue
        const lost = reservationsIn(record.journal)
        for (const op of lost) kernel.run(op)
        if (lost.length > 0)
          notice(`vf-offload: host ports of ${nameOf(name)} were reserved no more, and are again`)
      } catch (error) {
        notice(`vf-offload: Cannot reserve the host ports of ${nameOf(name)} again: ${String(error)}`)
      }
    }
  }
}

function reservationsIn({ ops }: OffloadJournal): OffloadJournal['ops'] {
  return ops.filter((op) => op.do === 'ports.reserve')
}

/**
 * An error that a port is taken, with the owner's name as the records have it. Where none of them speaks of the owner nobody
 * can tell whether its pod lives: that is said.
 */
export function withOwner(error: unknown, records: Records): unknown {
  if (!(error instanceof ApplyError) || !(error.cause instanceof PortTaken)) return error
  const { key, owner, cookie } = error.cause
  if (cookie?.startsWith(cookiePrefix) !== true) return error
  const found = ownerOf(records, cookie)
  const words =
    found === undefined
      ? `${owner}, of which there is no record here: only its DEL, or GC, frees the port`
      : nameOf(found.name)
  return new ApplyError(error.op, new PortTaken(key, words), error.stuck)
}

/** The attachment whose port mappings bear the cookie, and the records among which its own is. */
export function ownerOf(
  { machine, store, otherStores }: Records,
  cookie: string,
): { readonly store: RecordStore<OffloadJournal>; readonly name: RecordName } | undefined {
  for (const one of [store, ...otherStores]) {
    const name = one.list().find(({ subject, containerID, ifname }) => {
      return identityOf({ network: subject, containerID, ifname }, machine.sha256).cookie === cookie
    })
    if (name !== undefined) return { store: one, name }
  }
  return undefined
}

function nameOf({ containerID, ifname }: RecordName): string {
  return `container/interface "${containerID}/${ifname}"`
}
