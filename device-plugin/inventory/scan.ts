/** One look at the node: sysfs and the facts of the network in, an immutable snapshot out. */

import type { NetworkFacts } from '../../src/kernel/api/network-facts.ts'
import { errorText } from '../../src/lib/error-text.ts'
import type { PciAddress } from '../../src/lib/pci-address.ts'
import { errorCode } from '../../src/sys/errno.ts'
import { isThere } from '../../src/sys/files.ts'
import { type DeviceParts, functionDevice, subfunctionDevice } from './devices.ts'
import { type PciFacts, readFunctions } from './functions.ts'
import { hostUsesOf } from './host-uses.ts'
import { type Interface, Interfaces } from './interfaces.ts'
import { noNetwork } from './no-network.ts'
import { readPfs } from './pfs.ts'
import { hasConnectionManager } from './rdma.ts'
import type { Device, Snapshot } from './snapshot.ts'
import type { Sources } from './sources.ts'
import { readSubfunctions } from './subfunctions.ts'
import { Unanswered } from './unanswered.ts'
import { readVdpas } from './vdpa.ts'

/**
 * Looks at the node. `number` counts the scans of the process, from 1. Never fails because of a device or a refusal of the kernel:
 * a device that vanishes meanwhile is left out, and refusals are named in `unanswered`.
 * @throws ScanFailed when sysfs can't be read at all, or not now: the last snapshot is truer than one without devices
 */
export function scan(sources: Sources, number: number): Snapshot {
  // An empty folder in the place of sysfs is a mount that is missing, not a node without devices.
  if (!isThere(`${sources.sys}/bus`)) throw new ScanFailed(new NoSysfs(sources.sys))
  const takenAt = Date.now()
  const start = performance.now()
  const unanswered = new Unanswered()
  let network = noNetwork
  try {
    network = unanswered.ask('network', sources.openNetwork, noNetwork)
    const { devices, pfs } = look(sources, network, unanswered)
    const duration = performance.now() - start
    const isBlind = unanswered.has('network', 'interfaces', 'default routes', 'addresses')
    return {
      ...{ number, takenAt, duration, devices, pfs, unanswered: unanswered.sentences },
      ...(isBlind ? { areHostUsesUnknown: true } : {}),
    }
  } catch (error) {
    if (errorCode(error) === undefined) throw error
    throw new ScanFailed(error)
  } finally {
    network.close()
  }
}

/** There is no sysfs in the folder of the settings. */
class NoSysfs extends Error {
  override readonly name = 'NoSysfs'

  constructor(folder: string) {
    super(`"${folder}" is no sysfs: it has no folder "bus"`)
  }
}

/** The node can't be looked at now. */
export class ScanFailed extends Error {
  constructor(cause: unknown) {
    super(`Cannot take an inventory: ${errorText(cause)}`, { cause })
    this.name = 'ScanFailed'
  }
}

function look(
  { sys, dev, nodeAddresses }: Sources,
  network: NetworkFacts,
  unanswered: Unanswered,
): Pick<Snapshot, 'devices' | 'pfs'> {
  const interfaces = new Interfaces(unanswered.ask('interfaces', () => network.links(), []))
  const functions = readFunctions(sys, unanswered)
  const subfunctions = readSubfunctions(sys, unanswered)
  const ofFunction = new Map<PciFacts, readonly Interface[]>(
    functions.map((one) => [one, interfaces.of(one.folder, one.entries, one.address)]),
  )
  const carriers = new Set(subfunctions.map(({ pci }) => pci))
  const all = interfaces.all()
  const pfs = readPfs(
    new Map([...ofFunction].filter(([one]) => one.sriov !== undefined || carriers.has(one.address))),
    all,
    network,
    unanswered,
  )
  const parts: DeviceParts = {
    positions: new Map(
      [...pfs.values()].flatMap((pf) => [...pf.vfs].map(([vf, index]) => [vf, { pf, index }] as const)),
    ),
    pfs,
    vdpas: unanswered.ask('vDPA', () => readVdpas(sys, unanswered), new Map()),
    ...asked(functions, pfs, network, unanswered),
    hasManager: hasConnectionManager(dev),
    hostUses: hostUsesOf({
      links: all,
      routes: unanswered.ask('default routes', () => network.defaultRoutes(), []),
      addresses: unanswered.ask('addresses', () => network.addresses(), []),
      nodeAddresses,
    }),
  }
  const byAddress = new Map(functions.map((one) => [one.address, one]))
  const devices: Device[] = []
  const add = (id: string, make: () => Device | undefined) => {
    const device = unanswered.ask(id, make, undefined)
    if (device !== undefined) devices.push(device)
  }
  for (const [one, links] of ofFunction) add(one.address, () => functionDevice(one, links, parts))
  for (const one of subfunctions) {
    const carrier = byAddress.get(one.pci)
    if (carrier === undefined) continue
    add(one.name, () =>
      subfunctionDevice(one, carrier, interfaces.of(one.folder, one.entries, one.name), parts),
    )
  }
  devices.sort((left, right) => (left.id < right.id ? -1 : 1))
  return { devices, pfs: new Map([...pfs].map(([address, { state }]) => [address, state])) }
}

/** Facts of devlink that only some functions are asked for. */
function asked(
  functions: readonly PciFacts[],
  pfs: ReadonlyMap<PciAddress, unknown>,
  network: NetworkFacts,
  unanswered: Unanswered,
): Pick<DeviceParts, 'ddpProfiles' | 'rdmaEnabled'> {
  const namesOf = (isMeant: (one: PciFacts) => boolean) =>
    functions.filter(isMeant).map(({ address }) => address)
  const profiled = namesOf((one) => pfs.has(one.address))
  // A function with an RDMA device in this namespace needs no second witness.
  const doubtful = namesOf((one) => one.driver !== undefined && !one.entries.includes('infiniband_verbs'))
  return {
    ddpProfiles: unanswered.ask('devlink', () => network.ddpProfiles(profiled), new Map()),
    rdmaEnabled: unanswered.ask('devlink', () => network.rdmaEnabled(doubtful), new Set()),
  }
}
