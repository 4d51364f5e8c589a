import type { Mutation } from './mutation.ts'

/** Mistakes about IPAM programs, which run as children beside the kernel's work. */
export const attachIpam: readonly Mutation[] = [
  {
    id: 'attach-ipam-seeing',
    file: 'src/attach/verbs/ipam.ts',
    mistake: 'An IPAM plugin that asks by the interface runs before that is in the pod.',
    old: 'if (isIpamBlind(request)) start()',
    now: 'start()',
    test: ['attach/verbs/ipam.test.ts', 'after the move, when it can see the interface'],
    tier: 'quick',
    undo: true,
  },
  {
    id: 'attach-ipam-forgotten',
    file: 'src/attach/verbs/add.ts',
    mistake: 'A move that fails leaves the address that the IPAM plugin has leased meanwhile.',
    old: 'const unfreed = ipamPart.giveBack()',
    now: 'const unfreed: readonly string[] = []',
    test: ['native/attach/ipam-beside.test.ts', 'a move that fails has the addresses freed'],
    tier: 'quick',
    undo: true,
  },
  {
    id: 'sys-child-mask',
    file: 'src/sys/child/child.ts',
    mistake: 'Children inherit the signals that this process has blocked.',
    old: 'POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK',
    now: 'POSIX_SPAWN_SETSIGDEF',
    test: ['sys/child/child.test.ts', 'no signal is blocked or ignored in it that is here'],
    tier: 'quick',
  },
]
