import type { OffloadName } from './config/plugin-names.ts'
import type { Part } from './feature.ts'
import { portsPart } from './portmap/feature.ts'
import { ratesPart } from './bandwidth/feature.ts'

/** The parts that a name stands for, in the order in which ADD takes them; DEL goes the other way. */
export function partsOf(name: OffloadName): readonly Part[] {
  if (name === 'vf-offload') return [ratesPart, portsPart]
  return name === 'portmap' ? [portsPart] : [ratesPart]
}
