/**
 * The differences between sriov-network-device-plugin (main of mid-2026) and vf-device-plugin that are meant, each with its reason. Everything else that
 * differs fails `npm run test:peer`.
 */
import type { Difference } from './compare.ts'

/** One difference that is meant. */
export interface Documented {
  readonly id: string
  readonly reason: string
  /** Names of cases; undefined: any. */
  readonly cases?: readonly string[]
  readonly path: RegExp
  /** What the values must be; any when absent. */
  readonly holds?: (difference: Difference) => boolean
}

/** All of them. */
export const documented: readonly Documented[] = []

/** The reason of a difference; undefined: it is a surprise. */
export function reasonFor(name: string, difference: Difference): Documented | undefined {
  return documented.find(
    ({ cases, path, holds }) =>
      (cases === undefined || cases.includes(name)) &&
      path.test(difference.path) &&
      (holds === undefined || holds(difference)),
  )
}

/** Ids of documented differences that were not seen: they are stale. */
export function unused(used: ReadonlySet<string>): readonly string[] {
  return documented.map(({ id }) => id).filter((id) => !used.has(id))
}
