import type { Mutation } from './mutation.ts'

/** Mistakes in who has which device, and in metrics and readiness of the device plugin. */
export const deviceObserve: readonly Mutation[] = [
  {
    id: 'allocations-given-lost',
    file: 'device-plugin/allocations/ledger.ts',
    mistake:
      'An answer of before an allocation takes the device away from the container that it was given to.',
    old: 'if (main.askedAt < at) continue',
    now: 'if (main.askedAt < at) this.#given.delete(device)',
    test: ['device-plugin/allocations/ledger.test.ts', 'stays taken until the source names its holder'],
    tier: 'quick',
  },
  {
    id: 'allocations-doubt-forgotten',
    file: 'device-plugin/allocations/ledger.ts',
    mistake: 'A kubelet that has not found its pods again after a restart frees their devices.',
    old: 'if (now - since < this.#times.linger) told.set(device, holding)',
    now: 'if (now - since < 0) told.set(device, holding)',
    test: [
      'device-plugin/allocations/ledger.property.test.ts',
      'found again after a restart was never free in between',
    ],
    tier: 'quick',
  },
  {
    id: 'allocations-dead-record-counts',
    file: 'device-plugin/allocations/ledger.ts',
    mistake: 'The end of the record of the holder before frees the device of the one who has it now.',
    old: 'if (attachment?.alive === true && !attachment.pendingClose) this.#attached.add(device)',
    now: 'if (attachment !== undefined) this.#attached.add(device)',
    test: ['device-plugin/allocations/ledger.test.ts', 'its end frees nothing'],
    tier: 'quick',
  },
  {
    id: 'observe-representor-straight',
    file: 'device-plugin/observe/links.ts',
    mistake: 'What a representor has received counts as received by its VF.',
    old: 'representor === undefined ? one : { receive: one.transmit, transmit: one.receive }',
    now: 'representor === undefined ? one : { receive: one.receive, transmit: one.transmit }',
    test: ['device-plugin/observe/links.test.ts', 'with the directions turned round'],
    tier: 'quick',
  },
  {
    id: 'observe-ready-without-stream',
    file: 'device-plugin/observe/readiness.ts',
    mistake: 'A pool that is registered counts as served when kubelet holds no stream.',
    old: 'if ((registered && streams > 0) || standby) return []',
    now: 'if (registered || standby) return []',
    test: ['device-plugin/observe/readiness.test.ts', 'one without a stream'],
    tier: 'quick',
  },
  {
    id: 'observe-gone-pool-counts',
    file: 'device-plugin/observe/metrics.ts',
    mistake: 'Series of pools that are gone stay for as long as the process lives.',
    old: 'for (const labels of gone.values()) metric.remove({ ...labels })',
    now: 'gone.clear()',
    test: ['device-plugin/observe/metrics.test.ts', 'nothing is left of a pool that is gone'],
    tier: 'quick',
  },
]
