// All that a hostile pod does. In: a kind of device. Out: actions, and pairs of them by chance.
import { randomFrom } from '../../soak/seed.ts'
import type { Action, Kind } from './action.ts'
import { places } from './places.ts'
import { settings } from './settings.ts'

/** The whole table. */
export const actions: readonly Action[] = [...settings, ...places]

/** Those that can be done to a device of the kind. */
export function actionsFor(kind: Kind): Action[] {
  return actions.filter(({ kinds }) => kinds === undefined || kinds.includes(kind))
}

/** Every one alone. */
export function alone(list: readonly Action[]): Action[][] {
  return list.map((one) => [one])
}

/** Pairs of different ones, by chance, none twice. */
export function pairs(list: readonly Action[], seed: number, count: number): Action[][] {
  const random = randomFrom(seed)
  const found = new Map<string, Action[]>()
  while (found.size < count) {
    const [one, other] = [random.pick(list), random.pick(list)]
    if (one !== other) found.set(`${one.name} + ${other.name}`, [one, other])
  }
  return [...found.values()]
}

/** A part of a list, by chance, in its order. */
export function some(list: readonly Action[], seed: number, count: number): Action[] {
  const random = randomFrom(seed)
  const left = [...list]
  while (left.length > count) left.splice(random.below(left.length), 1)
  return left
}

/** Those with these names. */
export function named(list: readonly Action[], names: readonly string[]): Action[] {
  return names.map((name) => {
    const found = list.find((one) => one.name === name)
    if (found === undefined) throw new Error(`No action "${name}"`)
    return found
  })
}
