import type { Mutation } from './mutation.ts'

const joint = 'offload/verbs/joint-plan.test.ts'

/** Mistakes in the contract of features: the joint plan, and the parts of it that verbs ask for. */
export const features: readonly Mutation[] = [
  {
    id: 'offload-joint-stays',
    file: 'src/offload/verbs/joint-plan.ts',
    mistake: 'An alternative that the NIC has refused stays done while the next one is tried.',
    old: '  transaction.rollback()\n  const second',
    now: '  const second',
    test: [joint, 'goes on without it when the NIC refuses a filter with it'],
    tier: 'quick',
    undo: true,
  },
  {
    id: 'offload-joint-no-reason',
    file: 'src/offload/verbs/joint-plan.ts',
    mistake: 'Nobody learns why the limit is not in the NIC.',
    old: '{ policer: undefined, refused: first }',
    now: '{ policer: undefined, refused: undefined }',
    test: [joint, 'goes on without it when the NIC refuses the policer itself'],
    tier: 'quick',
  },
  {
    id: 'offload-joint-unused',
    file: 'src/offload/verbs/joint-plan.ts',
    mistake: 'A policer is made that no filter has, and limits nothing.',
    old: 'if (policer === undefined || features.some(({ usesPolicer }) => usesPolicer))',
    now: 'if (features.length > 0)',
    test: [joint, 'a policer that no filter would have limits nothing'],
    tier: 'quick',
  },
  {
    id: 'offload-joint-shaper-too',
    file: 'src/offload/bandwidth/install.ts',
    mistake: 'A limit is moved into the pod while the filters of mappings keep the policer.',
    old: '      if (isShared) return new PolicerRefused(words, last)\n',
    now: '',
    test: [joint, 'goes on without it when the NIC refuses the policer itself'],
    tier: 'quick',
  },
  {
    id: 'offload-check-limits-unseen',
    file: 'src/offload/bandwidth/feature.ts',
    mistake: 'CHECK asks the kernel for no operation of a limit.',
    old: '  done: doneLimits,\n',
    now: '  done: () => [],\n',
    test: [
      'offload/verbs/previous-entries.test.ts',
      'does not ask whether the ports of the other are wished for',
    ],
    tier: 'quick',
  },
]
