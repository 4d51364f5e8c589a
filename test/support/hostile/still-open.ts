// What is not yet expected to hold, with the reason. An entry that holds fails its test: the list only shrinks.
import type { Kind } from './action.ts'
import type { Phase } from './scenario.ts'

interface Open {
  readonly kind: Kind
  readonly phase: Phase
  /** Names of actions, or of several that follow each other, with ` + ` between them. */
  readonly names: readonly string[]
  readonly reason: string
  /** It may hold: a race that the pod does not win each time, or a driver that makes up for it. */
  readonly sometimes?: true
}

const stillOpen: readonly Open[] = [
  {
    kind: 'veth',
    phase: 'between',
    reason: 'what the pod has set stays on the device',
    names: [
      'arp off',
      'multicast off',
      'dynamic',
      'trailers off',
      'dormant',
      'group',
      'broadcast address',
      'segments of one byte',
      'offloads off',
      'offloads that forward',
      'channels',
      'packets steered to a processor',
      'late interrupts',
      '1,000 addresses + packets steered to a processor',
      'offloads off + MTU',
    ],
  },
  {
    kind: 'veth',
    phase: 'between',
    reason: 'an interface of the pod stays on the device',
    names: [
      'neighbours, groups and bridge entries',
      'macvlan bridge',
      'macvlan vepa',
      'macvlan private',
      'macvlan passthru',
      'macvlan with the MAC of the device',
      'macvlan of sources',
      'macvlan in a namespace of its own',
      'macvlan in a namespace that outlives the pod',
      'a macvlan on it of its name and MAC',
      'macvlan of sources + down',
      'macvlan with the MAC of the device + altname of another device',
      'neighbours, groups and bridge entries + links that come and go',
    ],
  },
  {
    kind: 'veth',
    phase: 'between',
    reason: 'a program stays on the device',
    names: [
      'XDP',
      'XDP that lets all pass',
      'XDP in the driver',
      'XDP that a process holds',
      'XDP in the driver that a process holds',
      'XDP that an outliving process holds',
      'a program for what comes in',
      'a program for what goes out',
      'XDP in the driver that a process holds + 150 links',
      'an address and a route of its own + XDP that lets all pass',
    ],
  },
  {
    kind: 'veth',
    phase: 'between',
    reason: 'altnames that come during the DEL stay',
    sometimes: true,
    names: ['altnames as fast as it can'],
  },
  {
    kind: 'veth',
    phase: 'between',
    reason: 'a device that is not found counts as gone',
    names: [
      'a number of its choice',
      'the largest number',
      "another device's number",
      'hidden in a namespace of its own',
      'hidden two namespaces deep, under another name',
      'hidden in a namespace that outlives the pod',
      'a veth of its name and MAC, and it hidden',
      'an ifb of its name, MAC and number, and it hidden',
    ],
  },
  {
    kind: 'veth',
    phase: 'between',
    reason: 'an interface of the pod is taken for the device',
    names: ['a veth of its name, MAC and number, and it hidden'],
  },
  {
    kind: 'veth',
    phase: 'ADD',
    reason: 'what the pod has set stays on the device',
    names: ['broadcast address', 'segments of one byte', 'channels'],
  },
  {
    kind: 'veth',
    phase: 'ADD',
    reason: 'an interface of the pod stays on the device',
    names: ['neighbours, groups and bridge entries', 'macvlan bridge', 'macvlan with the MAC of the device'],
  },
  {
    kind: 'veth',
    phase: 'failing ADD',
    reason: 'what the pod has set stays on the device',
    names: ['broadcast address', 'segments of one byte', 'packets steered to a processor'],
  },
  {
    kind: 'veth',
    phase: 'failing ADD',
    reason: 'an interface of the pod stays on the device',
    names: ['a macvlan on it of its name and MAC'],
  },
  {
    kind: 'veth',
    phase: 'racing DEL',
    reason: 'what the pod has set stays on the device',
    sometimes: true,
    names: ['offloads off'],
  },
  {
    kind: 'veth',
    phase: 'racing DEL',
    reason: 'an interface of the pod stays on the device',
    sometimes: true,
    names: ['macvlan private'],
  },
  {
    kind: 'igb',
    phase: 'between',
    reason: 'what the pod has set stays on the device',
    sometimes: true,
    names: [
      'arp off',
      'offloads off',
      'neighbours, groups and bridge entries',
      'hidden in a namespace of its own',
    ],
  },
  {
    kind: 'igb',
    phase: 'between',
    reason: 'a program stays on the device',
    sometimes: true,
    names: ['XDP that a process holds'],
  },
  {
    kind: 'igb',
    phase: 'between',
    reason: 'an interface of the pod stays on the device',
    sometimes: true,
    names: ['macvlan passthru'],
  },
  {
    kind: 'igb',
    phase: 'between',
    reason: 'altnames that a pod has given stay',
    sometimes: true,
    names: ['altnames as fast as it can'],
  },
  {
    kind: 'igb',
    phase: 'failing ADD',
    reason: 'an interface of the pod is taken for the device',
    sometimes: true,
    names: ['a veth of its name'],
  },
  {
    kind: 'igb',
    phase: 'death',
    reason: 'altnames that a pod has given stay',
    sometimes: true,
    names: ['altname of another device'],
  },
  {
    kind: 'igb',
    phase: 'death, GC',
    reason: 'a program stays on the device',
    sometimes: true,
    names: ['XDP'],
  },
  {
    kind: 'dummy',
    phase: 'between',
    reason: 'what the pod has set stays on the device',
    sometimes: true,
    names: ['dormant'],
  },
  {
    kind: 'dummy',
    phase: 'between',
    reason: 'an interface of the pod stays on the device',
    sometimes: true,
    names: ['macvlan private'],
  },
  {
    kind: 'dummy',
    phase: 'between',
    reason: 'a device that is not found counts as gone',
    sometimes: true,
    names: ['a number of its choice', 'hidden in a namespace of its own'],
  },
  {
    kind: 'simnic',
    phase: 'between',
    reason: 'what the pod has set stays on the device',
    sometimes: true,
    names: ['late interrupts', 'a veth of its name, MAC and number, and it hidden'],
  },
  {
    kind: 'simnic',
    phase: 'between',
    reason: 'a program stays on the device',
    sometimes: true,
    names: ['XDP'],
  },
  {
    kind: 'simnic',
    phase: 'between',
    reason: 'an interface of the pod stays on the device',
    sometimes: true,
    names: ['macvtap'],
  },
  {
    kind: 'simnic',
    phase: 'death',
    reason: 'altnames that a pod has given stay',
    sometimes: true,
    names: ['altname of another device'],
  },
]

/** Why a scenario is not expected to hold; undefined when it is. */
export function openReason(kind: Kind, phase: Phase, names: readonly string[]): Open | undefined {
  const name = names.join(' + ')
  return stillOpen.find((one) => one.kind === kind && one.phase === phase && one.names.includes(name))
}
