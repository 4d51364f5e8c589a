import type { Mutation } from './mutation.ts'

/** Mistakes in device-plugin/config. */
export const devicePluginConfig: readonly Mutation[] = [
  {
    id: 'config-first-entry-of-pf',
    file: 'device-plugin/config/pf-ranges.ts',
    mistake: 'Of several entries for one PF the first alone counts.',
    old: 'byPf.set(key, first === undefined ? entry : united(first, entry))',
    now: 'byPf.set(key, first ?? entry)',
    test: ['device-plugin/config/pf-ranges.test.ts', 'entries of one PF are united'],
    tier: 'quick',
  },
  {
    id: 'config-inner-range',
    file: 'device-plugin/config/pf-ranges.ts',
    mistake: 'A range within another one cuts that one short.',
    old: 'before[1] = Math.max(before[1], last)',
    now: 'before[1] = last',
    test: ['device-plugin/config/pf-ranges.test.ts', 'a text means the union of its items'],
    tier: 'quick',
  },
  {
    id: 'config-exclude-typo',
    file: 'device-plugin/config/text/official.ts',
    mistake: 'A mistyped condition of an exclusion is passed over, and the exclusion reaches further.',
    old: 'official(one, members, context, isOwn === true)',
    now: 'official(one, members, context, false)',
    test: ['device-plugin/config/read-config.test.ts', 'of a selector that are not known'],
    tier: 'quick',
  },
  {
    id: 'config-same-content',
    file: 'device-plugin/config/watch-config.ts',
    mistake: 'A file that is written again with the same content is a change.',
    old: "return 'text' in right && left.text === right.text",
    now: 'return false',
    test: ['device-plugin/config/watch-config.test.ts', 'a touched file is no change'],
    tier: 'quick',
  },
]
