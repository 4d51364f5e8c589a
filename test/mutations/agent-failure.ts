import type { Mutation } from './mutation.ts'

/** Mistakes that show when an agent, a worker or a caller dies. */
export const agentFailure: readonly Mutation[] = [
  {
    id: 'errno-of-dead-supervisor',
    file: 'src/lib/errno.ts',
    mistake:
      'The error of a socket whose other end has died is unknown, so that a dead supervisor fails the call of its worker.',
    old: "  104: 'ECONNRESET',\n",
    now: '',
    test: ['lib/errno.test.ts', 'every name that the program compares with is known'],
    tier: 'quick',
  },
  {
    id: 'ghost-del-without-lock',
    file: 'src/cni/dispatch.ts',
    mistake: 'A DEL does not wait for an ADD of its attachment that is under way.',
    old: 'DEL: silent((plugin, request, sys) => alone(sys, request, () => plugin.del(request))),',
    now: 'DEL: silent((plugin, request) => plugin.del(request)),',
    test: [
      'native/agent-failure/ghosts.test.ts',
      'an ADD of vf-attach leaves nothing after its DEL, wherever its shim is killed',
    ],
    tier: 'quick',
  },
  {
    id: 'lost-worker-adds-twice',
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
]
