/** The source of chance: one seed, printed by every test, that replays a run. */

/**
 * The seed of VF_SOAK_SEED, a whole number from 0 to 2^31 - 1; else always the same, so that `npm test` says the same
 * of the same tree. New seeds are for `npm run test:soak`.
 */
export function seedOf(env: Readonly<Record<string, string | undefined>>): number {
  const { VF_SOAK_SEED } = env
  if (VF_SOAK_SEED === undefined || VF_SOAK_SEED === '') return 1
  const seed = Number(VF_SOAK_SEED)
  if (Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31) return seed
  throw new Error(`Cannot use VF_SOAK_SEED "${VF_SOAK_SEED}": must be an integer from 0 to ${2 ** 31 - 1}`)
}

/** Random numbers from a seed (mulberry32). */
export interface Random {
  /** A whole number from 0 to `below` - 1. */
  below(below: number): number
  /** One of a list. */
  pick<T>(list: readonly T[]): T
  /** True in `percent` of 100 cases. */
  chance(percent: number): boolean
}

export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number) => Math.floor(next() * limit)
  return {
    below,
    pick: (list) => {
      if (list.length === 0) throw new Error('Cannot pick from an empty list')
      return list[below(list.length)] as (typeof list)[number]
    },
    chance: (percent) => below(100) < percent,
  }
}
