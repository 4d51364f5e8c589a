/** Port mappings of attachments without a record, for GC. */
import type { OrphanContext } from '../../feature.ts'
import { networkPrefix } from '../../state/identity.ts'
import { localPortsCookies, releaseLocalPorts } from './local-ports.ts'
import { localnetCookies, releaseLocalnet } from './route-localnet.ts'
import { releaseWhole, wholeTable } from './whole-table.ts'

/** Releases reservations and settings with the lock, once no filter is left that leads to the port. */
export function portmapOrphans(context: OrphanContext): () => void {
  const { machine, kernel, network, step, strangeCookies } = context
  const prefix = networkPrefix(network, machine.sha256)
  return () => {
    if (!context.filtersGone()) return
    const found = new Set([
      ...kernel.reservedCookies(prefix),
      ...localPortsCookies(machine, prefix),
      ...localnetCookies(machine, prefix),
    ])
    for (const cookie of strangeCookies(found)) step(() => release(context, cookie))
  }
}

function release({ machine, kernel, store }: OrphanContext, cookie: string): void {
  const lost = { whole: () => wholeTable({ machine, store }, kernel) }
  releaseLocalnet(machine, kernel, cookie, lost)
  releaseLocalPorts(machine, kernel, cookie, lost)
  kernel.forgetConnections(releaseWhole({ machine, store }, kernel, cookie))
}
