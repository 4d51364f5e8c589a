/**
 * The makers of clsact qdiscs. The kernel keeps no owner for one, and other programs hang their filters on it: it is
 * removed with our last filter only if a note says that we made it in this boot.
 */
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import type { Runner } from '../../ops/runner.ts'
import { noteAt, notesIn, textOrNone } from '../../records/store.ts'
import { forgivingNote } from './shared-note.ts'

/** Notes that the clsact of `ifindex` is ours; called before it is made, so that a crash leaves no unknown one. */
export function claimClsact(machine: Machine, ifindex: number): void {
  noteAt(notePath(machine, ifindex), 'volatile').set(machine.bootId())
}

/** Runs what `kernel` runs, with a note for every clsact of the host that is made, until it is taken back. */
export function notingClsact(machine: Machine, kernel: Kernel): Runner {
  const { runAll } = kernel
  return {
    ...(runAll === undefined ? {} : { runAll }),
    run: (op) => {
      const ifindex = 'side' in op && op.side === 'host' && 'ifindex' in op ? op.ifindex : undefined
      if (ifindex !== undefined && op.do === 'clsact.del') {
        releaseClsact(machine, kernel, ifindex)
        return {}
      }
      if (ifindex === undefined || op.do !== 'clsact.add') return kernel.run(op)
      const isKnown = textOrNone(notePath(machine, ifindex)) === machine.bootId()
      claimClsact(machine, ifindex)
      const outcome = kernel.run(op)
      // Somebody has made it since the look.
      if (outcome.existed === true && !isKnown) noteAt(notePath(machine, ifindex), 'volatile').clear()
      return outcome
    },
  }
}

/** Removes the clsact of `ifindex` if it is ours and empty. */
export function releaseClsact(machine: Machine, kernel: Kernel, ifindex: number): void {
  const boot = textOrNone(notePath(machine, ifindex))
  if (boot === undefined) return
  // Interface numbers start anew with every boot: an old note speaks of another interface.
  if (boot !== machine.bootId() || kernel.dropEmptyClsact(ifindex))
    forgivingNote(notePath(machine, ifindex), 'volatile').clear()
}

/**
 * Clears notes about interfaces that are gone, or whose qdisc is: nobody asks for those any more when a record was lost, or when
 * a DEL could not write.
 */
export function forgetClsact(machine: Machine, kernel: Kernel): void {
  const notes = notesIn(machine.sharedDir, clsactPrefix)
  if (notes.length === 0) return
  const numbers = notes.map((name) => Number(name.slice(clsactPrefix.length))).filter(Number.isInteger)
  const there = new Map(kernel.linksAt(numbers).map(({ ifindex }) => [`${clsactPrefix}${ifindex}`, ifindex]))
  for (const name of notes) {
    const ifindex = there.get(name)
    if (ifindex === undefined) forgivingNote(`${machine.sharedDir}/${name}`, 'volatile').clear()
    else releaseClsact(machine, kernel, ifindex)
  }
}

/** The beginning of the names of its notes. */
export const clsactPrefix = 'clsact-'

function notePath(machine: Machine, ifindex: number): string {
  return `${machine.sharedDir}/${clsactPrefix}${ifindex}`
}
