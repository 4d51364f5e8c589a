import type { Mutation } from './mutation.ts'

/** Mistakes in hack/release, and those that only another processor would show. */
export const release: readonly Mutation[] = [
  {
    id: 'release-dirty',
    file: 'hack/release/plan.ts',
    mistake: 'A release is made of files that are in no commit.',
    old: '  if (changes.length > 0)\n',
    now: '  if (changes.length < 0)\n',
    test: ['hack/release.test.ts', 'a tree that is not clean is refused'],
    tier: 'quick',
  },
  {
    id: 'release-undated',
    file: 'hack/release/plan.ts',
    mistake: 'A release is made of a section that has no date yet.',
    old: 'if (isDate === true) return word',
    now: 'if (isDate !== undefined) return word',
    test: ['hack/release.test.ts', 'a section with the date'],
    tier: 'quick',
  },
  {
    id: 'release-first-byte',
    file: 'hack/release/compare.ts',
    mistake: 'Files of one length count as the same.',
    old: 'if (left.equals(right)) return []',
    now: 'if (left.length === right.length) return []',
    test: ['hack/release.test.ts', 'two folders are compared byte by byte'],
    tier: 'quick',
  },
  {
    id: 'sys-call-number',
    file: 'src/sys/poll.ts',
    mistake: 'On arm64 a signal descriptor is asked for by the number of another system call.',
    old: "'signalfd4', [289, 74]",
    now: "'signalfd4', [289, 75]",
    test: ['sys/call-numbers.test.ts', 'are those of the headers'],
    tier: 'quick',
  },
]
