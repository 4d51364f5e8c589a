/**
 * Finds the other end of a VF in the eSwitch of its NIC. In: interfaces as the kernel reports them; out: one of them. Pure.
 */
import { type PciAddress, parsePciAddress, routingId } from '../lib/pci-address.ts'

/** The facts that tell the VF of a representor; a part of the answer to RTM_GETLINK. */
export interface EswitchPort {
  readonly ifindex: number
  readonly name: string
  readonly parent: string | undefined
  readonly physSwitchId: string | undefined
  readonly physPortName: string | undefined
}

/** Several interfaces can be the representor. */
export class AmbiguousRepresentor extends Error {
  constructor(vf: string, candidates: readonly EswitchPort[]) {
    const names = candidates.map(({ name, physPortName }) => `${name} (${physPortName ?? ''})`).join(', ')
    super(`Cannot tell which interface is the representor of ${vf}: ${names}`)
    this.name = 'AmbiguousRepresentor'
  }
}

/**
 * The representor of a VF: an interface on the eSwitch of the PF's uplink whose port name has the VF's index (`pf0vf3`;
 * `c1pf0vf3` on another host's controller: `devlink_port_phys_port_name_get`, net/devlink/port.c). Several PFs can share
 * an eSwitch. An interface whose parent is the PF belongs to the PF; an interface with another PCI parent never does. Without
 * parents, the number in the port name must be the PF's PCI function. Undefined when there is none. Throws AmbiguousRepresentor.
 */
export function representorOf<T extends EswitchPort>(
  links: readonly T[],
  uplink: EswitchPort,
  vfIndex: number,
  pfPci: PciAddress,
): T | undefined {
  if (uplink.physSwitchId === undefined) return undefined
  const ports = links.filter((link) => {
    if (link.physSwitchId !== uplink.physSwitchId || link.ifindex === uplink.ifindex) return false
    const vf = portName.exec(link.physPortName ?? '')?.[3]
    return vf !== undefined && Number(vf) === vfIndex
  })
  const own = ports.filter(({ parent }) => parent === pfPci)
  const orphans = ports.filter(({ parent }) => parsePciAddress(parent ?? '') === undefined)
  const candidates = own.length > 0 ? own : orphans
  if (candidates.length <= 1) return candidates[0]
  const name = `pf${routingId(pfPci) & 7}vf${vfIndex}`
  const exact = candidates.filter(({ physPortName }) => physPortName === name)
  if (exact.length === 1) return exact[0]
  throw new AmbiguousRepresentor(`VF ${vfIndex} of ${pfPci}`, candidates)
}

const portName = /^(c\d+)?pf(\d+)vf(\d+)$/
