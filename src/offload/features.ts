/** The features of the plugin: a new one is a folder and a line here. DEL has its own list (del.ts), which the compiler compares. */
import { bandwidthFeature } from './bandwidth/feature.ts'
import type { OffloadName } from './config/plugin-names.ts'
import type { Feature } from './feature.ts'
import { portmapFeature } from './portmap/feature.ts'

/** All features, in the order in which ADD takes them. DEL goes the other way. */
export const features = {
  bandwidth: bandwidthFeature,
  portmap: portmapFeature,
} as const satisfies Readonly<Record<string, Feature>>

/** The name of a feature. */
export type FeatureName = keyof typeof features

/** All features in their order. */
export const everyFeature: readonly Feature[] = Object.values(features)

/** The features that a name of the plugin stands for, in their order. */
export function featuresOf(name: OffloadName): readonly Feature[] {
  return name === 'vf-offload' ? everyFeature : [features[name]]
}
