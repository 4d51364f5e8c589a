/** The restores by this process: their pod is dead, and their pool says after which time no DEL is to be expected. */
import type { Attachment } from './allocations/attachment.ts'
import { Restorer, type RestorerOptions, type Unrestored } from './container/restore/restorer.ts'
import { type Restoring, restoreByDel } from './container/restore/vf-attach-del.ts'
import { processClock } from './inventory/watch/clock.ts'
import type { State } from './state.ts'

/**
 * The devices of a state that wait for a restore. A device that a pod has by kubelet's word is left alone whatever its record says, and
 * all are while nobody tells who has what: a namespace that this process can't see looks like one that is gone.
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

/** The surroundings of restores. */
export interface RestoresOptions extends Pick<RestorerOptions, 'log' | 'onEnd'> {
  /** Folder of the records. */
  readonly stateDir: string
  /** The state now; undefined before the first look. */
  readonly state: () => State | undefined
  /** The attachments of vf-attach by device, read now. */
  readonly attachments: () => ReadonlyMap<string, Attachment>
}

/** Restores that go on by themselves. */
export interface Restores {
  /** Takes a new state. */
  look(state: State): void
  /** Begins no other one; a DEL that is at work goes on without this process. */
  stop(): void
}

/** Begins to restore; the DEL is that of this executable. */
export function startRestores({ stateDir, state, attachments, onEnd, log }: RestoresOptions): Restores {
  let restoring: Restoring | undefined
  const restorer = new Restorer({
    restore: (attachment) => {
      restoring = restoreByDel(attachment, stateDir, process.execPath)
      return restoring.done
    },
    now: () => {
      const now = state()
      return now === undefined ? [] : unrestored({ ...now, attachments: attachments() })
    },
    onEnd: () => {
      restoring = undefined
      onEnd()
    },
    clock: processClock,
    log,
  })
  return {
    look: (now) => restorer.look(unrestored(now)),
    stop: () => {
      restorer.stop()
      restoring?.leave()
    },
  }
}
