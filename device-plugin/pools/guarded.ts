/** Devices that the host guard keeps: a pool selects them, but the host uses them. */
import { isGuardReason } from './entry.ts'
import type { Assignment } from './pool.ts'

/** One device that a pool does not offer because of the host. */
export interface Guarded {
  readonly id: string
  readonly resource: string
  /** The sentence of the verdict. */
  readonly reason: string
}

/** All devices that the host guard keeps, by id and in the order of the pools, for the log and for people. */
export function guardedOf({ verdicts }: Assignment): readonly Guarded[] {
  return [...verdicts].flatMap(([id, { rejections }]) =>
    rejections.filter(({ reason }) => isGuardReason(reason)).map((one) => ({ id, ...one })),
  )
}
