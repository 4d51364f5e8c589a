import { bandwidthFeature } from './bandwidth/feature.ts'
import type { OffloadName } from './config/plugin-names.ts'
import type { Feature } from './feature.ts'
import { portmapFeature } from './portmap/feature.ts'

/** The parts that a name stands for, in the order in which ADD takes them; DEL goes the other way. */
export function partsOf(name: OffloadName): readonly Feature[] {
  if (name === 'vf-offload') return [bandwidthFeature, portmapFeature]
  return name === 'portmap' ? [portmapFeature] : [bandwidthFeature]
}
