/**
 * The inventory: all devices of the node that a pool could offer, as one immutable value. A scan makes one snapshot, and all pools,
 * health and metrics are worked out from that snapshot. Types alone; nothing here knows configs, pools or a kubelet.
 */
import type { PciAddress } from '../../src/lib/pci-address.ts'

/** One look at the node. */
export interface Snapshot {
  /** Counts the scans of this process, from 1. */
  readonly number: number
  /** Time of the scan, in milliseconds since 1970. */
  readonly takenAt: number
  /** Time that the scan took, in milliseconds. */
  readonly duration: number
  /** By id: PCI functions of the classes network (0x02) and accelerator (0x12), and subfunctions. */
  readonly devices: readonly Device[]
  /** PFs, by address. Every `pf` of a device names one of them. */
  readonly pfs: ReadonlyMap<PciAddress, Pf>
  /** Questions that the kernel did not answer, such as "devlink: EPERM"; the facts that they ask for are absent. */
  readonly unanswered: readonly string[]
  /**
   * Present when the kernel did not tell of interfaces, default routes or addresses: `hostUses` of devices may lack entries. Devices
   * that are new in such a snapshot may be the host's own.
   */
  readonly areHostUsesUnknown?: true
}

/** Kinds of devices, named as in `deviceType` of the config. */
export type DeviceType = 'netDevice' | 'accelerator' | 'auxNetDevice'

/** One device: a PCI function, or a subfunction on the auxiliary bus. */
export interface Device {
  /** The PCI address, or the name on the auxiliary bus (`mlx5_core.sf.2`). */
  readonly id: string
  readonly type: DeviceType
  /** The function itself, or the function that carries the subfunction. */
  readonly pci: PciAddress
  /** Four lower-case hex digits each, without 0x; of `pci`. */
  readonly vendor: string
  readonly product: string
  /** PCI class, six hex digits: `020000`. */
  readonly pciClass: string
  /** Driver of `pci`; undefined when none is bound. */
  readonly driver: string | undefined
  /** NUMA node; undefined where the platform has none (-1). */
  readonly numaNode: number | undefined
  /** `acpi_index` of sysfs. */
  readonly acpiIndex: string | undefined
  /** Addresses of the bridges from the root port to the function, the function itself last. */
  readonly pciPath: readonly string[]
  /** Interfaces of the device in this process's network namespace: none while they are in a pod. Representors are none of them. */
  readonly netdevs: readonly Netdev[]
  /** For a VF and a subfunction: its PF, and its place below that PF (of a subfunction: its sfnum). */
  readonly pf: { readonly address: PciAddress; readonly index: number } | undefined
  /** For a function that can have VFs. */
  readonly sriov: { readonly total: number; readonly now: number } | undefined
  /** `ether` or `infiniband`: of its interface, else of its PF's uplink; undefined when neither tells. */
  readonly linkType: string | undefined
  /** The device's end in the eSwitch, in switchdev mode. */
  readonly representor: Netdev | undefined
  /** The PF's settings for a VF; undefined for other devices, and where the PF is not to be asked. */
  readonly vf: VfState | undefined
  readonly vfio: Vfio | undefined
  /** Name below /dev, such as `uio0`. */
  readonly uio: string | undefined
  /**
   * On a vfio driver: a program has it open (`enable` of sysfs is above 0). undefined for other drivers; those of UIO keep a function
   * enabled.
   */
  readonly isOpen: boolean | undefined
  readonly rdma: Rdma | undefined
  readonly vdpa: Vdpa | undefined
  /** For a device on the auxiliary bus. */
  readonly aux: { readonly kind: string; readonly sfnum: number | undefined } | undefined
  /** DDP profile (devlink info `fw.app.name`). */
  readonly ddpProfile: string | undefined
  /** Uses of the device by the host, as sentences: `has the default route of IPv4 by eth0`. Empty: none. */
  readonly hostUses: readonly string[]
}

/** An interface of this process's network namespace. */
export interface Netdev {
  readonly name: string
  readonly altnames: readonly string[]
  readonly ifindex: number
  readonly mac: string
  readonly up: boolean
  readonly carrier: boolean
}

/** A function that has VFs or subfunctions, or could have them. */
export interface Pf {
  readonly address: PciAddress
  /** All interfaces of the function, representors included. */
  readonly netdevs: readonly Netdev[]
  /** The interface that leads to the wire; undefined when there is none here, or when there are several. */
  readonly uplink: Netdev | undefined
  /** Of a PF with several ports: the interfaces that lead to their wires. */
  readonly ports?: readonly Netdev[]
  /** undefined: devlink gives no answer, which is legacy mode for most drivers. */
  readonly eswitchMode: 'legacy' | 'switchdev' | undefined
  /** Another system manages the eSwitch, so nobody here knows its mode: a guess which, such as "BlueField in DPU mode?". */
  readonly managedElsewhere?: string
  readonly numVfs: number
  /** Why the function does not work now, as a sentence: a devlink health reporter in state error, a reset that goes on. */
  readonly trouble: string | undefined
  /** `hw-tc-offload` of the uplink; undefined when not asked, as in legacy mode. */
  readonly hwTcOffload?: boolean | undefined
}

/** The PF's attributes of a VF (IFLA_VF_*). */
export interface VfState {
  readonly mac: string
  readonly vlan: number
  readonly linkState: 'auto' | 'enable' | 'disable'
}

/** Files of a function on a vfio driver. */
export interface Vfio {
  /** IOMMU group; undefined where there is none. */
  readonly group: number | undefined
  /** The group is the kernel's stand-in without an IOMMU: its file is `/dev/vfio/noiommu-N`. */
  readonly noIommu: boolean
  /** Name of the device's own file, `vfio3` (`/dev/vfio/devices/vfio3`); undefined on kernels without it. */
  readonly cdev: string | undefined
}

/** The RDMA device of a function, with the names of its files below /dev/infiniband. */
export interface Rdma {
  /** Name, such as `mlx5_3`. Empty: the device is in the namespace of a pod, and only its driver tells that it exists. */
  readonly device: string
  /** `uverbs3`, `umad3`, `issm3`: those that there are. */
  readonly files: {
    readonly uverbs?: string
    readonly umad?: string
    readonly issm?: string
    readonly ucm?: string
  }
  /** `/dev/infiniband/rdma_cm` is there. */
  readonly connectionManager: boolean
  /** First P_Key of port 1, as sysfs has it: `0xffff`. Only where the link type is `infiniband`. */
  readonly pKey: string | undefined
}

/** A vDPA device of a function. */
export interface Vdpa {
  readonly name: string
  readonly type: 'vhost' | 'virtio'
  /** Path below /dev of a vhost device, `/dev/vhost-vdpa-0`. */
  readonly path: string | undefined
}
