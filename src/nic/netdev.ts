/** Facts of sysfs about network interfaces of this namespace. Reads files only, no netlink; folders are parameters for tests. */
import { type PciAddress, parsePciAddress } from '../lib/pci-address.ts'
import { linkName, listFolder, readText, realPath } from '../sys/files.ts'

/** The hardware behind an interface. */
export type Behind =
  | { readonly bus: 'pci'; readonly address: PciAddress }
  | { readonly bus: 'auxiliary'; readonly name: string }

/**
 * The device that an interface belongs to; undefined for software interfaces. A virtio interface belongs to the PCI function
 * that carries it. A subfunction belongs to its own auxiliary device, not to the PCI function that it shares with others.
 */
export function deviceBehind(netdev: string, folder = '/sys/class/net'): Behind | undefined {
  const path = realPath(`${folder}/${netdev}`)?.split('/') ?? []
  const above = path.slice(0, path.lastIndexOf('net'))
  const [parent = '', ...rest] = above.toReversed()
  const address = parsePciAddress(/^virtio\d+$/.test(parent) ? (rest[0] ?? '') : parent)
  if (address !== undefined) return { bus: 'pci', address }
  return /^\w+\.\w+\.\d+$/.test(parent) ? { bus: 'auxiliary', name: parent } : undefined
}

/** The VLAN that a bridge gives a new port (`default_pvid` of its sysfs folder): 1-4094, 0 = none. */
export function defaultVlan(bridge: string, folder = '/sys/class/net'): number {
  return Number(readText(`${folder}/${bridge}/bridge/default_pvid`) ?? 0)
}

/** The name of the bridge, bond or other interface that an interface belongs to. */
export function masterOf(netdev: string, folder = '/sys/class/net'): string | undefined {
  return linkName(`${folder}/${netdev}/master`)
}

/** The tag that a bridge sorts frames by (`vlan_protocol` of its sysfs folder): 0x8100, or 0x88a8 for service tags. */
export function tagProtocol(bridge: string, folder = '/sys/class/net'): string | undefined {
  return readText(`${folder}/${bridge}/bridge/vlan_protocol`)
}

/** True when a bridge sorts frames by VLAN (`vlan_filtering` of its sysfs folder). */
export function filtersVlans(bridge: string, folder = '/sys/class/net'): boolean {
  return readText(`${folder}/${bridge}/bridge/vlan_filtering`) === '1'
}

/** The interfaces on top of an interface and those enslaved to it, by name and as far as they are in this namespace. */
export interface Stack {
  /** VLANs, macvlans and the like; not the master. */
  readonly uppers: readonly string[]
  /** Ports of a bridge, slaves of a bond, members of a VRF. */
  readonly ports: readonly string[]
}

/** The stack around an interface: `upper_NAME` and `lower_NAME` of its sysfs folder. */
export function stackOf(netdev: string, master: string | undefined, folder = '/sys/class/net'): Stack {
  const files = listFolder(`${folder}/${netdev}`)
  const named = (prefix: string) =>
    files.flatMap((file) => (file.startsWith(prefix) ? [file.slice(prefix.length)] : []))
  return {
    uppers: named('upper_').filter((name) => name !== master),
    // `lower_` also names the interface below a VLAN or macvlan. That one is not enslaved.
    ports: named('lower_').filter((name) => masterOf(name, folder) === netdev),
  }
}
