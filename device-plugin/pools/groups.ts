/** Choice among groups of devices: few groups, or many. The order of the devices that come in is the order within each group. */
import { grouped } from '../../src/lib/grouped.ts'
import type { Device } from '../inventory/snapshot.ts'
import { compareTexts } from './order.ts'

/** The name of the group that a device is in. */
export type Key = (device: Device) => string

type Group = readonly [name: string, devices: readonly Device[]]

/**
 * Chooses `room` devices from as few groups as can be. Groups of `begun` come first. Of the others the smallest that is enough; while none
 * is enough, all of the largest. `keys` beyond the first choose in the same way within a group that is not taken whole.
 */
export function pack(
  keys: readonly Key[],
  devices: readonly Device[],
  begun: readonly Device[],
  room: number,
): readonly Device[] {
  const [key, ...inner] = keys
  if (key === undefined || room >= devices.length) return devices.slice(0, room)
  const touched = new Set(begun.map(key))
  const groups = [...grouped(devices, key)]
  const chosen: Device[] = []
  for (const first of [true, false]) {
    const own = groups.filter(([name]) => touched.has(name) === first).sort(largestFirst)
    for (const [at, [, group]] of own.entries()) {
      const missing = room - chosen.length
      if (missing <= 0) break
      const enough = group.length < missing ? group : smallestOf(own.slice(at), missing)
      chosen.push(...pack(inner, enough, begun, missing))
    }
  }
  return chosen
}

/** Of groups with the largest first, the smallest that has `size` devices; of equal ones the first by name. */
function smallestOf(groups: readonly Group[], size: number): readonly Device[] {
  const fitting = groups.filter(([, group]) => group.length >= size)
  const least = fitting.at(-1)?.[1].length
  return fitting.find(([, group]) => group.length === least)?.[1] ?? []
}

/** Of equal ones the first by name. */
function largestFirst([leftName, left]: Group, [rightName, right]: Group): number {
  return right.length - left.length || compareTexts(leftName, rightName)
}

/**
 * Chooses `room` devices from as many groups as can be: always from the group that has given the fewest, `begun` counted; of equal ones
 * from the one that had the most.
 */
export function spreadOver(
  key: Key,
  devices: readonly Device[],
  begun: readonly Device[],
  room: number,
): readonly Device[] {
  const given = new Map([...grouped(begun, key)].map(([name, group]) => [name, group.length]))
  const turns = [...grouped(devices, key)].flatMap(([name, group]) =>
    group.map((device, at) => ({ device, name, size: group.length, turn: (given.get(name) ?? 0) + at })),
  )
  turns.sort(
    (left, right) => left.turn - right.turn || right.size - left.size || compareTexts(left.name, right.name),
  )
  return turns.slice(0, room).map(({ device }) => device)
}
