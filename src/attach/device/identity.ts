/**
 * Tells the interface that is the device of a journal. A number, a name or a MAC address alone says nothing: the pod and the host
 * number their interfaces each for itself, and anybody can set names and addresses. Pure.
 *
 * Hardware is known by its parent device (IFLA_PARENT_DEV_NAME), which the kernel reports in every namespace. One of several
 * interfaces of a function is known by its number in a namespace beside that, or by its permanent MAC address or port name.
 * Software is known by its kind and by the number that we gave it in that namespace, which the record has from before
 * the move. A pod can take that number from it and give it to another one, so what is joined to an interface of another
 * namespace is known by that first (device/joined.ts). What is joined to nothing, a dummy or an ifb, has no mark that a pod
 * can't give another one.
 */

import type { LinkFacts, LinkPlace } from '../../kernel/api/facts.ts'
import { hostNetns } from '../../lib/host-netns.ts'
import { isSameAddress } from '../../lib/mac.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { spareNames } from '../state/spare-names.ts'
import type { Moved } from './live-state.ts'

/** True when the journal's interface is all that its device has: the parent alone tells then. */
export function isSole({ device }: AttachJournal): boolean {
  return device.parents.length > 0 && !device.id.startsWith('netdev:')
}

/** True for what ends with its namespace, as the kernel takes no other software home (default_device_exit_net). */
export function isSoftware({ device }: AttachJournal): boolean {
  return device.pci === undefined && device.parents.length === 0 && device.kind !== undefined
}

/** Kinds of interfaces that are made in pairs. */
const pairs: ReadonlySet<string> = new Set(['veth', 'netkit', 'vxcan'])

/** The place of the other end of a pair; undefined for other devices, and in records of former versions. */
export function peerOf(journal: AttachJournal): LinkPlace | undefined {
  const place = lowerOf(journal)
  return place !== undefined && pairs.has(journal.device.kind ?? '') ? place : undefined
}

/** The place of the interface that a device of software stands on, or of the other end of its pair. */
export function lowerOf(journal: AttachJournal): LinkPlace | undefined {
  const { lower, lowerNetns } = journal.device
  if (!isSoftware(journal) || lower === undefined || lower === 0 || lowerNetns === undefined) return undefined
  return { ifindex: lower, netns: lowerNetns }
}

/** True when an interface is of the journal's device or kind: without that it is another one, whatever else fits. */
export function isOfDevice(link: LinkFacts, { device }: AttachJournal): boolean {
  if (device.parents.length > 0) return link.parent !== undefined && device.parents.includes(link.parent)
  return link.parent === undefined && link.kind === device.kind
}

/** True when `link`, an interface of the pod called `ifname` by ADD, is the journal's. */
export function isInPod(link: LinkFacts, journal: AttachJournal, ifname: string, moved: Moved): boolean {
  if (!isOfDevice(link, journal)) return false
  if (isSole(journal)) return true
  const { device } = journal
  if (device.podIfindex !== undefined) {
    // An ADD that was killed before its move leaves the number to whoever comes.
    const isOurs = moved === true || link.name === ifname || hasOwnMac(link, journal)
    return link.ifindex === device.podIfindex && isOurs && !contradicts(link, journal)
  }
  if (hasUniqueMark(link, journal)) return true
  // Of a former version: one mark may fit by chance.
  const marks = [link.ifindex === device.ifindex, link.name === ifname, hasOwnMac(link, journal)]
  return !contradicts(link, journal) && marks.filter((fits) => fits).length >= 2
}

/** True when `link`, an interface of the host, is the journal's. `inPod`: the pod can be looked at. */
export function isAtHome(link: LinkFacts, journal: AttachJournal, moved: Moved, inPod: boolean): boolean {
  if (!isOfDevice(link, journal)) return false
  if (isSole(journal)) return true
  const { device, original } = journal
  if (hasUniqueMark(link, journal)) return true
  if (contradicts(link, journal) || standsElsewhere(link, journal)) return false
  const names = [original.link?.name ?? '', ...(original.link?.altnames ?? [])]
  const isNamed = names.includes(link.name)
  const isMarked = hasOwnMac(link, journal)
  // A DEL that was killed between its note and the move leaves the number to whoever comes.
  if (device.homeIfindex !== undefined && link.ifindex === device.homeIfindex)
    return isNamed || isMarked || spareNames(device).includes(link.name)
  // It was never away, so that it still has its number.
  if (moved !== true) return link.ifindex === device.ifindex && (isNamed || isMarked)
  // Somebody else has taken it home. What died with its namespace nobody can have.
  return (inPod || !isSoftware(journal)) && isNamed && isMarked
}

/** A mark that no other interface of the function, or of the node, has. */
function hasUniqueMark(link: LinkFacts, { device }: AttachJournal): boolean {
  // Ports of one function may have the same permanent MAC.
  if (device.parents.length > 0 && device.portName !== undefined && link.physPortName !== undefined)
    return link.physPortName === device.portName
  return device.permanentMac !== undefined && link.permanentMac === device.permanentMac
}

/** A mark that can't have changed is another one. */
function contradicts(link: LinkFacts, { device }: AttachJournal): boolean {
  const { permanentMac, portName, lower, kind } = device
  if (permanentMac !== undefined && link.permanentMac !== permanentMac) return true
  if (device.parents.length > 0 && portName !== undefined && link.physPortName !== portName) return true
  // A veth's peer may be moved; what a macvlan or a VLAN is on is for life.
  return lower !== undefined && kind !== 'veth' && link.lower !== undefined && link.lower !== lower
}

/** True for an interface of the host that stands on one of another namespace than the journal's. */
export function standsElsewhere({ lowerNetns }: LinkFacts, journal: AttachJournal): boolean {
  const lower = lowerOf(journal)
  return lower !== undefined && journal.device.kind !== 'veth' && (lowerNetns ?? hostNetns) !== lower.netns
}

/** True for an interface with the MAC address that the device had, or has for good. */
export function hasOwnMac(link: LinkFacts, { device, original }: AttachJournal): boolean {
  const { permanentMac } = device
  return (
    isSameAddress(link.mac, original.link?.mac) || (permanentMac !== undefined && link.mac === permanentMac)
  )
}
