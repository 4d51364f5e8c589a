import type { Mutation } from './mutation.ts'

/** Mistakes in src/install and in the part of the shim that upgrades go by. */
export const install: readonly Mutation[] = [
  {
    id: 'install-order',
    file: 'src/install/files/layout.ts',
    mistake: 'Shims are replaced before the program of their build is there.',
    old: "export const stages = ['programs', 'services', 'plugins'] as const",
    now: "export const stages = ['plugins', 'services', 'programs'] as const",
    test: ['install/files.test.ts', 'puts programs there before services, and plugins last'],
    tier: 'quick',
  },
  {
    id: 'install-undo-order',
    file: 'src/install/files/put.ts',
    mistake: 'What an install has done is taken back from the beginning, not from the end.',
    old: 'this.#back.splice(0).reverse()',
    now: 'this.#back.splice(0)',
    test: ['install/files.test.ts', 'in the first install leaves nothing at all'],
    tier: 'quick',
  },
  {
    id: 'agent-shim-own-build',
    file: 'src/agent/shim/standalone.h',
    mistake: 'A shim takes any build of the program first.',
    old: '{ "vf-flower-" VF_FLOWER_BUILD, "vf-flower" }',
    now: '{ "vf-flower", "vf-flower-" VF_FLOWER_BUILD }',
    test: ['native/install/install.test.ts', 'a shim finds its own build'],
    tier: 'quick',
  },
  {
    id: 'install-alias-of-others',
    file: 'src/install/files/removal.ts',
    mistake: 'An alias that somebody has replaced is removed by uninstall.',
    old: 'known.some((one) => isSame(found, one.content))',
    now: 'known.length > 0',
    test: ['install/files.test.ts', 'an alias that somebody has replaced since is theirs'],
    tier: 'quick',
  },
  {
    id: 'install-other-root',
    file: 'src/install/commands.ts',
    mistake: 'Below another root, uninstall takes pods for dead whose namespaces it can not see.',
    old: "if (root !== '') requireNone(root, attachments)",
    now: "if (root === '/') requireNone(root, attachments)",
    test: ['native/install/attachments.test.ts', 'below another root nobody can tell who lives'],
    tier: 'quick',
  },
  {
    id: 'install-over-others',
    file: 'src/install/files/put.ts',
    mistake: 'A file that somebody has made since the plan is replaced.',
    old: 'if (!isLinked(temporary, path)) renameSync(temporary, path)',
    now: 'renameSync(temporary, path)',
    test: ['install/files.test.ts', 'a file that somebody has made since the plan stays'],
    tier: 'quick',
  },
]
