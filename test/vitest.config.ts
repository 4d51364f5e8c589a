import { availableParallelism, freemem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { place } from './support/placement.ts'
import { rebuildWhenChanged } from './support/rebuild.ts'

/**
 * Virtual machines of a run: VF_LABS (1-8), or three for two processors, at most three. A machine keeps about 0.65
 * processors busy and takes 4 GB.
 */
function machines(env: Readonly<Record<string, string | undefined>>): number {
  const wish = env.VF_LABS
  if (wish === undefined)
    return Math.max(1, Math.min(3, Math.ceil(1.5 * availableParallelism()), Math.floor(freemem() / 5e9)))
  if (!/^[1-8]$/.test(wish)) throw new Error(`Cannot use VF_LABS=${wish}: must be 1 to 8`)
  return Number(wish)
}

/** Files that take longest, the longest first: begun last, as their size would have it, one machine would wait for the other. */
const LONGEST = [
  ...[
    'lab/offload/scenarios-simnic',
    'lab/hostile/actions',
    'lab/offload/cards',
    'lab/offload/redirect',
    'lab/runtime/pods',
    'lab/offload/faults',
    'lab/offload/coexist',
    'lab/offload/add-del',
    'lab/attach/faults',
  ],
  ...[
    'lab/attach/del',
    'lab/offload/switchdev',
    'lab/bandwidth/faults',
    'lab/bandwidth/switchdev',
    'lab/device-plugin/pod',
    'lab/attach/foreign',
  ],
  ...[
    'native/bandwidth/detour',
    'lab/offload/random',
    'lab/simnic/rates',
    'lab/device-plugin/changes',
    'lab/attach/userspace',
    'lab/attach/open',
    'lab/bandwidth/kinds',
  ],
  ...[
    'lab/simnic/robust',
    'lab/portmap/kinds',
    'lab/bandwidth/vf',
    'lab/attach/switchdev',
    'lab/offload/scenarios-igb',
  ],
  ...[
    'lab/attach/select',
    'lab/simnic/legacy',
    'lab/bed/machine',
    'lab/attach/add-del',
    'lab/attach/property',
  ],
  ...['native/fuzz/offload', 'native/fuzz/attach', 'native/install/install', 'native/install/upgrade'],
  ...['native/agent-failure/offload-faults', 'native/agent-failure/small'],
  ...['native/bandwidth/faults', 'native/offload/faults', 'native/offload/random', 'native/attach/sequences'],
  ...[
    'native/attach/faults',
    'native/offload/scenarios-bridge',
    'native/portmap/host',
    'native/attach/property',
  ],
]

/** Milliseconds for a unit test or its preparation under qemu, which makes everything many times slower. */
const slow = process.env.VF_TEST_SLOW === '1' ? 600_000 : undefined

const placement = place(process.env)
/** Files that take minutes in emulation and whose claims are shown natively too: for `npm run test:soak`, which asks for everything. */
const soakOnly = process.env.VF_TEST_ALL === '1' ? ['test/soak/lab/**/*.test.ts'] : []

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const index = LONGEST.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`))
      return index === -1 ? LONGEST.length : index
    }
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  plugins: [rebuildWhenChanged()],
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    // For all projects: vitest asks only here.
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/lab/**', 'test/native/**', 'test/soak/lab/**'],
          // Vitest leaves one processor to itself, which is half of two.
          maxWorkers: availableParallelism(),
          // A process for each of the many small files costs more than their tests.
          isolate: false,
          setupFiles: ['test/support/fresh-modules.ts'],
          // Property tests on a machine that is busy with something else.
          testTimeout: slow ?? 60_000,
          ...(slow === undefined ? {} : { hookTimeout: slow }),
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'native',
          include: [...placement.native],
          globalSetup: ['test/support/native-setup.ts'],
          // A file waits more than half of its time: for timers, for the kernel's workers, for programs to start.
          maxWorkers: 3 * availableParallelism(),
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts', ...soakOnly, ...placement.lab.keys()],
          exclude: [...placement.nowhere.keys()],
          globalSetup: ['test/support/lab-setup.ts'],
          // Two files at once in one kernel would see each other's changes: as many machines as workers.
          maxWorkers: machines(process.env),
          // The guest runs without hardware virtualisation.
          testTimeout: 120_000,
          hookTimeout: 240_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
