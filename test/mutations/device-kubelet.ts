import type { Mutation } from './mutation.ts'

/** Mistakes in device-plugin/kubelet. */
export const deviceKubelet: readonly Mutation[] = [
  {
    id: 'kubelet-queue',
    file: 'device-plugin/kubelet/streams.ts',
    mistake: 'Every list waits for a reader that is slow, not the newest alone.',
    old: 'if (next === undefined || stream.isWriting ||',
    now: 'if (next === undefined ||',
    test: ['kubelet/streams.test.ts', 'keeps only the newest list for a reader that does not read'],
    tier: 'quick',
  },
  {
    id: 'kubelet-inode',
    file: 'device-plugin/kubelet/socket-file.ts',
    mistake: 'The end removes the socket at our path, be it of another process.',
    old: "if (this.state() === 'ours') rmSync",
    now: "if (this.state() !== 'missing') rmSync",
    test: ['kubelet/instances.test.ts', 'without instance names the newest process has the socket'],
    tier: 'quick',
    undo: true,
  },
  {
    id: 'kubelet-second',
    file: 'device-plugin/kubelet/pool.ts',
    mistake:
      'A process whose stream ends with that of another one, which has left, waits as for a kubelet that has dropped it.',
    old: 'if (this.#hasLost) this.#soon()',
    now: 'if (this.#isRefused) this.#soon()',
    test: [
      'kubelet/instances.test.ts',
      'a process that sees another leave before its own stream ends comes back',
    ],
    tier: 'quick',
  },
  {
    id: 'lab-kubelet-admission',
    file: 'hack/lab/kubelet/admission.ts',
    mistake:
      'The simulated kubelet gives a container new devices although one for initialisation has had some.',
    old: 'const again = reusable.slice(0, count)',
    now: 'const again = reusable.slice(0, 0)',
    test: ['kubelet/contract.test.ts', 'the simulator'],
    tier: 'quick',
  },
  {
    id: 'lab-kubelet-same-socket',
    file: 'hack/lab/kubelet/simulator.ts',
    mistake:
      'The simulated kubelet keeps the connection that it has when a plugin registers the same socket again.',
    old: "if (second !== 'replace' && present?.connection.socket === socket) return",
    now: 'if (present?.connection.socket === socket) return',
    test: ['kubelet/contract.test.ts', 'the simulator'],
    tier: 'quick',
  },
  {
    id: 'kubelet-attract',
    file: 'device-plugin/kubelet/pool.ts',
    mistake: 'A registration without a stream is waited for and nothing is done.',
    old: 'await this.#socket?.open()',
    now: 'await this.#socket?.path',
    test: ['kubelet/recovery.test.ts', 'registers again when kubelet accepts and opens no stream'],
    tier: 'quick',
  },
  {
    id: 'kubelet-number',
    file: 'device-plugin/kubelet/messages.ts',
    mistake: 'CDI names have the number of another field.',
    old: "'5 cdi_devices:",
    now: "'6 cdi_devices:",
    test: ['kubelet/wire.test.ts', 'of an answer to Allocate: CDI names are field 5'],
    tier: 'quick',
  },
]
