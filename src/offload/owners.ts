/** Who has a host port, where the host's table does not say it. */

import { notice } from '../lib/notice.ts'
import { PortTaken } from '../lib/port-taken.ts'
import { ApplyError } from '../ops/apply.ts'
import type { RecordName } from '../ops/record-store.ts'
import type { OffloadSetting } from './add.ts'
import { identityOf } from './identity.ts'
import type { OffloadJournal } from './record.ts'

type Records = Pick<OffloadSetting, 'machine' | 'store' | 'otherStores'>

/**
 * Puts the reservations of all other attachments back into a table that has none: who flushes the node's rules takes
 * them away, and the next ADD would get a port that somebody has. What can't be restored is told, and fails no ADD.
 */
export function restoreReservations({ machine, kernel, store, otherStores }: OffloadSetting): void {
  for (const one of [store, ...otherStores]) {
    for (const name of one.list()) {
      try {
        const record = one.read(name)
        if (record === undefined || record.owner.bootId !== machine.bootId()) continue
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

/** An error that knows of the owner of a port only the cookie of a filter, with the owner's name as the records have it. */
export function withOwner(error: unknown, { machine, store, otherStores }: Records): unknown {
  if (!(error instanceof ApplyError) || !(error.cause instanceof PortTaken)) return error
  const { key, cookie } = error.cause
  const owner = [store, ...otherStores]
    .flatMap((one) => one.list())
    .find(({ subject, containerID, ifname }) => {
      return identityOf({ network: subject, containerID, ifname }, machine.sha256).cookie === cookie
    })
  return owner === undefined
    ? error
    : new ApplyError(error.op, new PortTaken(key, nameOf(owner)), error.stuck)
}

function nameOf({ containerID, ifname }: RecordName): string {
  return `container/interface "${containerID}/${ifname}"`
}
