import type { LinkAttributes, LinkMove, LinkOp, LinkSet, LinkTraits, OpOf } from '../op.ts'
import { vfWords } from '../vf-attributes.ts'
import { type Kinds, sideOf, verb } from './kind.ts'

/** Interfaces and their devices. */
export const linkKinds: Kinds<LinkOp['do']> = {
  'vf.set': {
    side: 'host',
    line: (op) => `ip link set dev ${op.pf} vf ${op.vf} ${vfWords(op.set)}`,
    undo: (op) => ({ ...op, set: op.was, was: op.set }),
  },
  'link.move': {
    side: ({ from }) => from,
    line: (op) => `ip link set dev ${op.name} netns ${op.to} name ${op.newName}`,
    undo: moveBack,
  },
  'link.set': {
    side: sideOf,
    line: (op) => `ip link set dev ${op.name} ${linkWords(op.set)}`,
    undo: setBack,
  },
  'altname.add': { side: sideOf, line: altnameLine, undo: 'altname.del' },
  'altname.del': { side: sideOf, line: altnameLine, undo: 'altname.add' },
  'bridge.vlan.add': { side: sideOf, line: bridgeVlanLine, undo: 'bridge.vlan.del' },
  'bridge.vlan.del': { side: sideOf, line: bridgeVlanLine, undo: 'bridge.vlan.add' },
  'driver.rebind': {
    side: 'host',
    line: ({ pci, driver }) =>
      `echo ${pci} | tee ${['unbind', 'bind'].map((file) => `/sys/bus/pci/drivers/${driver}/${file}`).join(' ')}`,
    undo: { none: 'the driver has its device again' },
  },
  'function.reset': {
    side: 'host',
    line: (op) => `echo 1 > /sys/bus/pci/devices/${op.pci}/reset`,
    undo: { none: 'the state before a reset is gone' },
  },
}

/**
 * A move may have given the interface another number: its inverse goes by the name, and asks for the number before, by which other
 * operations may know the interface.
 */
function moveBack({ from, name, ifindex, to, newName, newIfindex }: LinkMove): LinkMove {
  const back: LinkMove = { do: 'link.move', from: to, name: newName, to: from, newName: name }
  return {
    ...back,
    ...(newIfindex === undefined ? {} : { ifindex: newIfindex }),
    ...(ifindex === undefined ? {} : { newIfindex: ifindex }),
  }
}

function setBack({ side, name, ifindex, set, was }: LinkSet): LinkSet {
  return { do: 'link.set', side, name, ...(ifindex === undefined ? {} : { ifindex }), set: was, was: set }
}

function altnameLine(op: OpOf<'altname.add'>): string {
  return `ip link property ${verb(op.do)} dev ${op.name} altname ${op.altname}`
}

function bridgeVlanLine({ do: kind, link, vlan: { vid, pvid, untagged } }: OpOf<'bridge.vlan.add'>): string {
  const words = `${pvid ? ' pvid' : ''}${untagged ? ' untagged' : ''}`
  return `bridge vlan ${verb(kind)} dev ${link} vid ${vid}${words}`
}

function linkWords(set: LinkAttributes): string {
  const words: string[] = []
  if (set.mac !== undefined) words.push(`address ${set.mac}`)
  if (set.mtu !== undefined) words.push(`mtu ${set.mtu}`)
  if (set.txqlen !== undefined) words.push(`txqueuelen ${set.txqlen}`)
  if (set.promisc !== undefined) words.push(`promisc ${set.promisc ? 'on' : 'off'}`)
  if (set.allmulti !== undefined) words.push(`allmulticast ${set.allmulti ? 'on' : 'off'}`)
  if (set.master !== undefined) words.push(set.master === '' ? 'nomaster' : `master ${set.master}`)
  if (set.traits !== undefined) words.push(...traitWords(set.traits))
  if (set.up !== undefined) words.push(set.up ? 'up' : 'down')
  // The last word of ip's line: an alias may have spaces.
  if (set.alias !== undefined) words.push(`alias ${quoted(set.alias)}`)
  return words.join(' ')
}

/** IFF_NOARP, IFF_MULTICAST and IFF_DYNAMIC of linux/if.h, in ip's words. */
const flagWords = [
  [0x80, 'arp off', 'arp on'],
  [0x1000, 'multicast on', 'multicast off'],
  [0x8000, 'dynamic on', 'dynamic off'],
] as const
const modes = ['default', 'dormant', 'testing']

function traitWords(traits: LinkTraits): string[] {
  const { flags, mode, broadcast, protoDown, carrier } = traits
  const numbers = {
    group: traits.group,
    gso_max_size: traits.gsoMaxSize,
    gso_max_segs: traits.gsoMaxSegs,
    gro_max_size: traits.groMaxSize,
    gso_ipv4_max_size: traits.gsoIpv4MaxSize,
    gro_ipv4_max_size: traits.groIpv4MaxSize,
  }
  return [
    ...(flags === undefined ? [] : flagWords.map(([bit, on, off]) => ((flags & bit) === 0 ? off : on))),
    ...(mode === undefined ? [] : [`mode ${modes[mode] ?? mode}`]),
    ...(broadcast === undefined ? [] : [`broadcast ${broadcast}`]),
    ...(protoDown === undefined ? [] : [`protodown ${protoDown ? 'on' : 'off'}`]),
    ...(carrier === undefined ? [] : [`carrier ${carrier ? 'on' : 'off'}`]),
    ...Object.entries(numbers).flatMap(([word, value]) => (value === undefined ? [] : [`${word} ${value}`])),
  ]
}

function quoted(text: string): string {
  return /^[\w.:@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
