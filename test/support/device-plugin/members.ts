// Members of pools for tests of the device plugin's container part: whole values, of which a test names the facts that it is about.
import type { PoolConfig, Selector } from '../../../device-plugin/config/plugin-config.ts'
import type { Device, Netdev } from '../../../device-plugin/inventory/snapshot.ts'
import type { Member, Pool } from '../../../device-plugin/pools/pool.ts'

/** A VF of 0000:3b:00.0 on a network driver; `facts` replace its own. */
export function vf(index: number, facts: Partial<Device> = {}): Device {
  const address = facts.pci ?? `0000:3b:02.${index}`
  return {
    id: address,
    type: 'netDevice',
    pci: address,
    vendor: '8086',
    product: '154c',
    pciClass: '020000',
    driver: 'iavf',
    numaNode: 0,
    acpiIndex: undefined,
    pciPath: [address],
    netdevs: [],
    pf: { address: '0000:3b:00.0', index },
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
    ...facts,
  }
}

/** An interface by its name. */
export function netdev(name: string): Netdev {
  return { name, altnames: [], ifindex: 7, mac: '02:00:00:00:00:07', up: true, carrier: true }
}

/** A pool `intel.com/sriov`; `config` replaces its keys. */
export function poolConfig(config: Partial<PoolConfig> = {}): PoolConfig {
  const { prefix = 'intel.com', name = 'sriov' } = config
  return {
    resource: `${prefix}/${name}`,
    prefix,
    name,
    deviceType: 'netDevice',
    excludeTopology: false,
    selectors: [],
    additionalInfo: {},
    preferredAllocation: 'packed',
    allowHostUsed: false,
    health: { carrier: true, linkState: true, driver: true, representor: true, badAfter: 0, goodAfter: 0 },
    reset: 'none',
    restoreAfter: 0,
    ...config,
  }
}

/** A member that a selector has matched. */
export function member(device: Device, selector: Selector = {}): Member {
  return { device, selector }
}

/** A pool of members. */
export function pool(config: PoolConfig, members: readonly Member[]): Pool {
  return { config, members }
}

/** A VF on vfio-pci in an IOMMU group of its own. */
export function vfioVf(index: number, group = 40 + index, facts: Partial<Device> = {}): Device {
  return vf(index, { driver: 'vfio-pci', vfio: { group, noIommu: false, cdev: undefined }, ...facts })
}
