/** The config of the device plugin, as its other parts see it: checked, defaults filled in. Types alone. */
import type { DeviceType } from '../inventory/snapshot.ts'

/** A checked config. */
export interface PluginConfig {
  /** In the order of the file. The first pool that selects a device has it. */
  readonly pools: readonly PoolConfig[]
  /** Remarks about keys that have no effect, for the log: one sentence each. */
  readonly warnings: readonly string[]
}

/** One entry of `resourceList`. */
export interface PoolConfig {
  /** The name for kubelet, `PREFIX/NAME`: unique within a config. */
  readonly resource: string
  readonly prefix: string
  readonly name: string
  readonly deviceType: DeviceType
  /** kubelet is told no NUMA node. */
  readonly excludeTopology: boolean
  /** One of them must match. In the order of the file. */
  readonly selectors: readonly Selector[]
  /** By `*` or PCI address: names and values for the container's `extra`. */
  readonly additionalInfo: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** Choice among devices that are equally good for kubelet. */
  readonly preferredAllocation: PreferredAllocation
  /** Devices that the host uses are offered all the same. */
  readonly allowHostUsed: boolean
  readonly health: HealthConfig
  /** Work before a device that another pod had is given away: none, or a function level reset. */
  readonly reset: 'none' | 'flr'
  /** Milliseconds from the death of a pod, for which no DEL comes, to the restore of its device; 0: never. */
  readonly restoreAfter: number
}

/** `packed` fills a PF before the next one, `spread` takes as many PFs as it can, `numa` as few NUMA nodes, `pcie` stays near given devices. */
export type PreferredAllocation = 'packed' | 'spread' | 'numa' | 'pcie'

/** Health checks of a pool; each can be switched off. Times in milliseconds. */
export interface HealthConfig {
  readonly carrier: boolean
  readonly linkState: boolean
  readonly driver: boolean
  readonly representor: boolean
  /** A device is bad for so long before kubelet hears of it, and good for so long again. */
  readonly badAfter: number
  readonly goodAfter: number
}

/** Conditions on a device. All that are present must hold; a list holds when one entry does. */
export interface Selector {
  readonly vendors?: readonly string[]
  readonly devices?: readonly string[]
  readonly drivers?: readonly string[]
  readonly pciAddresses?: readonly string[]
  readonly acpiIndexes?: readonly string[]
  readonly auxTypes?: readonly string[]
  readonly pfNames?: readonly PfSelector[]
  readonly rootDevices?: readonly PfSelector[]
  readonly linkTypes?: readonly string[]
  readonly ddpProfiles?: readonly string[]
  readonly pKeys?: readonly string[]
  /** Also gives the container the device's RDMA files. */
  readonly isRdma?: boolean
  /** No condition: gives the container /dev/vhost-net and /dev/net/tun. */
  readonly needVhostNet?: boolean
  readonly vdpaType?: 'vhost' | 'virtio'
  /** This and the keys below are not those of sriov-network-device-plugin. */
  readonly eswitchModes?: readonly ('legacy' | 'switchdev')[]
  readonly hasRepresentor?: boolean
  /** Conditions that must not hold together. */
  readonly exclude?: readonly Selector[]
}

/** `NAME` or `NAME#0-3,7` of pfNames and rootDevices. */
export interface PfSelector {
  /** The text as configured. */
  readonly text: string
  /** Interface name, altname or PCI address of the PF. */
  readonly pf: string
  /** Indexes of VFs, inclusive ranges in ascending order; undefined: all. */
  readonly indexes: readonly (readonly [first: number, last: number])[] | undefined
}
