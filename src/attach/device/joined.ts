/**
 * Finds software by the interface of another namespace to which it is joined: the other end of a pair, or the interface that it
 * stands on. The kernel tells that, also when the pod changes number, name and MAC address.
 */

import type { LinkFacts, LinkPlace } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { hasOwnMac, lowerOf, peerOf } from './identity.ts'
import type { Found, PodView } from './live-state.ts'

/** A pod may move the device between the look at its other end and the look at itself: so often is it looked at again. */
const looks = 3

/** Finds the device that is the other end of the pair whose first end is at `peer`. */
export function findByPeer(
  kernel: Kernel,
  journal: AttachJournal,
  { pod, moved, home }: Pick<PodView, 'pod' | 'moved' | 'home'>,
  peer: LinkPlace,
): Found {
  const { device } = journal
  const here = home === undefined ? undefined : kernel.link('host', home)
  if (here?.kind === device.kind && here?.lower === peer.ifindex)
    return { link: { side: 'host', facts: here } }
  for (let look = 0; look < looks; look++) {
    const end = kernel.otherEnd(peer)
    if (end === undefined || end.kind !== device.kind) return pod ? withoutEnd(kernel, journal) : {}
    const { where, ifindex, netns } = end
    if (where === 'elsewhere' || (where === 'pod' && !pod)) {
      const which =
        netns === undefined
          ? 'a namespace that is ending'
          : `a namespace that the host has the number ${netns} for`
      const words = `the interface is in ${which}, as number ${ifindex} there`
      return { elsewhere: { words, isEnding: netns === undefined } }
    }
    const facts = kernel.link(where, ifindex)
    if (facts === undefined || facts.kind !== device.kind || facts.lower !== peer.ifindex) continue
    // A pair goes with its pod's namespace: what the first end is joined to then was made since.
    const wasHere = ifindex === device.homeIfindex || (moved !== true && ifindex === device.ifindex)
    return where === 'host' && !pod && !wasHere ? {} : { link: { side: where, facts } }
  }
  return { elsewhere: { words: 'the interface does not stay where it is found', isEnding: false } }
}

/**
 * The other end is not where it was: it has ended, and the device with it, or somebody has moved it. An interface of the pod that may be
 * the device is no proof that it is, since a pod can make one like it, and none that it has ended.
 */
function withoutEnd(kernel: Kernel, { device }: AttachJournal): Found {
  const link = device.podIfindex === undefined ? undefined : kernel.link('pod', device.podIfindex)
  if (link === undefined || link.kind !== device.kind || link.lowerNetns === undefined) return {}
  const words = `its other end has left the place where it was at ADD, and nothing tells whether it is "${link.name}" of the pod, number ${link.ifindex} there`
  return { elsewhere: { words, isEnding: false } }
}

/**
 * True when `link`, an interface of the pod, is joined to what the journal says as far as the kernel can tell; also for what is
 * joined to nothing, and for a record of a former version.
 */
export function isJoinedAsBefore(kernel: Kernel, journal: AttachJournal, link: LinkFacts): boolean {
  const peer = peerOf(journal)
  if (peer !== undefined) {
    const end = kernel.otherEnd(peer)
    return end?.where === 'pod' && end.ifindex === link.ifindex && end.kind === journal.device.kind
  }
  const lower = lowerOf(journal)
  if (lower === undefined) return true
  if (link.lower !== lower.ifindex) return false
  const netns = kernel.lowerNetns(link)
  return netns === 'unknown' || netns === lower.netns
}

/** The one interface of the pod that stands where the device stood and has its name or MAC: a way through another namespace changes a number. */
export function findOnLower(kernel: Kernel, journal: AttachJournal, ifname: string): LinkFacts | undefined {
  const lower = lowerOf(journal)
  if (lower === undefined) return undefined
  const found = kernel.links('pod').filter((link) => {
    if (link.kind !== journal.device.kind || link.lower !== lower.ifindex) return false
    return link.name === ifname || hasOwnMac(link, journal)
  })
  const [first] = found
  return first !== undefined && found.length === 1 && isJoinedAsBefore(kernel, journal, first)
    ? first
    : undefined
}
