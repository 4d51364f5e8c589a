// Shared policers of the host in memory, by their numbers.
import type { RateKernel } from '../../src/kernel/api/rates.ts'
import type { OpOf } from '../../src/ops/op.ts'
import { FakeRefusal } from './refusal.ts'

/** The policers of a node. */
export class FakePolicers implements Pick<RateKernel, 'takenPolicers'> {
  readonly #indexes = new Set<number>()

  run({ do: kind, limiter: { index } }: OpOf<'limiter.add' | 'limiter.del'>): void {
    if (kind === 'limiter.add' && this.#indexes.has(index)) throw new FakeRefusal('EEXIST')
    if (kind === 'limiter.del' && !this.#indexes.has(index)) throw new FakeRefusal('ENOENT')
    if (kind === 'limiter.add') this.#indexes.add(index)
    else this.#indexes.delete(index)
  }

  takenPolicers(first: number): readonly number[] {
    const taken: number[] = []
    while (this.#indexes.has(first + taken.length)) taken.push(first + taken.length)
    return taken
  }
}
