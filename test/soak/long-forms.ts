/**
 * The test files whose long form `npm run test:soak` runs, by what it calls them. An entry is a piece of their paths, as
 * vitest takes it.
 */
export const longForms = {
  dpdk: ['/soak/lab/attach-dpdk.test.ts'],
  scenarios: [
    '/offload/scenarios-',
    '/offload/crowd.test.ts',
    '/soak/lab/offload-crowd.test.ts',
    '/offload/herd.test.ts',
  ],
  random: ['/offload/random.test.ts'],
  faults: ['/offload/faults.test.ts', '/bandwidth/faults.test.ts'],
  agent: ['/native/agent-failure/'],
  attach: ['/native/fuzz/attach.test.ts'],
  offload: ['/native/fuzz/offload.test.ts', '/native/portmap/flush-chaos.test.ts'],
} as const
