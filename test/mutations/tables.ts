import type { Mutation } from './mutation.ts'

/** Mistakes in the tables of operations: an entry is there, and does nothing. */
export const tables: readonly Mutation[] = [
  {
    id: 'kernel-verify-shaper-nothing',
    file: 'src/kernel/inspect/verify-rates.ts',
    mistake: 'CHECK finds a shaper well that is gone.',
    old: "  'shaper.add': verifyShaper,\n",
    now: "  'shaper.add': () => [],\n",
    test: ['native/kernel/verify.test.ts', '" is found'],
    tier: 'quick',
  },
  {
    id: 'kernel-verify-no-number',
    file: 'src/kernel/inspect/verify-rates.ts',
    mistake: 'CHECK looks for the work of a limit by the name that its interface had.',
    old: 'reach.link(side, ifindex ?? name)',
    now: 'reach.link(side, name)',
    test: ['kernel/inspect/verify-rates.test.ts', 'are known by their numbers'],
    tier: 'quick',
  },
  {
    id: 'kernel-verify-filters-skipped',
    file: 'src/kernel/inspect/verify.ts',
    mistake: 'CHECK passes over the kinds that are asked for together: the filters of mappings.',
    old: "if (typeof verifier === 'object' && 'together' in verifier)",
    now: "if (typeof verifier === 'function' && 'together' in verifier)",
    test: ['kernel/inspect/verify.test.ts', 'a filter that is gone is found at its place in the list'],
    tier: 'quick',
  },
  {
    id: 'ops-undo-itself',
    file: 'src/ops/table/rates.ts',
    mistake: 'A failed ADD leaves the ifb of a limit.',
    old: "up type ifb`,\n    undo: 'ifb.del',\n",
    now: 'up type ifb`,\n    undo: (op) => op,\n',
    test: ['ops/op.test.ts', '%s: twice is the operation itself'],
    tier: 'quick',
    undo: true,
  },
  {
    id: 'kernel-counters-of-nobody',
    file: 'src/kernel/inspect/measure.ts',
    mistake: 'The counters of a pod that is gone are asked for by vfctl show.',
    old: 'isThere ? gauge.counters(reach, op) : undefined',
    now: 'gauge.counters(reach, op)',
    test: ['offload/bandwidth/counters.test.ts', 'what counts is asked'],
    tier: 'quick',
  },
]
