import type { OffloadName } from './names.ts'
import type { Part } from './part.ts'
import { portsPart } from './ports.ts'
import { ratesPart } from './rates.ts'

/** The parts that a name stands for, in the order in which ADD takes them; DEL goes the other way. */
export function partsOf(name: OffloadName): readonly Part[] {
  if (name === 'vf-offload') return [ratesPart, portsPart]
  return name === 'portmap' ? [portsPart] : [ratesPart]
}
