// Scenarios that are not yet expected to hold, with the reason. An entry that holds fails its test: the list only shrinks.
import type { Kind } from './action.ts'
import type { Phase } from './scenario.ts'

interface Open {
  readonly kind: Kind
  readonly phase: Phase
  /** Names of actions, or of several that follow each other, with ` + ` between them. */
  readonly names: readonly string[]
  readonly reason: string
  /** It may hold: a race that the pod does not win each time, or a driver that makes up for it. */
  readonly sometimes?: true
}

// A dummy has no mark that a pod can't forge: it is joined to nothing outside, and its number goes with a move. A link of BPF that is ours,
// pinned and on tcx of the dummy, would be one on Linux 6.6: it stays with the interface, whatever that is called and wherever it goes, and
// what it tells of itself has ifindex 0 once the interface is gone.
const stillOpen: readonly Open[] = [
  {
    kind: 'dummy',
    phase: 'between',
    reason: 'a dummy has no mark that a pod can’t forge: one that is not found counts as gone',
    names: ['a number of its choice', 'hidden in a namespace of its own'],
  },
]

/** Why a scenario is not expected to hold; undefined when it is. */
export function openReason(kind: Kind, phase: Phase, names: readonly string[]): Open | undefined {
  const name = names.join(' + ')
  return stillOpen.find((one) => one.kind === kind && one.phase === phase && one.names.includes(name))
}
