/** Removal of port mappings, by cookie. */
import { identityOf, rulePriority } from './identity.ts'
import { releaseLocalPorts } from './local-ports.ts'
import { releaseLocalnet } from './localnet.ts'
import type { Removal, RemovalPart } from './part.ts'
import type { OffloadJournal } from './record.ts'

export const portsRemoval: RemovalPart = {
  recorded: ({ keys }) => keys.length > 0,
  filters: (journal) => !isOnHost(journal),
  cookie: (attachment, sha256) => identityOf(attachment, sha256).cookie,
  remove: removePorts,
}

/** The host's map does it all: no filter and nothing in the pod. So it is planned for a veth, or not at all. */
function isOnHost({ nat }: OffloadJournal): boolean {
  return nat === 'host'
}

/**
 * With the filters gone no frame is steered to a pod that is being taken apart. The reservation goes last, so that nobody
 * else gets the port while a filter for it may still be there: a port is released only when its filters are gone.
 */
function removePorts({ machine, kernel, attachment, pod, journal, step, filtersGone }: Removal): void {
  const identity = identityOf(attachment, machine.sha256)
  if (pod !== undefined && !(journal !== undefined && isOnHost(journal))) {
    step(() => kernel.removeTable(identity.routeTable, rulePriority))
    step(() => kernel.dropPodNat(identity.podTable))
  }
  // The guard against the wire goes with the reservation: never while the setting that it is for stands.
  const closed = step(() => {
    releaseLocalnet(machine, kernel, identity.cookie)
    return true
  })
  if (filtersGone && closed === true) {
    // By the table where the note is lost: before the reservation goes.
    if (journal === undefined || !isOnHost(journal))
      step(() => releaseLocalPorts(machine, kernel, identity.cookie))
    const [known] = journal?.ops.flatMap((op) => (op.do === 'ports.reserve' ? [op] : [])) ?? []
    const freed = step(() => kernel.releasePorts(identity.cookie, known))
    if (freed !== undefined) kernel.forgetConnections(freed)
  }
}
