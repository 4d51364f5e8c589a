// All actions of a hostile pod. In: a kind of device. Out: actions, and random pairs of them.
import { randomFrom } from '../../soak/seed.ts'
import type { Action, Kind } from './action.ts'
import { places } from './places.ts'
import { settings } from './settings.ts'

/** The whole table. */
export const actions: readonly Action[] = [...settings, ...places]

/** The actions that fit a kind of device. */
export function actionsFor(kind: Kind): Action[] {
  return actions.filter(({ kinds }) => kinds === undefined || kinds.includes(kind))
}

/** Every action alone. */
export function alone(list: readonly Action[]): Action[][] {
  return list.map((one) => [one])
}

/** Random pairs of different actions, no pair twice. */
export function pairs(list: readonly Action[], seed: number, count: number): Action[][] {
  const random = randomFrom(seed)
  const found = new Map<string, Action[]>()
  while (found.size < count) {
    const [one, other] = [random.pick(list), random.pick(list)]
    if (one !== other) found.set(`${one.name} + ${other.name}`, [one, other])
  }
  return [...found.values()]
}

/** A random part of a list, in the order of the list. */
export function some(list: readonly Action[], seed: number, count: number): Action[] {
  const random = randomFrom(seed)
  const left = [...list]
  while (left.length > count) left.splice(random.below(left.length), 1)
  return left
}

/** The actions with these names. */
export function named(list: readonly Action[], names: readonly string[]): Action[] {
  return names.map((name) => {
    const found = list.find((one) => one.name === name)
    if (found === undefined) throw new Error(`No action "${name}"`)
    return found
  })
}
