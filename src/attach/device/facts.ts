/** The facts about the node that an ADD plans by: read once, into one plain object. */
import { CniError, code } from '../../cni/error.ts'
import type { LinkFacts, Residue } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { PciAddress } from '../../lib/pci-address.ts'
import { findByName } from '../../nic/by-name.ts'
import { defaultVlan } from '../../nic/netdev.ts'
import { type PciFunction, portsOf } from '../../nic/pci.ts'
import { representorOf } from '../../nic/representor.ts'
import type { VfAttributes } from '../../ops/op.ts'
import type { Device } from './select.ts'

/** An interface with the name of its master. */
export interface PortFacts {
  readonly link: LinkFacts
  readonly master: string | undefined
  /** Of the device's own interface: the other things on it. */
  readonly residue?: Residue
}

/** A VF seen from its PF. */
export interface VfFacts {
  readonly index: number
  readonly pfPci: PciAddress
  readonly pfName: string
  readonly pfMtu: number
  /** Administratively up; of a PF with several ports: one of them. */
  readonly pfUp: boolean
  readonly attributes: VfAttributes
  /** The PF's eSwitch is in switchdev mode; `representor` is undefined when none was found. */
  readonly switchdev: boolean
  readonly representor: PortFacts | undefined
}

/** A device, seen from everywhere that matters to an ADD. */
export interface AttachFacts {
  readonly device: Device
  /** Undefined for a device that is no VF, and for a VF whose PF is not visible here (inside a virtual machine). */
  readonly vf: VfFacts | undefined
  /** The interface on the host; undefined for a device that a user space driver holds. */
  readonly port: PortFacts | undefined
  /** The VLAN that a new port of the wanted bridge is in at once; 0 = none. */
  readonly bridgeVlan?: number
}

/**
 * Reads the facts about `device`; `bridge` is the one that a representor is to join.
 * @throws CniError 7 when it can't be attached, 11 when its interface is elsewhere now
 */
export function readAttachFacts(kernel: Kernel, device: Device, bridge?: string): AttachFacts {
  const bridgeVlan = bridge === undefined ? 0 : defaultVlan(bridge)
  const vf = device.pci === undefined ? undefined : readVfFacts(kernel, device.pci)
  if (device.pci?.userspace === true) return { device, vf, port: undefined, bridgeVlan }
  if (device.netdevs.length > 1) {
    const words = `it has several network interfaces (${device.netdevs.join(', ')}); name one by device or hwaddr`
    throw new CniError(code.invalidConfig, `Cannot use "${device.id}": ${words}`)
  }
  const link = linkOfDevice(kernel, device)
  if (link === undefined) {
    const words =
      device.pci !== undefined && device.pci.driver === undefined
        ? 'no driver is bound to it'
        : `${device.pci?.driver === undefined ? 'it' : `driver ${device.pci.driver}`} has no network interface in the host's namespace; it is in another namespace or being reset`
    throw new CniError(code.tryAgainLater, `Cannot use "${device.id}": ${words}`)
  }
  return {
    device,
    vf,
    port: { link, master: masterOf(kernel, link), residue: kernel.residue(link) },
    bridgeVlan,
  }
}

/**
 * The interface of a device that has one on the host, at most. Its name was read from sysfs: it may have got another one since, and
 * another interface its name, as udev does it.
 */
export function linkOfDevice(kernel: Kernel, device: Device): LinkFacts | undefined {
  const name = device.netdevs[0]
  const link = name === undefined ? undefined : kernel.link('host', name)
  const isIt = link?.parent === undefined || device.parents.includes(link.parent)
  if (name === undefined || (link !== undefined && isIt)) return link
  return renamedLink(kernel, device)
}

function renamedLink(kernel: Kernel, { id, parents }: Device): LinkFacts | undefined {
  if (id.startsWith('netdev:')) return undefined
  const links = kernel.links('host').filter(({ parent }) => parent !== undefined && parents.includes(parent))
  return links.length === 1 ? links[0] : undefined
}

/** The VF as its PF sees it now; undefined when the device is no VF or its PF is not visible. One RTM_GETLINK of the PF. */
export function readVfFacts(kernel: Kernel, pci: PciFunction): VfFacts | undefined {
  if (pci.vf === undefined) return undefined
  const { index, pf: pfPci } = pci.vf
  // Each port of a PF shows all of its VFs: nfp keeps them by card (nfp_app_get_vf_config() of netronome/nfp/nfp_net_sriov.c).
  const ports = () => portsOf(pfPci)
  const found = findByName(ports(), ports, ([first = '', ...others]) => {
    const link = first === '' ? undefined : kernel.link('host', first, { vfs: true })
    return link === undefined ? undefined : { pf: link, pfName: first, otherPorts: others }
  })
  const attributes = found?.pf.vfs?.get(index)
  if (found === undefined || attributes === undefined) return undefined
  const { pf, pfName, otherPorts } = found
  // Some drivers have a switch id in legacy mode too, none is without one in switchdev mode.
  const switchdev = pf.physSwitchId !== undefined && kernel.isSwitchdev(pfPci)
  return {
    index,
    pfPci,
    pfName,
    pfMtu: pf.mtu,
    pfUp: pf.up || otherPorts.some((name) => kernel.link('host', name)?.up === true),
    attributes,
    switchdev,
    representor: switchdev ? readRepresentor(kernel, pf, index, pfPci) : undefined,
  }
}

function readRepresentor(
  kernel: Kernel,
  pf: LinkFacts,
  index: number,
  pfPci: PciAddress,
): PortFacts | undefined {
  const links = kernel.links('host')
  const link = representorOf(links, pf, index, pfPci)
  if (link === undefined) return undefined
  return { link, master: links.find(({ ifindex }) => ifindex === link.master)?.name }
}

function masterOf(kernel: Kernel, link: LinkFacts): string | undefined {
  if (link.master === undefined) return undefined
  return kernel.links('host').find(({ ifindex }) => ifindex === link.master)?.name
}
