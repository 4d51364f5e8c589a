/**
 * Finds the other end of a VF or subfunction in the eSwitch of its NIC. In: interfaces as the kernel reports them; out: one of them. Pure.
 */
import { type PciAddress, parsePciAddress, routingId } from '../lib/pci-address.ts'

/** The facts that tell the VF or subfunction of a representor; a part of the answer to RTM_GETLINK. */
export interface EswitchPort {
  readonly ifindex: number
  readonly name: string
  readonly parent: string | undefined
  readonly physSwitchId: string | undefined
  readonly physPortId?: string | undefined
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

/** A VF or subfunction below a PF, as port names have it: `vf3`, `sf88`. */
export type PortPlace = `vf${number}` | `sf${number}`

/** The place that a port name tells; undefined for an uplink and for any other name. */
export function placeOfPort(physPortName: string | undefined): PortPlace | undefined {
  const place = physPortName === undefined ? undefined : portName.exec(physPortName)?.[2]
  return place as PortPlace | undefined
}

/**
 * The number of an uplink's eSwitch, hex. An EF100's uplink has none, and its representors have the number of the uplink's port instead
 * (efx_ef100_rep_get_port_parent_id() of drivers/net/ethernet/sfc/ef100_rep.c, efx_ef100_get_phys_port_id() of ef100_nic.c).
 */
export function switchIdOf({ physSwitchId, physPortId }: EswitchPort): string | undefined {
  return physSwitchId ?? physPortId
}

/**
 * The ports of VFs and subfunctions on the eSwitch of an uplink, by place. Several PFs can share an eSwitch, so a place may have
 * several ports.
 */
export function portsByPlace<T extends EswitchPort>(
  links: readonly T[],
  uplink: EswitchPort,
): ReadonlyMap<PortPlace, readonly T[]> {
  const ports = new Map<PortPlace, T[]>()
  const switchId = switchIdOf(uplink)
  if (switchId === undefined) return ports
  for (const link of links) {
    if (link.physSwitchId !== switchId || link.ifindex === uplink.ifindex) continue
    const place = placeOfPort(link.physPortName)
    if (place === undefined) continue
    const known = ports.get(place)
    if (known === undefined) ports.set(place, [link])
    else known.push(link)
  }
  return ports
}

/**
 * The port of a PF at a place, among those of {@link portsByPlace}. An interface whose parent is the PF belongs to the PF; an
 * interface with another PCI parent never does. Without parents, the number in the port name must be the PF's PCI function.
 * Undefined when there is none. Throws AmbiguousRepresentor.
 */
export function portAt<T extends EswitchPort>(
  ports: ReadonlyMap<PortPlace, readonly T[]>,
  place: PortPlace,
  pfPci: PciAddress,
): T | undefined {
  const all = ports.get(place) ?? []
  const own = all.filter(({ parent }) => parent === pfPci)
  const orphans = all.filter(({ parent }) => parsePciAddress(parent ?? '') === undefined)
  const candidates = own.length > 0 ? own : orphans
  if (candidates.length <= 1) return candidates[0]
  const name = `pf${routingId(pfPci) & 7}${place}`
  const exact = candidates.filter(({ physPortName }) => physPortName?.replace(/^p\d+/, '') === name)
  if (exact.length === 1) return exact[0]
  const [kind, index] = [place.slice(0, 2).toUpperCase(), place.slice(2)]
  throw new AmbiguousRepresentor(`${kind} ${index} of ${pfPci}`, candidates)
}

/**
 * The representor of a VF: an interface on the eSwitch of the PF's uplink whose port name has the VF's index (`pf0vf3`;
 * `c1pf0vf3` on another host's controller: `devlink_port_phys_port_name_get`, net/devlink/port.c; `p0pf0vf3` behind port 0 of an
 * EF100: `efx_ef100_rep_get_phys_port_name`, drivers/net/ethernet/sfc/ef100_rep.c). Undefined when there is none. Throws
 * AmbiguousRepresentor.
 */
export function representorOf<T extends EswitchPort>(
  links: readonly T[],
  uplink: EswitchPort,
  vfIndex: number,
  pfPci: PciAddress,
): T | undefined {
  return portAt(portsByPlace(links, uplink), `vf${vfIndex}`, pfPci)
}

const portName = /^([cp]\d+)?pf\d+([vs]f\d+)$/
