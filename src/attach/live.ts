/** Where an attached device is now: in the pod, on the host, or in neither, and how its PF sees it. */
import type { LinkFacts } from '../kernel/facts.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { parsePciAddress } from '../lib/pci-address.ts'
import { type PciFunction, readAuxDevice, readPciFunction } from '../nic/pci.ts'
import { readVfFacts } from './facts.ts'
import type { LiveState } from './plan-restore.ts'
import type { AttachJournal } from './record.ts'

/** What of the pod can be looked at: `pod` is false when its namespace is gone. */
export interface PodView {
  readonly pod: boolean
  /** CNI_IFNAME. */
  readonly ifname: string
  /** False in an ADD that fails before its move: an interface that is on neither side then was taken by somebody else. */
  readonly moved?: boolean
}

/** `gone` when the device does not exist any more: a removed VF, a software interface that died with its namespace. */
export function readLive(kernel: Kernel, journal: AttachJournal, view: PodView): LiveState | 'gone' {
  const { device, original } = journal
  const pci = pciOf(journal)
  const netdevs = pci?.netdevs ?? readAuxDevice(device.id)?.netdevs
  const isSoftware = device.pci === undefined && device.parents.length === 0
  // Hardware on another bus (USB, a platform's own) is known by its interface alone.
  const isKnown = netdevs !== undefined || (device.pci === undefined && device.id.startsWith('netdev:'))
  if (!isKnown) return 'gone'

  const onHost = original.link === undefined ? undefined : findOnHost(kernel, journal, netdevs ?? [])
  const inPod = onHost === undefined && view.pod ? findInPod(kernel, journal, view.ifname) : undefined
  if (isSoftware && onHost === undefined && inPod === undefined) return 'gone'

  const vf = pci === undefined || original.vf === undefined ? undefined : readVfFacts(kernel, pci)
  const names = [original.link?.name ?? [], original.link?.altnames ?? []].flat()
  const own = onHost?.ifindex
  const taken = names.filter((name) => {
    const holder = kernel.link('host', name)
    return holder !== undefined && holder.ifindex !== own
  })
  return {
    vf,
    representor: vf?.representor,
    taken: new Set(taken),
    link:
      onHost !== undefined
        ? { side: 'host', facts: onHost }
        : inPod !== undefined
          ? { side: 'pod', facts: inPod }
          : undefined,
    master: onHost?.master === undefined ? undefined : masterName(kernel, onHost.master),
  }
}

/** The PCI function of a journal's device; undefined for other devices and for one that is gone. */
export function pciOf({ device }: AttachJournal): PciFunction | undefined {
  const address = device.pci === undefined ? undefined : parsePciAddress(device.pci)
  return address === undefined ? undefined : readPciFunction(address)
}

function findOnHost(
  kernel: Kernel,
  journal: AttachJournal,
  netdevs: readonly string[],
): LinkFacts | undefined {
  const { device, original } = journal
  const ownName = device.id.startsWith('netdev:')
  if (!ownName) return netdevs[0] === undefined ? undefined : kernel.link('host', netdevs[0])
  // One of several interfaces of a function, or a software interface: the number says which, as long as it has kept it.
  const name = original.link?.name ?? ''
  const candidates = [
    kernel.link('host', name),
    ...(device.parents.length === 0 ? [] : netdevs.map((one) => kernel.link('host', one))),
  ]
  return candidates.find(
    (link) => link !== undefined && isDevice(link, journal) && isSame(link, journal, name),
  )
}

function findInPod(kernel: Kernel, journal: AttachJournal, ifname: string): LinkFacts | undefined {
  const candidates = kernel.links('pod').filter((link) => isDevice(link, journal))
  if (candidates.length === 1 && journal.device.parents.length > 0) return candidates[0]
  return candidates.find((link) => isSame(link, journal, ifname))
}

/** True when an interface belongs to the journal's device, as far as its parent and kind tell. */
function isDevice(link: LinkFacts, { device }: AttachJournal): boolean {
  if (device.parents.length > 0) return link.parent !== undefined && device.parents.includes(link.parent)
  return link.parent === undefined && link.kind === device.kind
}

/** Of several interfaces that it could be: the one with its number, its name or its permanent MAC. */
function isSame(link: LinkFacts, { device, original }: AttachJournal, name: string): boolean {
  if (link.ifindex === device.ifindex) return true
  if (device.permanentMac !== undefined) return link.permanentMac === device.permanentMac
  return link.name === name && (device.parents.length > 0 || link.mac === original.link?.mac)
}

function masterName(kernel: Kernel, ifindex: number): string | undefined {
  return kernel.links('host').find((link) => link.ifindex === ifindex)?.name
}
