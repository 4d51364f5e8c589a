import type { Mutation } from './mutation.ts'

/** Mistakes about many calls in one process, and about calls whose caller or worker is gone. */
export const calls: readonly Mutation[] = [
  {
    id: 'lib-call-state-stays',
    file: 'src/lib/call/call.ts',
    mistake: 'A call begins with the state that the process had.',
    old: '  const own = fresh(call)\n',
    now: '  const own = Object.assign(state, { call })\n',
    test: ['lib/call/call.test.ts', 'each call has a value of its own, and the process one outside of calls'],
    tier: 'quick',
  },
  {
    id: 'ops-caller-not-asked',
    file: 'src/ops/apply.ts',
    mistake: 'An ADD goes on with its changes when its caller is gone.',
    old: 'if (isUnwanted()) throw new CallerGone(this.rollback())',
    now: 'if (isUnwanted()) return',
    test: [
      'ops/apply.test.ts',
      'in the middle of an ADD has everything taken back, before the next operation',
    ],
    tier: 'quick',
  },
  {
    id: 'cni-del-without-lock',
    file: 'src/cni/dispatch.ts',
    mistake: 'DEL does not wait for an ADD of the same attachment.',
    old: 'DEL: silent((plugin, request, sys) => alone(sys, request, () => plugin.del(request))),',
    now: 'DEL: silent((plugin, request) => plugin.del(request)),',
    test: [
      'native/attach/cancelled.test.ts',
      'a DEL waits for an ADD that lost its caller, and finds nothing',
    ],
    tier: 'quick',
  },
  {
    id: 'cni-lost-worker-forgotten',
    file: 'src/cni/dispatch.ts',
    mistake: 'An ADD whose worker has died is repeated without taking anything back.',
    old: 'if (sys.isLostWorker === true) takeBackLost(plugin, request)\n',
    now: '',
    test: [
      'cni/dispatch.test.ts',
      'that a worker has lost takes back what the attachment has, and then adds',
    ],
    tier: 'quick',
  },
  {
    id: 'agent-other-rights',
    file: 'src/agent/same-place/same-place.ts',
    mistake: 'A caller without the capabilities of the plugins is served.',
    old: "  if (!hasRightsOf(own.rights, pid)) return 'the caller lacks capabilities'\n",
    now: '',
    test: ['native/agent/same-place.test.ts', 'no CAP_NET_ADMIN'],
    tier: 'quick',
  },
]
