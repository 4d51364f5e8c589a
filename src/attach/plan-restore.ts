/** The way back from any state to the one in the journal: what DEL, GC and a failed ADD do. Pure. */
import type { LinkFacts, Residue } from '../kernel/facts.ts'
import { isSameAddress, noMac } from '../lib/mac.ts'
import { pick } from '../lib/pick.ts'
import type { LinkAttributes, Op, VfAttributes } from '../ops/op.ts'
import type { AttachJournal, Original } from './record.ts'
import { differingTraits, planClean } from './residue.ts'

/** The live state that a restore starts from. */
export interface LiveState {
  /** PF-side attributes now; undefined when the PF or VF is gone. */
  readonly vf:
    | {
        readonly pfName: string
        readonly index: number
        readonly attributes: VfAttributes
        readonly switchdev: boolean
      }
    | undefined
  /** The interface now and the side it is on; undefined when it is on neither. */
  readonly link: { readonly side: 'host' | 'pod'; readonly facts: LinkFacts } | undefined
  /** Where an interface is that exists and is on neither side; `isEnding`: in a namespace that the kernel is taking apart. */
  readonly elsewhere?: { readonly words: string; readonly isEnding: boolean } | undefined
  /** The VF's representor now; undefined in legacy mode. */
  readonly representor: { readonly link: LinkFacts; readonly master: string | undefined } | undefined
  /** Name of what the interface is enslaved to on the host. */
  readonly master?: string | undefined
  /** A name that no interface of the host has, where that of the interface is taken. */
  readonly spare?: string | undefined
  /** For an interface in the pod: the number that it gets on the host, which no other interface there has. */
  readonly homeIfindex?: number | undefined
  /** Masters before ADD that the host does not have any more. */
  readonly lostMasters?: ReadonlySet<string>
  /** Interfaces of the pod that lie on the device's. */
  readonly uppers?: readonly LinkFacts[]
  /** What else is on it, once it is on the host. */
  readonly residue?: Residue
  /** Of the interface's names before ADD, those that another interface of the host has now. */
  readonly taken: ReadonlySet<string>
}

/**
 * Operations of a DEL that lead from any state back to the journal's original one: only what differs is changed.
 * PF side first, for the reason above, each attribute by itself, so that one that the driver refuses now keeps no other
 * from being restored; the interface comes home down, gets its own MAC and MTU, then its flags. Where its name was
 * given to another interface meanwhile it comes home under one made from its PCI address.
 *
 * `first` = nothing was restored yet. Then an administrative MAC that ADD has set is taken away, and the interface
 * told its own MAC afterwards even if it has it: on igb "no administrative MAC" also empties the VF's receive filter,
 * and a VF that is left so looks as before and receives nothing. Where the operator had given an administrative MAC that
 * the VF did not use yet, it is set again last: while it stands the driver refuses the VF its own.
 */
export function planRestore(journal: AttachJournal, live: LiveState, first: boolean): Op[] {
  const ops: Op[] = []
  const { original, macSet } = journal
  const ownMac = live.link === undefined ? undefined : original.link?.mac
  const setLast =
    ownMac !== undefined && original.vf?.mac !== noMac && original.vf?.mac !== ownMac
      ? original.vf?.mac
      : undefined
  // With another address than its own the VF has been told the PF's, by ADD or by a driver that was bound anew.
  const isOther = setLast !== undefined && live.link?.facts.mac !== ownMac
  const clearMac = first && (isOther || (macSet === true && original.vf?.mac === noMac))
  if (live.vf !== undefined && original.vf !== undefined) {
    const { mac, ...others } = differing(comparable(journal, live), live.vf.attributes)
    const own = original.vf.mac === noMac && live.vf.attributes.mac === original.link?.mac
    // Where a PF reports what its VF has chosen, that has to tell it again: set by the PF it would be administrative, and stay.
    const isTold = first && macSet !== true && original.vf.mac === ownMac && live.link?.facts.mac !== ownMac
    // A PF that reports the VF's own MAC where it reported none is in the same state: the VF has told it by itself.
    const set = clearMac
      ? { mac: noMac, ...others }
      : mac === undefined || own || isTold
        ? others
        : { mac, ...others }
    for (const [key, value] of Object.entries(set)) {
      const one: VfAttributes = { [key]: value }
      const was = pick(live.vf.attributes, one)
      ops.push({ do: 'vf.set', pf: live.vf.pfName, vf: live.vf.index, set: one, was })
    }
  }
  ops.push(...planRepresentorRestore(journal, live))
  if (live.link !== undefined && original.link !== undefined) {
    const altnames = original.link.altnames.filter((altname) => !live.taken.has(altname))
    const name = live.taken.has(original.link.name)
      ? (live.spare ?? spareName(journal.device))
      : original.link.name
    const { master, ...own } = original.link
    const port = master === undefined || live.lostMasters?.has(master) === true ? {} : { master }
    const home = { ...own, ...port, name, altnames }
    ops.push(...planClean(journal, live, live.link))
    ops.push(...planLinkRestore(home, live, live.link, clearMac))
  }
  if (clearMac && setLast !== undefined && live.vf !== undefined) {
    const { pfName, index } = live.vf
    ops.push({ do: 'vf.set', pf: pfName, vf: index, set: { mac: setLast }, was: { mac: noMac } })
  }
  return ops
}

/** Attributes that a PF refuses in switchdev mode, and then reports as it likes (spoofchk off on mlx5). */
const legacyOnly = ['vlan', 'spoofchk', 'trust'] as const

/**
 * Attributes that DEL can't lead back because the PF's eSwitch has another mode than at ADD: they can be neither
 * compared nor set, or what was reported for them in switchdev mode must not be set in legacy mode.
 */
export function keptByMode(journal: AttachJournal, live: LiveState): readonly (typeof legacyOnly)[number][] {
  const { vf, switchdev } = journal.original
  const { vf: now } = live
  if (vf === undefined || now === undefined || switchdev === undefined || switchdev === now.switchdev)
    return []
  return legacyOnly.filter((key) => Object.hasOwn(differing(vf, now.attributes), key))
}

/** The PF-side attributes to lead back to. */
function comparable(journal: AttachJournal, live: LiveState): VfAttributes {
  const kept: readonly string[] = keptByMode(journal, live)
  const entries = Object.entries(journal.original.vf ?? {})
  return Object.fromEntries(entries.filter(([key]) => !kept.includes(key)))
}

/**
 * A name that no other interface has: `vf0000011000` for 0000:01:10.0, and by the interface's number for what is no
 * PCI function; 15 characters at most (IFNAMSIZ - 1).
 */
export function spareName({ pci, ifindex }: AttachJournal['device']): string {
  return pci === undefined ? `vf-if${ifindex ?? 0}` : `vf${pci.replaceAll(/[:.]/g, '')}`
}

/** That name and others like it, for when it is taken too. */
export function spareNames(device: AttachJournal['device']): readonly string[] {
  const name = spareName(device)
  return [name, ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((number) => `${name.slice(0, 13)}-${number}`)]
}

function planLinkRestore(
  original: NonNullable<Original['link']>,
  { master, homeIfindex }: LiveState,
  { side, facts: now }: NonNullable<LiveState['link']>,
  tellMac: boolean,
): Op[] {
  const ops: Op[] = []
  const { name } = original
  const moves = side === 'pod' || now.name !== name
  // An altname that the pod gave and the host has in use keeps the interface from coming home, and none can take a name
  // that is its own altname. At home one that it did not have would be a name that the pod has chosen.
  const isKnown = side === 'pod' || original.traits !== undefined
  const inTheWay = now.altnames.filter(
    (altname) =>
      (isKnown && !original.altnames.includes(altname)) || (side === 'host' && moves && altname === name),
  )
  const here = { side, name: now.name, ifindex: now.ifindex } as const
  for (const altname of inTheWay) ops.push({ do: 'altname.del', ...here, altname })
  // What the app enslaved it to lets go first: a bond gives its MAC to its slaves and takes it back on release.
  const enslaved = side === 'pod' && now.master !== undefined
  // A VF whose PF has set its MAC takes that one only while it is down (igbvf): it may be up here since an earlier try.
  const isOwnMac = isSameAddress(now.mac, original.mac)
  const isDown = moves || !isOwnMac
  const leave: LinkAttributes = {
    ...(now.up && isDown ? { up: false } : {}),
    ...(enslaved ? { master: '' } : {}),
  }
  if (Object.keys(leave).length > 0) ops.push({ do: 'link.set', ...here, set: leave, was: { up: now.up } })
  if (moves) {
    const number = side === 'host' || homeIfindex === undefined ? {} : { newIfindex: homeIfindex }
    const move = { from: side, name: now.name, ifindex: now.ifindex, to: 'host', newName: name } as const
    ops.push({ do: 'link.move', ...move, ...number })
  }
  const plain = { alias: now.alias, promisc: now.promisc, allmulti: now.allmulti, txqlen: now.txqlen }
  const set: LinkAttributes = {
    ...(isOwnMac && !tellMac ? {} : { mac: original.mac }),
    ...(now.mtu === original.mtu ? {} : { mtu: original.mtu }),
    ...changed(plain, original),
  }
  const was = { mac: now.mac, mtu: now.mtu, ...plain }
  const number = side === 'host' ? now.ifindex : homeIfindex
  const home = { side: 'host', name, ...(number === undefined ? {} : { ifindex: number }) } as const
  if (Object.keys(set).length > 0) ops.push({ do: 'link.set', ...home, set, was: pick(was, set) })
  const traits = differingTraits(now.traits, original.traits)
  if (Object.keys(traits).length > 0) {
    // By itself: a trait that the driver refuses keeps nothing else from being restored.
    ops.push({ do: 'link.set', ...home, set: { traits }, was: { traits: pick(now.traits ?? {}, traits) } })
  }
  const up = isDown ? false : now.up
  const last: LinkAttributes = {
    ...(original.master !== undefined && (moves || master !== original.master)
      ? { master: original.master }
      : {}),
    ...(up === original.up ? {} : { up: original.up }),
  }
  if (Object.keys(last).length > 0)
    ops.push({ do: 'link.set', ...home, set: last, was: pick({ up, master: '' }, last) })
  for (const altname of original.altnames) {
    if (!now.altnames.includes(altname)) ops.push({ do: 'altname.add', ...home, altname })
  }
  return ops
}

/** Of the attributes of `now`, those that the journal has with another value. */
function changed(now: LinkAttributes, original: NonNullable<Original['link']>): LinkAttributes {
  const entries = Object.keys(now).map((key) => [key, original[key as keyof typeof original]] as const)
  return Object.fromEntries(
    entries.filter(([key, value]) => value !== undefined && value !== now[key as keyof LinkAttributes]),
  )
}

/** The representor leaves the bridge that ADD made it join, which takes its VLANs away, and is as before. */
function planRepresentorRestore({ original }: AttachJournal, live: LiveState): Op[] {
  const { representor: now } = live
  if (original.representor === undefined || now === undefined) return []
  const { up, mtu } = original.representor
  const former = original.representor.master ?? ''
  const master = live.lostMasters?.has(former) === true ? '' : former
  const place = { side: 'host', name: now.link.name, ifindex: now.link.ifindex } as const
  const set: LinkAttributes = {
    ...((now.master ?? '') === master ? {} : { master }),
    ...(now.link.mtu === mtu ? {} : { mtu }),
    ...(now.link.up === up ? {} : { up }),
  }
  const was = pick({ master: now.master ?? '', mtu: now.link.mtu, up: now.link.up }, set)
  return Object.keys(set).length === 0 ? [] : [{ do: 'link.set', ...place, set, was }]
}

function differing(wanted: VfAttributes, now: VfAttributes): VfAttributes {
  const entries = Object.entries(wanted) as [keyof VfAttributes, unknown][]
  return Object.fromEntries(
    entries.filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(now[key])),
  )
}
