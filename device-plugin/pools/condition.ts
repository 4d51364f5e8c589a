/** Conditions: one key of a selector, made ready once per config so that asking a device costs a look into a set. */
import type { Device, Snapshot } from '../inventory/snapshot.ts'

/** One condition on a device. */
export interface Condition {
  /** The key of the config, such as `vendors`. */
  readonly key: string
  holds(device: Device, snapshot: Snapshot): boolean
  /** The sentence for a device that the condition turns away: `KEY: has X, wanted Y`. */
  reason(device: Device, snapshot: Snapshot): string
}

/** Values that a sentence lists; of longer lists the sentence gives the number of the others. */
const listed = 6

/** `a, b or c`; after the sixth value the number of the others. */
export function anyOf(values: readonly string[]): string {
  if (values.length > listed)
    return `${values.slice(0, listed).join(', ')} or one of ${values.length - listed} more`
  const last = values.at(-1) ?? 'nothing'
  return values.length < 2 ? last : `${values.slice(0, -1).join(', ')} or ${last}`
}
