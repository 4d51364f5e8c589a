/** The pod's port: its kind, and the place where its frames pass on the host. Read once per ADD, for every feature. */
import { CniError, code } from '../../cni/error.ts'
import type { Request } from '../../cni/request.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { hostNetns } from '../../lib/host-netns.ts'
import { type PciAddress, parsePciAddress } from '../../lib/pci-address.ts'
import { driverOf as boundDriver, type PciFunction, readPciFunction, type VfPosition } from '../../nic/pci.ts'
import { portAt } from '../../nic/representor.ts'
import type { OffloadConfig } from '../config/config.ts'
import type { PortKind } from './kinds.ts'
import { findUplink, managerOf, type SwitchPorts, switchPorts } from './uplink.ts'

/** The place where frames of the pod's network pass on the host. */
export interface UplinkAttachment {
  readonly uplink: LinkFacts
  /** The VF's VLAN, 0 = none. */
  readonly vlan: number
  /** The uplink has a clsact or ingress qdisc already. */
  readonly uplinkHasIngress: boolean
  /** The VF's representor; undefined where there is no eSwitch in switchdev mode. */
  readonly representor: LinkFacts | undefined
  readonly representorHasIngress: boolean
  /** Another system manages the eSwitch, so this host has no representors: a guess which. Undefined where this host does. */
  readonly managedElsewhere?: string | undefined
}

const ETH_P_8021AD = 0x88a8

/** A pod's port. */
export interface Port {
  readonly kind: PortKind
  /** CNI_IFNAME. */
  readonly name: string
  /** The interface in the pod; undefined for a VF that a program drives. */
  readonly link: LinkFacts | undefined
  readonly mac: string
  /** The host's end of a veth pair; undefined for others, and where that end is not on the host. */
  readonly peer?: LinkFacts | undefined
  /** undefined for a veth and for NICs that are on no PCI bus. */
  readonly device: PciAddress | undefined
  readonly vf: VfPosition | undefined
  /** undefined where the host has none (veth, other), and for a NIC of its own whose wire nobody has named. */
  readonly wire: UplinkAttachment | undefined
}

/**
 * Reads the pod's port. A NIC of its own and a macvlan need no wire for limits alone. A wire must be up.
 * @throws CniError 7 when the pod has no such interface, when it is of no kind that can be served, and when its uplink is not fit
 */
export function readPort(kernel: Kernel, request: Request, config: OffloadConfig): Port {
  const name = request.ifname
  const link = kernel.link('pod', name)
  const device = deviceOf(request, config, link)
  const pci = device === undefined ? undefined : readPciFunction(device)
  if (device !== undefined && pci === undefined)
    throw invalid(`Cannot serve "${name}": no PCI device "${device}"`)
  if (pci?.vf !== undefined) return vfPort(kernel, request, config, link, pci, pci.vf)
  if (link === undefined) throw invalid(`Cannot serve "${name}": the pod has no such interface`)
  const base = { name, link, mac: link.mac, device, vf: undefined }
  if (link.kind === 'veth' && device === undefined)
    return { ...base, kind: 'veth', peer: kernel.peer(link), wire: undefined }
  const onlyRates = config.mappings.length === 0
  if (link.kind !== undefined) {
    if (onlyRates) return { ...base, kind: 'other', wire: undefined }
    if (link.kind === 'macvlan' && config.uplink !== undefined)
      return { ...base, kind: 'macvlan', wire: macvlanWire(kernel, link, config.uplink) }
    throw invalid(
      `Cannot map ports of "${name}": it is ${link.kind}; must be a VF, a NIC or one end of a veth pair, as "vf-attach", "bridge" and "ptp" make them, or a macvlan of the interface that the key "uplink" names (a list without the capability portMappings has its limits)`,
    )
  }
  const isNamed = !onlyRates || config.uplink !== undefined
  return { ...base, kind: 'nic', wire: isNamed ? nicWire(kernel, name, config) : undefined }
}

/**
 * The port again, by a few questions, for those who have waited since it was read: with the qdiscs and rates that other calls may have
 * changed meanwhile. undefined when it is not the same any more.
 */
export function portNow(kernel: Kernel, port: Port): Port | undefined {
  const { name, link, vf, wire } = port
  const now = kernel.link('pod', name)
  if (now?.ifindex !== link?.ifindex || now?.mac !== link?.mac || now?.parent !== link?.parent)
    return undefined
  // A pod can have made another pair meanwhile whose end looks the same.
  if (port.peer !== undefined && (now === undefined || kernel.peer(now)?.ifindex !== port.peer.ifindex))
    return undefined
  if (wire === undefined) return port
  const { ifindex } = wire.uplink
  const uplink = kernel.link('host', ifindex, vf === undefined ? {} : { vfs: true })
  if (uplink === undefined || uplink.name !== wire.uplink.name || !uplink.up) return undefined
  if (vf !== undefined && (uplink.vfs?.get(vf.index)?.vlan?.id ?? 0) !== wire.vlan) return undefined
  const { representor } = wire
  return {
    ...port,
    wire: {
      ...wire,
      uplink,
      uplinkHasIngress: kernel.hasIngress(ifindex),
      representorHasIngress: representor !== undefined && kernel.hasIngress(representor.ifindex),
    },
  }
}

/** The driver that is asked to take a port's rules: that of its uplink. Undefined where the port has none, or none on a PCI bus. */
export function driverOf({ vf, wire }: Pick<Port, 'vf' | 'wire'>): string | undefined {
  const address = vf?.pf ?? parsePciAddress(wire?.uplink.parent ?? '')
  return address === undefined ? undefined : boundDriver(address)
}

/** The wire of a NIC of its own is not to be found out: the operator vouches for one shared segment. */
function nicWire(kernel: Kernel, name: string, config: OffloadConfig): UplinkAttachment {
  if (config.uplink === undefined) {
    throw invalid(
      `Cannot serve "${name}": it is a NIC of its own; the key "uplink" must name the interface of the host on the same wire`,
    )
  }
  return wireOf(kernel, uplinkNamed(kernel, config.uplink), 0, undefined)
}

/**
 * The wire of a macvlan is that of the interface below it, which must be the uplink. Behind another interface of the same wire the
 * frames would have to leave the node, and no switch sends a frame back by the port that it came by.
 */
function macvlanWire(kernel: Kernel, link: LinkFacts, wanted: string): UplinkAttachment {
  const uplink = uplinkNamed(kernel, wanted)
  if (link.lower !== uplink.ifindex || kernel.lowerNetns(link) !== hostNetns) {
    throw invalid(
      `Cannot map ports of "${link.name}": it is a macvlan of another interface than the uplink "${uplink.name}"; the key "uplink" must name the interface below the macvlan`,
    )
  }
  return wireOf(kernel, uplink, 0, undefined)
}

function uplinkNamed(kernel: Kernel, wanted: string): LinkFacts {
  const uplink = kernel.link('host', wanted)
  if (uplink === undefined) throw invalid(`Cannot use uplink "${wanted}": the host has no such interface`)
  return uplink
}

function vfPort(
  kernel: Kernel,
  request: Request,
  config: OffloadConfig,
  link: LinkFacts | undefined,
  pci: PciFunction,
  vf: VfPosition,
): Port {
  const name = request.ifname
  const found = findUplink(kernel, vf.pf, config.uplink, true)
  if ('why' in found) throw invalid(`Cannot serve "${name}": ${found.why}`)
  const uplink = found.link
  if (link === undefined && !pci.userspace)
    throw invalid(`Cannot serve "${name}": the pod has no such interface`)
  const eswitch = kernel.eswitch(vf.pf)
  const ports = switchPorts(kernel, vf.pf, uplink, eswitch)
  const representor = ports === undefined ? undefined : representorAmong(kernel, ports, uplink, vf)
  const manager = managerOf(vf.pf, eswitch)
  const attributes = uplink.vfs?.get(vf.index)
  const { id: vlan = 0, proto } = attributes?.vlan ?? {}
  // Filters match and push ordinary tags.
  if (config.mappings.length > 0 && vlan !== 0 && proto === ETH_P_8021AD) {
    throw invalid(
      `Cannot map ports to "${name}": VF ${vf.index} of "${uplink.name}" is in VLAN ${vlan} with tags of 802.1ad; must be 802.1Q`,
    )
  }
  const mac = link?.mac ?? reportedOf(request)?.mac ?? attributes?.mac
  if (mac === undefined)
    throw invalid(`Cannot serve "${name}": nobody knows the MAC address of "${pci.address}"`)
  return {
    kind: link === undefined ? 'userspace' : representor === undefined ? 'legacy' : 'representor',
    ...{ name, link, mac, device: pci.address, vf },
    wire: {
      ...wireOf(kernel, uplink, vlan, representor),
      ...(manager === undefined ? {} : { managedElsewhere: manager }),
    },
  }
}

function wireOf(
  kernel: Kernel,
  uplink: LinkFacts,
  vlan: number,
  representor: LinkFacts | undefined,
): UplinkAttachment {
  if (!uplink.up) throw invalid(`Cannot serve a pod by uplink "${uplink.name}": it is down`)
  return {
    uplink,
    vlan,
    uplinkHasIngress: kernel.hasIngress(uplink.ifindex),
    representor,
    representorHasIngress: representor !== undefined && kernel.hasIngress(representor.ifindex),
  }
}

/** The representor of a VF in switchdev mode: nothing reaches the VF without it. */
function representorAmong(
  kernel: Kernel,
  ports: SwitchPorts,
  uplink: LinkFacts,
  { pf, index }: VfPosition,
): LinkFacts {
  const port = portAt(ports, `vf${index}`, pf)
  const found = port === undefined ? undefined : kernel.link('host', port.ifindex)
  if (found?.up === true) return found
  const words = found === undefined ? 'was not found' : `"${found.name}" is down`
  throw invalid(`Cannot serve a pod: the representor of VF ${index} of "${uplink.name}" ${words}`)
}

/** The device as the config names it, as prevResult names it, or as the kernel sees it; all that are there must agree. */
function deviceOf(
  request: Request,
  config: OffloadConfig,
  link: LinkFacts | undefined,
): PciAddress | undefined {
  const reported = reportedOf(request)?.pciID
  const named = config.device ?? (reported === undefined ? undefined : parsePciAddress(reported))
  const live = link?.parent === undefined ? undefined : parsePciAddress(link.parent)
  if (named !== undefined && link?.kind !== undefined) {
    throw invalid(`Cannot use deviceID "${named}": interface "${request.ifname}" in the pod is ${link.kind}`)
  }
  if (named !== undefined && live !== undefined && named !== live) {
    throw invalid(`Cannot use deviceID "${named}": interface "${request.ifname}" in the pod is "${live}"`)
  }
  return live ?? named
}

/** The pod's interface by prevResult. */
function reportedOf(request: Request) {
  return request.prevResult?.interfaces?.find(
    (candidate) => candidate.name === request.ifname && (candidate.sandbox ?? '') !== '',
  )
}

function invalid(message: string): CniError {
  return new CniError(code.invalidConfig, message)
}
