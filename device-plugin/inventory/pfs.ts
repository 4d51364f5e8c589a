/** PFs: their VFs and interfaces, their eSwitch, and what they say about their VFs. */
import type { NetworkFacts } from '../../src/kernel/api/network-facts.ts'
import type { PciAddress } from '../../src/lib/pci-address.ts'
import { wirePortsAmong } from '../../src/nic/pci.ts'
import { type PortPlace, placeOfPort, portAt, portsByPlace, switchIdOf } from '../../src/nic/representor.ts'
import { driverFacts } from '../../src/offload/port/drivers.ts'
import { type PciFacts, vfsOf } from './functions.ts'
import { type Interface, netdevOf } from './interfaces.ts'
import type { Pf, VfState } from './snapshot.ts'
import type { Unanswered } from './unanswered.ts'

type VfStates = ReturnType<NetworkFacts['vfs']>

/** A PF as the scan needs it. */
export interface PfFacts {
  readonly function: PciFacts
  readonly uplink: Interface | undefined
  readonly vfs: ReadonlyMap<PciAddress, number>
  readonly state: Pf
  /** The port of the eSwitch at a place; undefined when there is none, or when it is a guess. */
  representor(place: PortPlace): Interface | undefined
  vfState(index: number): VfState | undefined
}

/**
 * The interfaces that lead to wires: the only one that is no representor, else those with a port name `p<N>`, or `p<N>s<M>` of a split
 * port. Some cards have all their ports on one PF (nfp).
 */
export function portsAmong(interfaces: readonly Interface[]): readonly Interface[] {
  const own = interfaces.filter(({ physPortName }) => placeOfPort(physPortName) === undefined)
  return own.length <= 1 ? own : wirePortsAmong(own)
}

/** Functions that have VFs or subfunctions, or could have them, with their interfaces. */
export type PfFunctions = ReadonlyMap<PciFacts, readonly Interface[]>

/** Reads all PFs, by address. */
export function readPfs(
  functions: PfFunctions,
  ports: readonly Interface[],
  network: NetworkFacts,
  unanswered: Unanswered,
): ReadonlyMap<PciAddress, PfFacts> {
  const addresses = [...functions.keys()].map(({ address }) => address)
  const modes = unanswered.ask('devlink', () => network.eswitchModes(addresses), new Map())
  const troubles = unanswered.ask('devlink', () => network.troubles(), new Map<string, string[]>())
  const bySwitch = groupedBySwitch(ports)
  const pfs = [...functions].map(([one, interfaces]) => {
    const ports = portsAmong(interfaces)
    // Each port shows all VFs, and all are on one eSwitch.
    const [uplink] = ports
    const onSwitch = uplink === undefined ? [] : (bySwitch.get(switchIdOf(uplink) ?? '') ?? [])
    const found = uplink === undefined ? new Map() : portsByPlace(onSwitch, uplink)
    const told = modes.get(one.address)
    const isRefused = told === 'unsupported'
    // Only an eSwitch in switchdev mode has such ports.
    const mode = (isRefused ? undefined : told) ?? (found.size > 0 ? ('switchdev' as const) : undefined)
    const manager = isRefused ? driverFacts(one.driver).managedElsewhere?.where : undefined
    return { one, interfaces, ports, uplink, found, mode, manager }
  })
  // Other eSwitches take no filters.
  const offloading = pfs.flatMap(({ mode, uplink }) =>
    mode === 'switchdev' && uplink?.isListed === true ? [uplink.ifindex] : [],
  )
  const offloads: ReadonlyMap<number, boolean> =
    offloading.length === 0
      ? new Map()
      : unanswered.ask('features of interfaces', () => network.tcOffloads(offloading), new Map())
  return new Map(
    pfs.map(({ one, interfaces, ports, uplink, found, mode, manager }) => {
      const { address } = one
      const vfs = one.sriov === undefined || one.sriov.now === 0 ? new Map<PciAddress, number>() : vfsOf(one)
      const states = vfs.size === 0 ? new Map() : statesOf(uplink, address, network, unanswered)
      const state: Pf = {
        ...{ address, netdevs: interfaces.map(netdevOf), eswitchMode: mode, numVfs: one.sriov?.now ?? 0 },
        uplink: uplink === undefined || ports.length > 1 ? undefined : netdevOf(uplink),
        ...(ports.length > 1 ? { ports: ports.map(netdevOf) } : {}),
        ...(mode === undefined && manager !== undefined ? { managedElsewhere: manager } : {}),
        trouble: troubles.get(address)?.join('; '),
        hwTcOffload: uplink === undefined ? undefined : offloads.get(uplink.ifindex),
      }
      const pf: PfFacts = {
        ...{ function: one, uplink, vfs, state },
        representor: (place) =>
          mode === 'legacy'
            ? undefined
            : unanswered.ask('representor', () => portAt<Interface>(found, place, address), undefined),
        vfState: (index) => vfStateOf(states.get(index)),
      }
      return [address, pf]
    }),
  )
}

/** The PF's attributes of its VFs; none where the uplink is in another sysfs, or a guess. */
function statesOf(
  uplink: Interface | undefined,
  address: PciAddress,
  network: NetworkFacts,
  unanswered: Unanswered,
): VfStates {
  if (uplink?.isListed !== true) return new Map()
  return unanswered.ask(`VFs of ${address}`, () => network.vfs(uplink.ifindex), new Map())
}

function groupedBySwitch(ports: readonly Interface[]): ReadonlyMap<string, readonly Interface[]> {
  const groups = new Map<string, Interface[]>()
  for (const port of ports) {
    const { physSwitchId: id } = port
    if (id === undefined) continue
    const group = groups.get(id)
    if (group === undefined) groups.set(id, [port])
    else group.push(port)
  }
  return groups
}

function vfStateOf(found: ReturnType<VfStates['get']>): VfState | undefined {
  if (found === undefined) return undefined
  // A driver without ndo_set_vf_link_state reports none: the VF follows the wire.
  const { mac = '', vlan, linkState = 'auto' } = found
  return { mac, vlan: vlan?.id ?? 0, linkState }
}
