// The inventory of the device plugin, on whatever kernel the driver is started.
import { scan } from '../../../device-plugin/inventory/scan.ts'
import type { Snapshot } from '../../../device-plugin/inventory/snapshot.ts'
import type { DefaultRoute, InterfaceAddress, NetworkLink } from '../../../src/kernel/api/network-facts.ts'
import { openNetworkFacts } from '../../../src/kernel/linux-network-facts.ts'

/** A snapshot of the node, or of folders that stand for its /sys and /dev. */
export function takeInventory(
  folders: { readonly sys?: string; readonly dev?: string } = {},
  nodeAddresses?: readonly string[],
): Snapshot {
  const { sys = '/sys', dev = '/dev' } = folders
  const openNetwork = openNetworkFacts
  return scan({ sys, dev, openNetwork, ...(nodeAddresses === undefined ? {} : { nodeAddresses }) }, 1)
}

/** Interfaces, default routes and addresses of the network namespace. */
export function networkOf(): {
  links: readonly NetworkLink[]
  defaultRoutes: readonly DefaultRoute[]
  addresses: readonly InterfaceAddress[]
} {
  const facts = openNetworkFacts()
  try {
    return { links: facts.links(), defaultRoutes: facts.defaultRoutes(), addresses: facts.addresses() }
  } finally {
    facts.close()
  }
}
