/**
 * The words of `npm run bench -- --against DIR`, and the arithmetic of its tables. Pure: in, words and times; out,
 * options and ratios.
 */
import { parseArgs } from 'node:util'
import { median } from './bench-table.ts'

/** A place where a series can be run. */
export const PLACES = ['native', 'lab'] as const
/** One of {@link PLACES}. */
export type BenchPlace = (typeof PLACES)[number]

/** The wishes that the words behind `npm run bench --` express. */
export interface PairOptions {
  /** Folder of the other build: a checkout, or a folder with the programs. */
  readonly against: string
  readonly rounds: number
  readonly places: readonly BenchPlace[]
}

/** Undefined without another build. @throws Error that names the word and the allowed values */
export function pairOptions(words: readonly string[]): PairOptions | undefined {
  const { values } = parseArgs({
    args: [...words],
    options: { against: { type: 'string' }, rounds: { type: 'string' }, only: { type: 'string' } },
  })
  const { against, rounds, only } = values
  if (against === undefined) {
    if (rounds === undefined && only === undefined) return undefined
    throw new Error('Cannot use --rounds or --only without --against: they are about two builds')
  }
  if (against === '') throw new Error('Cannot use an empty --against: must be the folder of another build')
  const count = Number(rounds ?? 200)
  if (!Number.isInteger(count) || count < 1)
    throw new Error(`Cannot use --rounds ${rounds}: must be a whole number above 0`)
  const place = PLACES.find((one) => one === only)
  if (only !== undefined && place === undefined)
    throw new Error(`Cannot use --only ${only}: must be ${PLACES.join(' or ')}`)
  return { against, rounds: count, places: place === undefined ? PLACES : [place] }
}

/** Shares `rounds` out among at most `pieces` parts, as evenly as possible; no part is empty. */
export function piecesOf(rounds: number, pieces: number): number[] {
  const sizes = Array.from({ length: pieces }, (_, index) => Math.floor((rounds + index) / pieces))
  return sizes.filter((size) => size > 0)
}

/**
 * The orders in which a round can call the programs. Rounds use the orders in turn, so that each program has each place equally
 * often, and follows each other program equally often.
 */
export function ordersOf<T>(list: readonly T[]): readonly (readonly T[])[] {
  if (list.length < 2) return [list]
  return list.flatMap((first, index) =>
    ordersOf(list.toSpliced(index, 1)).map((rest) => [first, ...rest] as const),
  )
}

/** The median of the ratios of a round's two times, and the bounds that hold it in 95 of 100 runs. */
export interface PairedRatio {
  readonly median: number
  readonly low: number
  readonly high: number
}

/**
 * Compares two lists of times round by round: a disturbance of a whole round disturbs both. The bounds are ranks of the sorted
 * ratios (the binomial interval of a median), so a few long waits don't move them. @throws Error when there are no pairs
 */
export function pairedRatio(times: readonly number[], base: readonly number[]): PairedRatio {
  if (times.length === 0 || times.length !== base.length)
    throw new Error(
      `Cannot compare ${times.length} times with ${base.length}: both must be of the same rounds`,
    )
  const sorted = times.map((time, round) => time / (base[round] ?? Number.NaN)).sort((a, b) => a - b)
  const reach = 0.98 * Math.sqrt(sorted.length)
  const at = (rank: number) => sorted[Math.min(sorted.length - 1, Math.max(0, rank))] ?? Number.NaN
  return {
    median: median(sorted),
    low: at(Math.floor(sorted.length / 2 - reach)),
    high: at(Math.ceil(sorted.length / 2 + reach) - 1),
  }
}

/** The distance that the build may have from itself, so that its distance from the other one says something. */
export const SELF_BOUND = 0.01

/** True if a ratio against the other build counts: the build against itself, in the same rounds, is within 1 %. */
export function counts(itself: PairedRatio): boolean {
  return Math.abs(itself.median - 1) <= SELF_BOUND
}

/** `1.012 (1.004-1.019)` */
export function shownRatio({ median: middle, low, high }: PairedRatio): string {
  return `${middle.toFixed(3)} (${low.toFixed(3)}-${high.toFixed(3)})`
}
