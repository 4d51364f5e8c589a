/** The uplink of a VF: the port of its PF that its network is on. In words, why an eSwitch has no representors here. */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { PciAddress } from '../../lib/pci-address.ts'
import { driverOf, portsOf } from '../../nic/pci.ts'
import { sentence } from './driver-words.ts'
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
  const ports = portsOf(pf)
  const named = wanted === undefined || ports.length === 0 ? undefined : portNamed(kernel, ports, wanted)
  const name = wanted === undefined && ports.length === 1 ? ports[0] : named
  if (name === undefined && ports.length > 0) return { why: choiceOf(pf, ports, wanted) }
  const link = name === undefined ? undefined : kernel.link('host', name, { vfs })
  return link === undefined ? { why: `the PF "${pf}" has no network interface on the host` } : { link }
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

/** Why no frame that a PF sends reaches its VFs, so that no filter on the PF leads to them; undefined where that is not known. */
export function vfHindrance(pf: PciAddress, state: ReturnType<Kernel['eswitch']>): string | undefined {
  const driver = driverOf(pf)
  const does = 'has no eSwitch mode in devlink, and frames of its PF go to the wire alone'
  return state === 'unsupported' ? sentence(driver, driverFacts(driver).pfToWireAlone, does) : undefined
}

/** The reason for which there are no representors, as a sentence. */
export function eswitchWords(uplink: string, managedElsewhere: string | undefined): string {
  return managedElsewhere === undefined
    ? `the eSwitch of "${uplink}" is in legacy mode`
    : `this host does not manage the eSwitch of "${uplink}" (${managedElsewhere} devlink: EOPNOTSUPP)`
}
