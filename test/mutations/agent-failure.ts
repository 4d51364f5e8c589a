import type { Mutation } from './mutation.ts'

/** Mistakes that show when an agent, a worker or a caller dies. */
export const agentFailure: readonly Mutation[] = [
  {
    id: 'lib-errno-of-dead-supervisor',
    file: 'src/lib/errno.ts',
    mistake:
      'The error of a socket whose other end has died is unknown, so that a dead supervisor fails the call of its worker.',
    old: "  104: 'ECONNRESET',\n",
    now: '',
    test: ['lib/errno.test.ts', 'every name that the program compares with is known'],
    tier: 'quick',
  },
  {
    id: 'cni-lost-worker-adds-twice',
    file: 'src/cni/dispatch.ts',
    mistake: 'An ADD in the place of a dead worker takes nothing back before it adds.',
    old: 'if (sys.isLostWorker === true) takeBackLost(plugin, request)',
    now: '',
    test: [
      'native/agent-failure/faults.test.ts',
      'a worker killed at each step costs no call its answer or its effect',
    ],
    tier: 'quick',
  },
  {
    id: 'cni-lost-worker-adds-mappings-twice',
    file: 'src/cni/dispatch.ts',
    mistake:
      'An ADD in the place of a dead worker takes nothing back, so that the limits that the worker has set refuse it.',
    old: 'if (sys.isLostWorker === true) takeBackLost(plugin, request)',
    now: '',
    test: ['native/agent-failure/offload-faults.test.ts', 'a worker of vf-offload is killed'],
    tier: 'quick',
  },
  {
    id: 'agent-hung-ipam-is-waited-for',
    file: 'src/agent/supervisor/decisions.ts',
    mistake: 'A call waits a second for workers whose IPAM programs have no answer.',
    old: 'const isStuck = isFull && this.#living().every(isHung)',
    now: 'const isStuck = isFull && this.#living().every(isHung) && this.#isDraining',
    test: [
      'agent/supervisor/decisions.test.ts',
      'is sent away soon once the IPAM programs of all workers that there may be have no answer',
    ],
    tier: 'quick',
  },
]
