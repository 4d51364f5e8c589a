// Scenarios that are not yet expected to hold, with the reason. An entry that holds fails its test: the list only shrinks.
import type { Kind } from './action.ts'
import type { Phase } from './scenario.ts'

interface Open {
  readonly kind: Kind
  readonly phase: Phase
  /** Names of actions, or of several actions in a row, joined by ` + `. */
  readonly names: readonly string[]
  readonly reason: string
  /** Set if it may hold: the pod does not win the race each time, or the driver makes up for the action. */
  readonly sometimes?: true
}

// A dummy has no mark that a pod can't forge: it is joined to nothing outside, and its number changes with a move. On Linux 6.6 a
// BPF link of ours, pinned and on tcx of the dummy, would be such a mark: it stays with the interface under any name and in any
// namespace, and reports ifindex 0 once the interface is gone.
const stillOpen: readonly Open[] = [
  {
    kind: 'dummy',
    phase: 'between',
    reason: 'a dummy has no mark that a pod can’t forge: one that is not found counts as gone',
    names: ['a number of its choice', 'hidden in a namespace of its own'],
  },
]

/** The reason why a scenario is not expected to hold; undefined when it is. */
export function openReason(kind: Kind, phase: Phase, names: readonly string[]): Open | undefined {
  const name = names.join(' + ')
  return stillOpen.find((one) => one.kind === kind && one.phase === phase && one.names.includes(name))
}
