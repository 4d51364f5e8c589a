/** The uplink of a VF: the port of its PF that its network is on. In words, why an eSwitch has no representors here. */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { PciAddress } from '../../lib/pci-address.ts'
import { findByName } from '../../nic/by-name.ts'
import { driverOf, portsOf } from '../../nic/pci.ts'
import { type EswitchPort, type PortPlace, portsByPlace, switchIdOf } from '../../nic/representor.ts'
import { driverFacts } from './drivers.ts'

/** The interface, or in words what is wrong with the PF or with the key `uplink`. */
export type FoundUplink = { readonly link: LinkFacts } | { readonly why: string }

/**
 * The interface of a PF that `wanted`, the key `uplink`, names; without the key the only port of the PF. `vfs`: with the PF's
 * attributes of its VFs, which each port shows.
 */
export function findUplink(
  kernel: Kernel,
  pf: PciAddress,
  wanted: string | undefined,
  vfs = false,
): FoundUplink {
  const ports = () => portsOf(pf)
  const among = (names: readonly string[]) => uplinkAmong(kernel, pf, names, wanted, vfs)
  return findByName(ports(), ports, among) ?? { why: `the PF "${pf}" has no network interface on the host` }
}

/** The answer of {@link findUplink} by the names of the ports; undefined when no interface has the name any more. */
function uplinkAmong(
  kernel: Kernel,
  pf: PciAddress,
  ports: readonly string[],
  wanted: string | undefined,
  vfs: boolean,
): FoundUplink | undefined {
  const named = wanted === undefined || ports.length === 0 ? undefined : portNamed(kernel, ports, wanted)
  const name = wanted === undefined && ports.length === 1 ? ports[0] : named
  if (name === undefined && ports.length > 0) return { why: choiceOf(pf, ports, wanted) }
  const link = name === undefined ? undefined : kernel.link('host', name, { vfs })
  return link === undefined ? undefined : { link }
}

/** The port with this name; a port may also be known by another of its names. */
function portNamed(kernel: Kernel, ports: readonly string[], wanted: string): string | undefined {
  if (ports.includes(wanted)) return wanted
  const name = kernel.link('host', wanted)?.name
  return name !== undefined && ports.includes(name) ? name : undefined
}

function choiceOf(pf: PciAddress, ports: readonly string[], wanted: string | undefined): string {
  const names = ports.map((name) => `"${name}"`).join(', ')
  if (wanted === undefined)
    return `the PF "${pf}" has ports ${names}; the key "uplink" must name the one that the pod's network is on`
  return `uplink "${wanted}" is no port of the PF "${pf}"; must be ${ports.length === 1 ? names : `one of ${names}`}`
}

/**
 * The system that manages the eSwitch of a PF, as far as this can be told: for some drivers EOPNOTSUPP of devlink means that this host
 * does not. Undefined where this host does.
 */
export function managerOf(pf: PciAddress, state: ReturnType<Kernel['eswitch']>): string | undefined {
  return state === 'unsupported' ? driverFacts(driverOf(pf)).managedElsewhere?.where : undefined
}

/** The ports of the VFs of an eSwitch in switchdev mode, by place. */
export type SwitchPorts = ReadonlyMap<PortPlace, readonly EswitchPort[]>

/**
 * The ports of the VFs on the eSwitch of a PF; undefined where it is not in switchdev mode. Where devlink never tells the mode, the ports
 * are there with the VFs, unless the firmware has no eSwitch (grp_mae in drivers/net/ethernet/sfc/ef100_nic.c). `state` is devlink's
 * answer for the PF. The interfaces of the host are read as far as they are on the eSwitch, unless devlink tells that there are no ports.
 */
export function switchPorts(
  kernel: Kernel,
  pf: PciAddress,
  uplink: LinkFacts,
  state: ReturnType<Kernel['eswitch']>,
): SwitchPorts | undefined {
  const isTold = state === 'switchdev'
  if (!isTold && !isModeless(pf, uplink, state)) return undefined
  const switchId = switchIdOf(uplink)
  const ports = portsByPlace(switchId === undefined ? [] : kernel.eswitchPorts(switchId), uplink)
  return isTold || ports.size > 0 ? ports : undefined
}

/** True when the eSwitch of a PF is in switchdev mode. Interfaces are read where devlink never tells the mode. */
export function isSwitchdev(kernel: Kernel, pf: PciAddress, state = kernel.eswitch(pf)): boolean {
  if (state === 'switchdev' || state === 'legacy') return state === 'switchdev'
  const found = findUplink(kernel, pf, undefined)
  return 'link' in found && switchPorts(kernel, pf, found.link, state) !== undefined
}

/** The cheapest question comes first: few uplinks have a port id, and of those most have no driver that is asked for. */
function isModeless(pf: PciAddress, uplink: LinkFacts, state: ReturnType<Kernel['eswitch']>): boolean {
  if (state === 'legacy' || uplink.physSwitchId !== undefined || uplink.physPortId === undefined) return false
  return driverFacts(driverOf(pf)).representorsWithoutMode !== undefined
}

/** The reason for which there are no representors, as a sentence. */
export function eswitchWords(uplink: string, managedElsewhere: string | undefined): string {
  return managedElsewhere === undefined
    ? `the eSwitch of "${uplink}" is in legacy mode`
    : `this host does not manage the eSwitch of "${uplink}" (${managedElsewhere} devlink: EOPNOTSUPP)`
}
