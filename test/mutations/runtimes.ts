import type { Mutation } from './mutation.ts'

/** Mistakes that calls of real runtimes show. */
export const runtimes: readonly Mutation[] = [
  {
    id: 'offload-crash-keeps-port',
    file: 'src/offload/verbs/dead-owners.ts',
    mistake:
      'An ADD that has freed the port of a pod whose runtime was killed is not tried again: that pod’s successor fails.',
    old: '  return dead.length > 0\n',
    now: '  return false\n',
    test: ['native/runtime/crash.test.ts', 'the ADD of vf-offload'],
    tier: 'quick',
    undo: true,
  },
  {
    id: 'offload-limits-need-wire',
    file: 'src/offload/port/port.ts',
    mistake: 'A pod with limits alone is refused where its interface is a macvlan.',
    old: "if (onlyRates) return { ...base, kind: 'other', wire: undefined }",
    now: "if (onlyRates && config.uplink !== undefined) return { ...base, kind: 'other', wire: undefined }",
    test: ['native/runtime/pods.test.ts', 'macvlan and sbr, IPAM static'],
    tier: 'quick',
  },
  {
    id: 'cni-first-argument-counts',
    file: 'src/cni/environment.ts',
    mistake: 'Of arguments that Multus hands over twice the first value counts.',
    old: 'if (equals > 0) args.set(pair.slice(0, equals), pair.slice(equals + 1))',
    now: 'if (equals > 0) args.set(pair.slice(0, equals), args.get(pair.slice(0, equals)) ?? pair.slice(equals + 1))',
    test: ['cni/request.test.ts', 'Multus 4 gives both ids to each plugin, and each argument twice'],
    tier: 'quick',
  },
  {
    id: 'offload-macvlan-of-another',
    file: 'src/offload/port/port.ts',
    mistake: 'A macvlan on another interface than the uplink gets mapped ports that no frame reaches.',
    old: 'if (link.lower !== uplink.ifindex || kernel.lowerNetns(link) !== hostNetns) {',
    now: 'if (kernel.lowerNetns(link) !== hostNetns) {',
    test: ['offload/port/port.test.ts', 'is refused: no frame would come back to it'],
    tier: 'quick',
  },
  {
    id: 'offload-macvlan-to-wire',
    file: 'src/offload/portmap/filters.ts',
    mistake: 'Frames for a macvlan leave by the uplink, and no switch sends them back.',
    old: "...{ dstMac: port.mac, verdict: 'pass', cookie },",
    now: '...{ dstMac: port.mac, cookie },',
    test: ['lab/portmap/kinds.test.ts', 'is served by the uplink below it'],
    tier: 'lab',
  },
  {
    id: 'attach-del-needs-device',
    file: 'src/attach/config/config.ts',
    mistake:
      'A DEL whose config names no device, as that of Multus 4.2.4 for the network of all pods, is refused.',
    old: '  const { stateDir } = config\n',
    now: '  const { stateDir } = readAttachConfig(request)\n',
    test: ['native/program/shim.test.ts', 'a DEL with the few keys that Multus 4.2.4 keeps'],
    tier: 'quick',
  },
  {
    id: 'lab-multus-twice',
    file: 'hack/lab/kubelet/real/programs.ts',
    mistake: 'A run takes Multus as a plugin and as a daemon, and one of them is never called.',
    old: "not: ['multus', 'controller-manager', 'scheduler', 'lab'] }",
    now: "not: ['controller-manager', 'scheduler', 'lab'] }",
    test: ['hack/real-kubelet.test.ts', 'refuses'],
    tier: 'quick',
  },
]
