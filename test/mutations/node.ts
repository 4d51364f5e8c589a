import type { Mutation } from './mutation.ts'

/** Mistakes in the look at a node, and in what the documents say of the program. */
export const node: readonly Mutation[] = [
  {
    id: 'node-check-modeless',
    file: 'src/node-check/check.ts',
    mistake: 'A card whose driver tells no mode counts as one with an eSwitch also without representors.',
    old: 'isModeless && hasRepresentors(own, links)',
    now: 'isModeless',
    test: ['node-check/check.test.ts', 'a card whose driver tells no mode'],
    tier: 'quick',
  },
  {
    id: 'ctl-node-other-build',
    file: 'src/ctl/node-text.ts',
    mistake: 'The look at a node does not say that the agent is of another build, and serves nobody.',
    old: "isOurs ? ''",
    now: "pid > 0 ? ''",
    test: ['ctl/node-text.test.ts', 'an agent of another build'],
    tier: 'quick',
  },
  {
    id: 'cni-undocumented-code',
    file: 'src/cni/error.ts',
    mistake: 'A code has another number than the documents say.',
    old: '  uplinkTaken: 106,',
    now: '  uplinkTaken: 107,',
    test: ['docs/troubleshooting.test.ts', 'each error code has a section'],
    tier: 'quick',
  },
]
