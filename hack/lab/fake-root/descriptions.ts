// Descriptions of what a fake root lays out.

/** An interface of a device. `undefined` leaves the file out, as a driver does that has no such name. */
export interface FakeNetdev {
  readonly name: string
  /** Counted up when absent. */
  readonly ifindex?: number
  readonly mac?: string
  readonly up?: boolean
  readonly carrier?: boolean
  /** ARPHRD_*: 1 ether, 32 InfiniBand. */
  readonly type?: number
  readonly physPortName?: string
  readonly physSwitchId?: string
  readonly physPortId?: string
}

/** An RDMA device of a function or subfunction. */
export interface FakeRdma {
  /** `mlx5_3` */
  readonly name: string
  /** Names of its files; numbered by the root when absent. */
  readonly uverbs?: string
  readonly umad?: string
  readonly issm?: string
  readonly ucm?: string
  /** P_Keys of port 1, in the order of the table; 0xffff when absent. */
  readonly pKeys?: readonly string[]
}

/** A vDPA device of a function. */
export interface FakeVdpa {
  /** `vdpa0` */
  readonly name: string
  /** The driver of the vdpa bus; undefined: none is bound. */
  readonly driver: 'vhost_vdpa' | 'virtio_vdpa' | undefined
}

/** A PCI function. Addresses are full: `0000:3b:00.0`. */
export interface FakeFunction {
  readonly address: string
  /** Four hex digits, 8086 when absent. */
  readonly vendor?: string
  /** Four hex digits, 10c9 when absent. */
  readonly device?: string
  /** Six hex digits, 020000 when absent. */
  readonly pciClass?: string
  readonly driver?: string
  /** -1 when absent. */
  readonly numaNode?: number
  readonly acpiIndex?: number
  readonly netdevs?: readonly FakeNetdev[]
  /** Bridges from the root port on; one root port of its bus when absent. */
  readonly bridges?: readonly string[]
  /** IOMMU group; none when absent. */
  readonly iommuGroup?: number
  readonly rdma?: FakeRdma
  readonly vdpa?: FakeVdpa
}

/** A function with the SR-IOV capability. */
export interface FakePf extends FakeFunction {
  /** `sriov_totalvfs`, 128 when absent. */
  readonly totalVfs?: number
  /** Of the capability: 128 and 2 (igb) when absent. */
  readonly offset?: number
  readonly stride?: number
  /** Product of its VFs, 10ca when absent. */
  readonly vfDevice?: string
}

/** A subfunction of a PF, on the auxiliary bus. */
export interface FakeSf {
  readonly pf: string
  /** `mlx5_core.sf.2` */
  readonly name: string
  readonly sfnum: number
  readonly netdevs?: readonly FakeNetdev[]
  readonly rdma?: FakeRdma
}
