import type { Mutation } from './mutation.ts'

/** Mistakes in the tables of config keys, and in the attributes of VFs. */
export const configTables: readonly Mutation[] = [
  {
    id: 'cni-keys-case',
    file: 'src/cni/config-keys.ts',
    mistake: 'Keys of objects inside a config are known in their official spelling alone.',
    old: 'members === undefined ? true : spelling(members)',
    now: 'true',
    test: ['cni/config-keys.test.ts', 'keys match in any case'],
    tier: 'quick',
  },
  {
    id: 'cni-keys-required',
    file: 'src/cni/config-keys.ts',
    mistake: 'A key that must be given is passed over where it is absent.',
    old: 'else if (one.isRequired === true) throw',
    now: "else if (prefix === '?') throw",
    test: ['offload/config/config.test.ts', 'is refused, code 7'],
    tier: 'quick',
  },
  {
    id: 'cni-keys-range',
    file: 'src/cni/value-kinds.ts',
    mistake: 'A number above its range is taken.',
    old: 'first <= value && value <= last',
    now: 'first <= value',
    test: ['cni/value-kinds.test.ts', 'parser and schema take and refuse the same values'],
    tier: 'quick',
  },
  {
    id: 'cni-schema-list',
    file: 'src/cni/json-schema.ts',
    mistake: 'The schema of a list says nothing about the objects in it.',
    old: "isList === true ? { items: { type: 'object', ...inner } } : inner",
    now: "isList === true ? { items: { type: 'object' } } : inner",
    test: ['docs/schema.test.ts', 'a schema and the plugin'],
    tier: 'quick',
  },
  {
    id: 'attach-check-plan-kind',
    file: 'src/attach/verbs/check-plan.ts',
    mistake: 'CHECK passes over the settings that an ADD has planned.',
    old: "'sysctl.set': settingDifferences,",
    now: "'sysctl.set': { unseen: 'nothing' },",
    test: ['attach/verbs/check.test.ts', 'but not without it'],
    tier: 'quick',
  },
  {
    id: 'ops-vf-priority',
    file: 'src/ops/vf-attributes.ts',
    mistake: 'Two VLANs of a VF that differ in their priority alone count as equal.',
    old: 'text: ({ id, qos, proto }) =>',
    now: 'text: ({ id, id: qos, proto }) =>',
    test: ['ops/vf-attributes.test.ts', 'attributes that differ'],
    tier: 'quick',
  },
]
