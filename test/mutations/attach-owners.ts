import type { Mutation } from './mutation.ts'

/** Mistakes in what src/attach knows of whose a device is. */
export const attachOwners: readonly Mutation[] = [
  {
    id: 'attach-pf-own-claim',
    file: 'src/attach/verbs/add-free-vf.ts',
    mistake: "ADD with `pf` takes our own claim of an owner that is gone for somebody's.",
    old: '(left === undefined || isAnothers(machine, address, left))',
    now: 'true',
    test: ['native/attach/free-vf.test.ts', 'another namespace has the path of its owner'],
    tier: 'quick',
  },
  {
    id: 'attach-pf-unusable',
    file: 'src/attach/verbs/add-free-vf.ts',
    mistake: 'ADD with `pf` fails for one VF that the host uses.',
    old: '        if (!(error instanceof Unusable)) throw error\n',
    now: '        if (error instanceof Unusable) throw error\n',
    test: ['native/attach/free-vf.test.ts', 'a VF that the host uses is passed over'],
    tier: 'quick',
  },
  {
    id: 'attach-owner-ipam',
    file: 'src/attach/verbs/ownership.ts',
    mistake:
      'What an attachment has left of another device is restored while an IPAM plugin of it still runs.',
    old: '        awaitIpam(machine, name)\n',
    now: '',
    test: ['attach/verbs/ownership.test.ts', 'restored under the lock of that one'],
    tier: 'quick',
  },
  {
    id: 'attach-owner-boot',
    file: 'src/attach/verbs/ownership.ts',
    mistake: 'A record from before the last boot stands in the way while somebody has its device open now.',
    old: 'if (!isFromBefore(machine, record)) requireClosed',
    now: 'requireClosed',
    test: ['native/attach/free-vf.test.ts', 'from before the last boot'],
    tier: 'quick',
  },
  {
    id: 'attach-lost-master',
    file: 'src/attach/device/live.ts',
    mistake: 'DEL fails as long as the bridge that an interface had before ADD is gone.',
    old: "name !== '' && kernel.link('host', name) === undefined)",
    now: "name === '?' && kernel.link('host', name) === undefined)",
    test: [
      'native/attach/del.test.ts',
      'an interface comes home although its bridge is gone, and DEL says so',
    ],
    tier: 'quick',
  },
  {
    id: 'attach-foreign-alias',
    file: 'src/attach/restore/foreign.ts',
    mistake:
      "A pod's own interface goes to the host because its alias is the name of a device that is there.",
    old: 'journal === undefined || isOnHost(kernel, journal, name, hwaddr)',
    now: 'journal === undefined',
    test: ['native/attach/foreign.test.ts', 'is not an interface of the pod with such an alias'],
    tier: 'quick',
  },
  {
    id: 'attach-policy-node-device',
    file: 'src/attach/config/config.ts',
    mistake: "A network's config takes a device by which the node lives, whatever the policy says.",
    old: 'allowNodeDevice: allowNodeDevice && request.policy.allowNodeDevice',
    now: 'allowNodeDevice',
    test: ['attach/config/config.test.ts', 'only where the policy lets it'],
    tier: 'quick',
  },
]
