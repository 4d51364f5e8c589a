import type { Mutation } from './mutation.ts'

/** Mistakes in src/agent/shim. */
export const shim: readonly Mutation[] = [
  {
    id: 'agent-shim-directory',
    file: 'src/agent/shim/shim.c',
    mistake: 'The working directory stays where the runtime has it, be it outside of the root.',
    old: 'long changed = sys_chdir("/");',
    now: 'long changed = sys_chdir(".");',
    test: [
      'native/program/shim.test.ts',
      'ADD, CHECK, DEL and GC of both plugins get through, with their calls of IPAM',
    ],
    tier: 'quick',
  },
  {
    id: 'agent-shim-environment',
    file: 'src/agent/shim/standalone.h',
    mistake: 'Variables that change the engine are handed on.',
    old: '"VF_FLOWER_" };',
    now: '"VF_FLOWER_", "BUN_" };',
    test: ['conformance/shim.test.ts', 'in the environment has no effect'],
    tier: 'quick',
  },
  {
    id: 'agent-shim-soft-limit',
    file: 'src/agent/shim/standalone.h',
    mistake: 'A soft limit that is too low for the engine stays.',
    old: 'limit.rlim_cur >= need->least)',
    now: 'limit.rlim_max >= need->least)',
    test: ['conformance/shim.test.ts', 'that is too low is raised'],
    tier: 'quick',
  },
  {
    id: 'agent-shim-starts-itself',
    file: 'src/agent/shim/standalone.h',
    mistake: 'Where vf-flower should be lies the program in front, and it starts itself for ever.',
    old: 'own.stx_ino == other.stx_ino;',
    now: 'own.stx_ino != other.stx_ino;',
    test: ['conformance/shim.test.ts', 'or a copy of the program in front'],
    tier: 'quick',
  },
]
