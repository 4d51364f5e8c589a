/** The devices that wait for a restore by this process: their pod is dead, and their pool says after which time no DEL is to be expected. */
import type { Unrestored } from './container/restore/restorer.ts'
import type { State } from './state.ts'

/**
 * The devices of a state. A device that a pod has by kubelet's word is left alone whatever its record says, and all are while nobody
 * tells who has what: a namespace that this process can't see looks like one that is gone.
 */
export function unrestored({
  allocations,
  assignment,
  attachments,
}: Pick<State, 'allocations' | 'assignment' | 'attachments'>): readonly Unrestored[] {
  if (allocations.isGuess) return []
  const pools = new Map(assignment.pools.map(({ config }) => [config.resource, config]))
  return [...attachments.values()].flatMap((attachment) => {
    const { alive, pendingClose, device } = attachment
    if (alive || pendingClose || allocations.held.has(device)) return []
    const pool = pools.get(assignment.verdicts.get(device)?.resource ?? '')
    return pool === undefined || pool.restoreAfter === 0 ? [] : [{ attachment, after: pool.restoreAfter }]
  })
}
