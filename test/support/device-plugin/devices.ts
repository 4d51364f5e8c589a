/** Devices, PFs, snapshots and configs as data, for tests of the parts above the inventory. */
import type {
  PfSelector,
  PluginConfig,
  PoolConfig,
  Selector,
} from '../../../device-plugin/config/plugin-config.ts'
import type { Device, Netdev, Pf, Snapshot } from '../../../device-plugin/inventory/snapshot.ts'

const hex = (value: number, width: number) => value.toString(16).padStart(width, '0')

/** An interface that is up and has carrier. */
export function netdev(name: string, changes: Partial<Netdev> = {}): Netdev {
  return { name, altnames: [], ifindex: 2, mac: '02:00:00:00:00:01', up: true, carrier: true, ...changes }
}

/** The address of a VF, with routing ids as an igb has them: `index` 0 is device 10 of the PF's bus. */
export function vfAddress(pf: string, index: number): string {
  return `${pf.slice(0, 8)}${hex(0x10 + (index >> 3), 2)}.${index & 7}`
}

/** A PF in legacy mode with an uplink of the given name. */
export function pf(address: string, name: string | undefined, changes: Partial<Pf> = {}): Pf {
  const uplink = name === undefined ? undefined : netdev(name)
  return {
    address,
    netdevs: uplink === undefined ? [] : [uplink],
    uplink,
    eswitchMode: undefined,
    numVfs: 0,
    trouble: undefined,
    ...changes,
  }
}

/** An Intel NIC on igb, without a PF: neither a PF nor a VF. */
export function device(id: string, changes: Partial<Device> = {}): Device {
  return {
    id,
    type: 'netDevice',
    pci: id,
    vendor: '8086',
    product: '1521',
    pciClass: '020000',
    driver: 'igb',
    numaNode: undefined,
    acpiIndex: undefined,
    pciPath: ['0000:00:01.0', id],
    netdevs: [],
    pf: undefined,
    sriov: undefined,
    linkType: 'ether',
    representor: undefined,
    vf: undefined,
    vfio: undefined,
    uio: undefined,
    isOpen: undefined,
    rdma: undefined,
    vdpa: undefined,
    aux: undefined,
    ddpProfile: undefined,
    hostUses: [],
    ...changes,
  }
}

/** A VF of `parent` on igbvf. */
export function vf(parent: string, index: number, changes: Partial<Device> = {}): Device {
  return device(vfAddress(parent, index), {
    product: '1520',
    driver: 'igbvf',
    pf: { address: parent, index },
    vf: { mac: '02:00:00:00:01:01', vlan: 0, linkState: 'auto' },
    ...changes,
  })
}

/** A PF as a device that could be given away. */
export function pfDevice(address: string, vfs: number, changes: Partial<Device> = {}): Device {
  return device(address, { sriov: { total: 128, now: vfs }, ...changes })
}

/** Subfunction `sfnum` of a PF, as mlx5 names it. */
export function subfunction(parent: string, sfnum: number, changes: Partial<Device> = {}): Device {
  return device(`mlx5_core.sf.${sfnum}`, {
    type: 'auxNetDevice',
    pci: parent,
    vendor: '15b3',
    product: '101d',
    driver: 'mlx5_core',
    pf: { address: parent, index: sfnum },
    aux: { kind: 'sf', sfnum },
    ...changes,
  })
}

/** A snapshot; devices in the order of their ids, as a scan gives them. */
export function snapshot(devices: readonly Device[], pfs: readonly Pf[] = []): Snapshot {
  return {
    number: 1,
    takenAt: 0,
    duration: 1,
    devices: devices.toSorted((left, right) => (left.id < right.id ? -1 : 1)),
    pfs: new Map(pfs.map((one) => [one.address, one])),
    unanswered: [],
  }
}

/** A node with `pfs` PFs of `vfs` VFs each: eth0, eth1, ... on buses 0x10, 0x11, ..., one NUMA node for each two of them. */
export function node(pfs: number, vfs: number): Snapshot {
  const all = Array.from({ length: pfs }, (_, at) => `0000:${hex(0x10 + at, 2)}:00.0`)
  return snapshot(
    all.flatMap((address, at) => {
      const place = { numaNode: at >> 1 }
      const path = [`0000:00:0${at >> 2}.0`, `0000:0${1 + (at >> 1)}:00.0`]
      const below = (id: string) => ({ ...place, pciPath: [...path, id] })
      return [
        pfDevice(address, vfs, below(address)),
        ...Array.from({ length: vfs }, (_, index) => vf(address, index, below(vfAddress(address, index)))),
      ]
    }),
    all.map((address, at) => pf(address, `eth${at}`, { numVfs: vfs })),
  )
}

/** A pool of net devices with the defaults of the config. */
export function pool(
  name: string,
  selectors: readonly Selector[],
  changes: Partial<PoolConfig> = {},
): PoolConfig {
  return {
    resource: `test/${name}`,
    prefix: 'test',
    name,
    deviceType: 'netDevice',
    excludeTopology: false,
    selectors,
    additionalInfo: {},
    preferredAllocation: 'packed',
    allowHostUsed: false,
    health: {
      carrier: true,
      linkState: true,
      driver: true,
      representor: true,
      badAfter: 3000,
      goodAfter: 5000,
    },
    reset: 'none',
    restoreAfter: 0,
    ...changes,
  }
}

/** A config of the given pools. */
export function config(...pools: readonly PoolConfig[]): PluginConfig {
  return { pools, warnings: [] }
}

/** An entry of pfNames or rootDevices: `NAME`, or `NAME` with ranges. */
export function onPf(name: string, ...indexes: readonly (readonly [number, number])[]): PfSelector {
  const ranges = indexes.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
  if (ranges.length === 0) return { text: name, pf: name, indexes: undefined }
  return { text: `${name}#${ranges.join(',')}`, pf: name, indexes }
}
