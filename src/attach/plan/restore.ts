/** The way back from any state to the one in the journal: the operations of DEL, GC and a failed ADD. Pure. */
import { isSameAddress, noMac } from '../../lib/mac.ts'
import { pick } from '../../lib/pick.ts'
import type { LinkAttributes, Op, VfAttributes } from '../../ops/op.ts'
import { differingVf, vfAttributeNames, vfAttributes } from '../../ops/vf-attributes.ts'
import type { AttachJournal, Original } from '../../records/attach.ts'
import type { LiveState } from '../device/live-state.ts'
import { differingTraits, planClean } from '../device/residue.ts'
import { spareName } from '../state/spare-names.ts'

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
    const { mac, ...others } = differingVf(comparable(journal, live), live.vf.attributes)
    const own = original.vf.mac === noMac && live.vf.attributes.mac === original.link?.mac
    // The PF may report a MAC that the VF has chosen. Then the VF has to tell it again: a MAC set by the PF is administrative and stays.
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
const legacyOnly = vfAttributeNames.filter((name) => {
  const { inSwitchdev } = vfAttributes[name]
  return inSwitchdev !== 'kept' && inSwitchdev.isRefused
})

/**
 * Attributes that DEL can't lead back because the PF's eSwitch has another mode than at ADD: they can be neither
 * compared nor set, or what was reported for them in switchdev mode must not be set in legacy mode.
 */
export function keptByMode(journal: AttachJournal, live: LiveState): readonly (keyof VfAttributes)[] {
  const { vf, switchdev } = journal.original
  const { vf: now } = live
  if (vf === undefined || now === undefined || switchdev === undefined || switchdev === now.switchdev)
    return []
  return legacyOnly.filter((key) => Object.hasOwn(differingVf(vf, now.attributes), key))
}

/** The PF-side attributes to lead back to. */
function comparable(journal: AttachJournal, live: LiveState): VfAttributes {
  const kept: readonly string[] = keptByMode(journal, live)
  const entries = Object.entries(journal.original.vf ?? {})
  return Object.fromEntries(entries.filter(([key]) => !kept.includes(key)))
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
  // The interface leaves a master of the pod first: a bond gives its MAC to its slaves and takes it back on release.
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
