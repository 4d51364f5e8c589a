// What is not yet expected to hold, with the reason. An entry that holds fails its test: the list only shrinks.
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

const stillOpen: readonly Open[] = []

/** Why a scenario is not expected to hold; undefined when it is. */
export function openReason(kind: Kind, phase: Phase, names: readonly string[]): Open | undefined {
  const name = names.join(' + ')
  return stillOpen.find((one) => one.kind === kind && one.phase === phase && one.names.includes(name))
}
