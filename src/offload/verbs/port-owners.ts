/** The owner of a host port, by the records: for when the host's table does not say it. */

import { ApplyError } from '../../ops/apply.ts'
import { PortTaken } from '../../ops/port-taken.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import type { RecordName, RecordStore } from '../../records/store.ts'
import { cookiePrefix, identityOf } from '../state/identity.ts'
import type { OffloadContext } from './context.ts'

type Records = Pick<OffloadContext, 'machine' | 'store' | 'otherStores'>

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
