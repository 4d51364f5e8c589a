/** Overlaps: devices that a later pool of the config would match too. */
import { grouped } from '../../src/lib/grouped.ts'
import { ask, entryOf } from '../pools/entry.ts'
import type { Assignment } from '../pools/pool.ts'

/** Devices of one pool that the same later pools would match. */
export interface Overlap {
  /** The pool that has the devices. */
  readonly resource: string
  /** In the order of the config. */
  readonly later: readonly string[]
  readonly devices: readonly string[]
}

/** All overlaps, in the order of the pools. */
export function overlapsOf({ pools, snapshot }: Assignment): readonly Overlap[] {
  const entries = pools.map(({ config }) => entryOf(config))
  return pools.flatMap(({ config, members }, at) => {
    const laterOf = members.map(({ device }) => ({
      id: device.id,
      later: entries
        .slice(at + 1)
        .filter((entry) => ask(entry, device, snapshot).selector !== undefined)
        .map((entry) => entry.config.resource),
    }))
    const overlapping = laterOf.filter(({ later }) => later.length > 0)
    return [...grouped(overlapping, ({ later }) => later.join(' ')).values()].map((group) => ({
      resource: config.resource,
      later: group[0]?.later ?? [],
      devices: group.map(({ id }) => id),
    }))
  })
}
