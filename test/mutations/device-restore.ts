import type { Mutation } from './mutation.ts'

/** Mistakes in restores by the device plugin, and in its counters. */
export const deviceRestore: readonly Mutation[] = [
  {
    id: 'device-restore-held',
    file: 'device-plugin/restores.ts',
    mistake: 'A device that a pod has by the word of kubelet is restored under that pod.',
    old: ' || allocations.held.has(device)) return []',
    now: ') return []',
    test: ['device-plugin/container/restorer.test.ts', 'only devices that kubelet gives to nobody wait'],
    tier: 'quick',
  },
  {
    id: 'container-restore-old-look',
    file: 'device-plugin/container/restore/restorer.ts',
    mistake: 'A restore goes by the last look, although another pod has the device by now.',
    old: '    this.look(this.#options.now())\n',
    now: '',
    test: ['device-plugin/container/restorer.test.ts', 'a pod that is there after all'],
    tier: 'quick',
  },
  {
    id: 'container-restore-untrue',
    file: 'device-plugin/container/restore/restorer.ts',
    mistake: 'The log says that a device is restored, and vf-attach has not found its record.',
    old: '      if (this.#options.now().some((left) => keyOf(left) === keyOf(one))) throw new RecordStays(remarks)\n',
    now: '',
    test: ['native/device-plugin/program-restore.test.ts', 'a DEL that restores nothing is told'],
    tier: 'quick',
  },
  {
    id: 'device-meters-gone-pool',
    file: 'device-plugin/meters.ts',
    mistake: 'The last calls of a pool that was taken down bring its counters back.',
    old: '        if (!kept.has(resource)) return\n',
    now: '',
    test: ['native/device-plugin/program-reload.test.ts', 'a swapped ConfigMap'],
    tier: 'quick',
  },
  {
    id: 'kubelet-early-standby',
    file: 'device-plugin/kubelet/pool.ts',
    mistake: 'A second process is ready before kubelet has seen it, and the first one leaves too early.',
    old: ' && this.#isRefused\n',
    now: '\n',
    test: [
      'native/device-plugin/program-kubelet.test.ts',
      'a second one takes over while the first one stops',
    ],
    tier: 'quick',
  },
]
