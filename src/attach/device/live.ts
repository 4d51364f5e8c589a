/** The place of an attached device now: in the pod, on the host, or in neither; and its attributes on its PF. */

import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { parsePciAddress } from '../../lib/pci-address.ts'
import { findByName } from '../../nic/by-name.ts'
import { type PciFunction, readAuxDevice, readPciFunction } from '../../nic/pci.ts'
import type { Side } from '../../ops/op.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { spareNames } from '../state/spare-names.ts'
import { readVfFacts } from './facts.ts'
import { isAtHome, isInPod, isSoftware, isSole, peerOf } from './identity.ts'
import { findByPeer, findOnLower, isJoinedAsBefore } from './joined.ts'
import type { Found, LiveState, PodView } from './live-state.ts'
import { lookAtResidue } from './residue.ts'

/** `gone` when the device does not exist any more: a removed VF, a software interface that died with its namespace. */
export function readLive(kernel: Kernel, before: AttachJournal, view: PodView): LiveState | 'gone' {
  const { device, original } = before
  const pci = pciOf(before)
  // The virtio<N> of a function is another one each time that its driver begins.
  const journal = pci === undefined ? before : { ...before, device: { ...device, parents: [...pci.parents] } }
  const netdevs = pci?.netdevs ?? readAuxDevice(device.id)?.netdevs
  // Hardware on another bus (USB, a platform's own) is known by its interface alone.
  const isKnown = netdevs !== undefined || (device.pci === undefined && device.id.startsWith('netdev:'))
  if (!isKnown) return 'gone'

  const { link, elsewhere }: Found =
    original.link === undefined ? {} : locate(kernel, journal, view, netdevs ?? [])
  if (isSoftware(journal) && link === undefined && elsewhere === undefined) return 'gone'

  const vf = pci === undefined || original.vf === undefined ? undefined : readVfFacts(kernel, pci)
  const own = link?.side === 'host' ? link.facts.ifindex : undefined
  const isTaken = (name: string) => {
    const holder = kernel.link('host', name)
    return holder !== undefined && holder.ifindex !== own
  }
  const names = [original.link?.name ?? [], original.link?.altnames ?? []].flat()
  const taken = new Set(names.filter(isTaken))
  const master = link?.side === 'host' ? link.facts.master : undefined
  const masters = [original.link?.master ?? [], original.representor?.master ?? []].flat()
  const lost = masters.filter((name) => name !== '' && kernel.link('host', name) === undefined)
  return {
    vf,
    representor: vf?.representor,
    taken,
    ...(lost.length === 0 ? {} : { lostMasters: new Set(lost) }),
    spare: taken.has(original.link?.name ?? '')
      ? spareNames(device).find((name) => !isTaken(name))
      : undefined,
    homeIfindex:
      link?.side === 'pod' ? freeIfindex(kernel, 'host', device.homeIfindex ?? device.ifindex) : undefined,
    link,
    ...(elsewhere === undefined ? {} : { elsewhere }),
    ...lookAtResidue(kernel, link, view.pod),
    master: master === undefined ? undefined : masterName(kernel, master),
  }
}

/** Numbers that are tried where the wanted one is taken: above all that a kernel counts up to on ordinary nodes. */
const [firstSpare, spares] = [100_000, 900_000]

/**
 * A number that no interface of the side has: `wanted`, or any other. Never one that the pod chose: a rule of the host may be left
 * that means an interface by its number. By asking for numbers, and not for all interfaces: a pod can have ten thousands.
 */
export function freeIfindex(kernel: Kernel, side: Side, wanted?: number): number {
  let number = wanted ?? firstSpare + Math.floor(Math.random() * spares)
  while (kernel.link(side, number) !== undefined) number = firstSpare + Math.floor(Math.random() * spares)
  return number
}

/** The PCI function of a journal's device; undefined for other devices and for one that is gone. */
export function pciOf({ device }: AttachJournal): PciFunction | undefined {
  const address = device.pci === undefined ? undefined : parsePciAddress(device.pci)
  return address === undefined ? undefined : readPciFunction(address)
}

/** By its other end where that is known, else by its own marks. */
function locate(kernel: Kernel, journal: AttachJournal, view: PodView, netdevs: readonly string[]): Found {
  const peer = peerOf(journal)
  if (peer !== undefined) return findByPeer(kernel, journal, view, peer)
  const link = findLink(kernel, journal, view, netdevs)
  return link === undefined ? {} : { link }
}

/** The device in the pod, after a move there; undefined when it is not there. */
export function findMoved(kernel: Kernel, journal: AttachJournal, ifname: string): LinkFacts | undefined {
  const peer = peerOf(journal)
  const view = { pod: true, ifname, moved: true }
  if (peer === undefined) return findInPod(kernel, journal, view)
  const { link } = findByPeer(kernel, journal, view, peer)
  return link?.side === 'pod' ? link.facts : undefined
}

/**
 * A function with one interface is looked for on the host first: sysfs has told already. Of everything else the pod comes
 * first: a record that names a number there is surer than anything on the host.
 */
function findLink(
  kernel: Kernel,
  journal: AttachJournal,
  view: PodView,
  netdevs: readonly string[],
): LiveState['link'] {
  const onHost = (): LiveState['link'] => {
    const facts = findOnHost(kernel, journal, view, netdevs)
    return facts === undefined ? undefined : { side: 'host', facts }
  }
  const inPod = (): LiveState['link'] => {
    const facts = view.pod ? findInPod(kernel, journal, view) : undefined
    return facts === undefined ? undefined : { side: 'pod', facts }
  }
  return isSole(journal) ? (onHost() ?? inPod()) : (inPod() ?? onHost())
}

function findOnHost(
  kernel: Kernel,
  journal: AttachJournal,
  { moved, pod }: PodView,
  netdevs: readonly string[],
): LinkFacts | undefined {
  const { device, original } = journal
  const isIt = (link: LinkFacts) => isAtHome(link, journal, moved, pod)
  if (isSole(journal)) {
    const again = () => pciOf(journal)?.netdevs ?? readAuxDevice(device.id)?.netdevs ?? []
    return findByName(netdevs, again, ([name = '']) => {
      const link = name === '' ? undefined : kernel.link('host', name)
      return link !== undefined && isIt(link) ? link : undefined
    })
  }
  const numbers = [device.homeIfindex, device.ifindex].filter((number) => number !== undefined)
  const candidates = [...numbers, original.link?.name ?? '', ...(device.parents.length === 0 ? [] : netdevs)]
  for (const candidate of candidates) {
    const link = candidate === '' ? undefined : kernel.link('host', candidate)
    if (link !== undefined && isIt(link)) return link
  }
  return undefined
}

function findInPod(
  kernel: Kernel,
  journal: AttachJournal,
  { ifname, moved }: PodView,
): LinkFacts | undefined {
  const isIt = (link: LinkFacts) =>
    isInPod(link, journal, ifname, moved) && isJoinedAsBefore(kernel, journal, link)
  const { podIfindex } = journal.device
  const numbered = podIfindex === undefined ? undefined : kernel.link('pod', podIfindex)
  if (numbered !== undefined && isIt(numbered)) return numbered
  // Software is found by its number or by what it stands on; hardware may have been away and come back.
  if (podIfindex !== undefined && journal.device.parents.length === 0)
    return findOnLower(kernel, journal, ifname)
  const found = kernel.links('pod').filter(isIt)
  return found.length === 1 ? found[0] : found.find(({ name }) => name === ifname)
}

function masterName(kernel: Kernel, ifindex: number): string | undefined {
  return kernel.links('host').find((link) => link.ifindex === ifindex)?.name
}
