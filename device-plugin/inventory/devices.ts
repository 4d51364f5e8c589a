/** Puts the facts of one device together. */
import type { NetworkLink } from '../../src/kernel/api/network-facts.ts'
import type { PciAddress } from '../../src/lib/pci-address.ts'
import { placeOfPort } from '../../src/nic/representor.ts'
import type { PciFacts } from './functions.ts'
import { type Interface, netdevOf } from './interfaces.ts'
import type { PfFacts } from './pfs.ts'
import { hiddenRdma, rdmaOf } from './rdma.ts'
import type { Device, Rdma, Vdpa } from './snapshot.ts'
import type { SfFacts } from './subfunctions.ts'
import { isEnabled, uioOf, vfioOf } from './userspace.ts'

/** What all devices of a scan share. */
export interface DeviceParts {
  readonly pfs: ReadonlyMap<PciAddress, PfFacts>
  readonly positions: ReadonlyMap<PciAddress, { readonly pf: PfFacts; readonly index: number }>
  readonly vdpas: ReadonlyMap<string, Vdpa>
  readonly ddpProfiles: ReadonlyMap<string, string>
  readonly rdmaEnabled: ReadonlySet<string>
  readonly hasManager: boolean
  readonly hostUses: (links: readonly NetworkLink[]) => readonly string[]
}

/** ARPHRD_* of linux/if_arp.h, by the names of `ip link`. */
const linkTypes: Readonly<Record<number, string>> = { 1: 'ether', 32: 'infiniband' }

/** The device of a PCI function with these interfaces. Throws errors of sysfs. */
export function functionDevice(one: PciFacts, interfaces: readonly Interface[], parts: DeviceParts): Device {
  const { address, driver } = one
  const position = parts.positions.get(address)
  const pf = position?.pf
  // Representors belong to the function that carries the eSwitch, and stand for other devices.
  const own = interfaces.filter(({ physPortName }) => placeOfPort(physPortName) === undefined)
  const linkType = linkTypeOf(own, pf)
  const vfio = vfioOf(one)
  return {
    ...{ id: address, type: one.type, pci: address },
    ...placeOf(one),
    driver,
    netdevs: own.map(netdevOf),
    pf: position === undefined ? undefined : { address: position.pf.state.address, index: position.index },
    sriov: one.sriov,
    linkType,
    representor: shown(position?.pf.representor(`vf${position.index}`)),
    vf: position?.pf.vfState(position.index),
    ...{ vfio, uio: uioOf(one), isOpen: vfio === undefined ? undefined : isEnabled(one) },
    rdma: rdmaOf(one, parts.hasManager, linkType === 'infiniband') ?? enabledRdma(address, parts),
    vdpa: parts.vdpas.get(address),
    aux: undefined,
    ddpProfile: parts.ddpProfiles.get(address) ?? parts.ddpProfiles.get(pf?.state.address ?? ''),
    hostUses: parts.hostUses(own),
  }
}

/** The device of a subfunction, which `carrier` carries. Throws errors of sysfs. */
export function subfunctionDevice(
  sf: SfFacts,
  carrier: PciFacts,
  interfaces: readonly Interface[],
  parts: DeviceParts,
): Device {
  const pf = parts.pfs.get(sf.pci)
  const linkType = linkTypeOf(interfaces, pf)
  return {
    ...{ id: sf.name, type: 'auxNetDevice', pci: sf.pci },
    ...placeOf(carrier),
    driver: carrier.driver,
    netdevs: interfaces.map(netdevOf),
    pf: { address: sf.pci, index: sf.sfnum ?? sf.id },
    ...{ sriov: undefined, linkType },
    representor: sf.sfnum === undefined ? undefined : shown(pf?.representor(`sf${sf.sfnum}`)),
    ...{ vf: undefined, vfio: undefined, uio: undefined, isOpen: undefined },
    rdma: rdmaOf(sf, parts.hasManager, linkType === 'infiniband'),
    vdpa: parts.vdpas.get(sf.name),
    aux: { kind: 'sf', sfnum: sf.sfnum },
    ddpProfile: parts.ddpProfiles.get(sf.pci),
    hostUses: parts.hostUses(interfaces),
  }
}

function placeOf({
  vendor,
  product,
  pciClass,
  numaNode,
  acpiIndex,
  pciPath,
}: PciFacts): Pick<Device, 'vendor' | 'product' | 'pciClass' | 'numaNode' | 'acpiIndex' | 'pciPath'> {
  return { vendor, product, pciClass, numaNode, acpiIndex, pciPath }
}

/** Of the device's interface, which may be in a pod, else of its PF's uplink. */
function linkTypeOf(interfaces: readonly Interface[], pf: PfFacts | undefined): string | undefined {
  return linkTypes[(interfaces[0] ?? pf?.uplink)?.type ?? 0]
}

function enabledRdma(address: PciAddress, parts: DeviceParts): Rdma | undefined {
  return parts.rdmaEnabled.has(address) ? hiddenRdma(parts.hasManager) : undefined
}

function shown(link: Interface | undefined): Device['representor'] {
  return link === undefined ? undefined : netdevOf(link)
}
