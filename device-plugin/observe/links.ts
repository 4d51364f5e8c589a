/** Counters of PFs and VFs: one question for each PF, and one about all interfaces where a PF does not tell of its VFs. */
import type { Counted, TrafficFacts } from '../../src/kernel/api/traffic.ts'
import { grouped } from '../../src/lib/grouped.ts'
import type { PciAddress } from '../../src/lib/pci-address.ts'
import type { Device, Snapshot } from '../inventory/snapshot.ts'

/** Counters of one look. */
export interface LinkReadings {
  /** Of uplinks. */
  readonly pfs: ReadonlyMap<PciAddress, Counted>
  /** Of the wire: those PFs whose drivers count there. */
  readonly wires: ReadonlyMap<PciAddress, Counted>
  /** By device id: those VFs of which somebody on the host counts. */
  readonly vfs: ReadonlyMap<string, Counted>
}

/**
 * Reads the counters of all PFs of a snapshot and of their VFs. A VF's counters are those of its PF, else those of its representor
 * with the directions turned round, else those of its interface. An interface that is gone since the scan is left out.
 * @throws errors of the questions
 */
export function readLinks(facts: TrafficFacts, { devices, pfs }: Snapshot): LinkReadings {
  const vfsOf = grouped(
    devices.filter(({ type, pf }) => type === 'netDevice' && pf !== undefined),
    ({ pf }) => pf?.address ?? '',
  )
  const [counted, found] = [new Map<PciAddress, Counted>(), new Map<string, Counted>()]
  const silent: Device[] = []
  for (const { address, uplink, ports, numVfs } of pfs.values()) {
    // Each of several ports shows all VFs, and counts its own frames alone.
    const shown = uplink ?? ports?.[0]
    const port = shown === undefined ? undefined : facts.port(shown.ifindex, numVfs)
    if (uplink !== undefined && port?.uplink !== undefined) counted.set(address, port.uplink)
    for (const device of vfsOf.get(address) ?? []) {
      const own = port?.vfs.get(device.pf?.index ?? -1)
      if (own === undefined) silent.push(device)
      else found.set(device.id, own)
    }
  }
  for (const [id, one] of fromInterfaces(facts, silent)) found.set(id, one)
  return { pfs: counted, wires: readWires(facts, pfs), vfs: found }
}

function readWires(facts: TrafficFacts, pfs: Snapshot['pfs']): ReadonlyMap<PciAddress, Counted> {
  const uplinks = new Map(
    [...pfs.values()].flatMap(({ address, uplink }) => (uplink ? [[uplink.ifindex, address]] : [])),
  )
  return new Map(
    [...facts.wire([...uplinks.keys()])].flatMap(([ifindex, one]) => {
      const address = uplinks.get(ifindex)
      return address === undefined ? [] : [[address, one] as const]
    }),
  )
}

function fromInterfaces(
  facts: TrafficFacts,
  devices: readonly Device[],
): readonly (readonly [string, Counted])[] {
  const wanted = devices.filter(({ representor, netdevs }) => representor !== undefined || netdevs.length > 0)
  if (wanted.length === 0) return []
  const links = facts.links()
  return wanted.flatMap(({ id, representor, netdevs }) => {
    const one = links.get(representor?.ifindex ?? netdevs[0]?.ifindex ?? 0)
    if (one === undefined) return []
    // A representor receives what the VF sends.
    return [[id, representor === undefined ? one : { receive: one.transmit, transmit: one.receive }] as const]
  })
}
