// Facts of the network as data, for inventories of a fake root.
import { noNetwork } from '../../../device-plugin/inventory/no-network.ts'
import { scan } from '../../../device-plugin/inventory/scan.ts'
import type { Device, Snapshot } from '../../../device-plugin/inventory/snapshot.ts'
import type { FakeRoot } from '../../../hack/lab/fake-root/fake-root.ts'
import type { NetworkFacts, NetworkLink } from '../../../src/kernel/api/network-facts.ts'

/** An interface of the kernel's list. */
export function networkLink(name: string, ifindex: number, change: Partial<NetworkLink> = {}): NetworkLink {
  return {
    ...{ name, ifindex, altnames: [], mac: '02:00:00:00:00:05', up: true, carrier: true, type: 1 },
    ...{ master: undefined, lower: undefined, kind: undefined, slaveKind: undefined, parent: undefined },
    ...{ physSwitchId: undefined, physPortName: undefined, ...change },
  }
}

/** A snapshot of a fake root, with these answers of the kernel and empty ones for the other questions. */
export function snapshotOf(
  root: FakeRoot,
  facts: Partial<NetworkFacts> = {},
  nodeAddresses?: readonly string[],
): Snapshot {
  const openNetwork = () => ({ ...noNetwork, ...facts })
  return scan(
    { sys: root.sys, dev: root.dev, openNetwork, ...(nodeAddresses === undefined ? {} : { nodeAddresses }) },
    1,
  )
}

/** The device with this id. */
export function deviceIn(snapshot: Snapshot, id: string): Device {
  const device = snapshot.devices.find((one) => one.id === id)
  if (device === undefined)
    throw new RangeError(`no device ${id} among ${snapshot.devices.map((one) => one.id)}`)
  return device
}
