import type { Mutation } from './mutation.ts'

/** Mistakes in how the parts of the device plugin are put together. */
export const deviceProgram: readonly Mutation[] = [
  {
    id: 'device-exit-code',
    file: 'device-plugin/serve.ts',
    mistake: 'A config with a mistake at the start is a failure like any other.',
    old: '    return exitCodes.config\n',
    now: '    return exitCodes.failed\n',
    test: ['native/device-plugin/program.test.ts', '3 for a config with a mistake'],
    tier: 'quick',
  },
  {
    id: 'device-config-forgets',
    file: 'device-plugin/config-state.ts',
    mistake: 'A config with a mistake takes all pools away.',
    old: '      this.#state = { ...this.#state, readAt, problems }\n      return false\n',
    now: '      this.#state = { ...this.#state, readAt, problems }\n      this.#config = { pools: [], warnings: [] }\n      return true\n',
    test: ['native/device-plugin/program.test.ts', 'a new config with a mistake is not used'],
    tier: 'quick',
  },
  {
    id: 'device-dead-pods',
    file: 'device-plugin/service.ts',
    mistake: 'Records of vf-attach count for nothing: a VF that is not restored is given away.',
    old: 'attachments: [...attachments.values()], refused, now',
    now: 'attachments: [], refused, now',
    test: ['lab/device-plugin/pod.test.ts', 'because its pod died before DEL'],
    tier: 'lab',
  },
]
