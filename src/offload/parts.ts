import type { Part } from './part.ts'
import { portsPart } from './ports.ts'
import { ratesPart } from './rates.ts'

/** Names that the chain plugin answers to: under a peer's name it does what the peer does. */
export const offloadNames = ['vf-offload', 'portmap', 'bandwidth'] as const
export type OffloadName = (typeof offloadNames)[number]

/** The parts that a name stands for, in the order in which ADD takes them; DEL goes the other way. */
export function partsOf(name: OffloadName): readonly Part[] {
  if (name === 'vf-offload') return [ratesPart, portsPart]
  return name === 'portmap' ? [portsPart] : [ratesPart]
}
