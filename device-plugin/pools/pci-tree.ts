/** Nearness of devices on the PCI tree: the bridges that two of them have in common, from the root port on. */
import { grouped } from '../../src/lib/grouped.ts'
import type { Device } from '../inventory/snapshot.ts'
import { compareTexts } from './order.ts'

/** Chooses so many devices of a group that is not taken whole. */
export type Within = (group: readonly Device[], room: number) => readonly Device[]

/** The ways from the root to a device: one text for each bridge, the lowest one last. The first is that of the whole node. */
function ways({ pciPath }: Device): readonly string[] {
  let way = ''
  const all = ['']
  for (const step of pciPath) {
    way += `/${step}`
    all.push(way)
  }
  return all
}

/** Chooses devices by the length of the path that they have in common with one of `begun`, the longest first. */
export function near(
  devices: readonly Device[],
  begun: readonly Device[],
  room: number,
  within: Within,
): readonly Device[] {
  const known = new Set(begun.flatMap(ways))
  const depth = (device: Device) => ways(device).findLastIndex((way) => known.has(way))
  const byDepth = [...grouped(devices, depth)].sort(([left], [right]) => right - left)
  const chosen: Device[] = []
  for (const [, group] of byDepth) {
    if (chosen.length >= room) break
    chosen.push(...within(group, room - chosen.length))
  }
  return chosen
}

/** Chooses devices below one bridge: the one with the fewest devices that are enough, of equal ones the lowest. */
export function together(devices: readonly Device[], room: number, within: Within): readonly Device[] {
  const below = new Map<string, Device[]>()
  for (const device of devices)
    for (const way of ways(device)) {
      const group = below.get(way)
      if (group === undefined) below.set(way, [device])
      else group.push(device)
    }
  const fitting = [...below].filter(([, group]) => group.length >= room)
  const [best] = fitting.sort(
    ([leftWay, left], [rightWay, right]) =>
      left.length - right.length || rightWay.length - leftWay.length || compareTexts(leftWay, rightWay),
  )
  return best === undefined ? devices : within(best[1], room)
}
