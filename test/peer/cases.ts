// Nodes and configs that both device plugins are shown. In: nothing. Out: a table; each entry lays out a fake root and has a config.
import type { FakeFunction } from '../../hack/lab/fake-root/descriptions.ts'
import type { FakeRoot } from '../../hack/lab/fake-root/fake-root.ts'

/** One node with one config. */
export interface PeerCase {
  readonly name: string
  readonly node: (root: FakeRoot) => void
  /** The text of the config file. */
  readonly config: string
  /** Arguments beyond the config file. */
  readonly args?: readonly string[]
  /** kubelet has no folder plugins_registry. */
  readonly oldKubelet?: boolean
  /** Commands for the network namespace, run by sh, once the interfaces are there. */
  readonly network?: string
  /** Ids that no pool has, asked of the first resource. */
  readonly unknown?: readonly string[]
}

const PF = '0000:3a:00.0'
const OTHER = '0000:3c:00.0'

/** An igb PF with VFs, whose interfaces are PF, PFv0, PFv1, ... */
function igb(
  root: FakeRoot,
  pf: string,
  name: string,
  vfs: number,
  describe: (index: number) => Partial<FakeFunction> = () => ({}),
): void {
  const numaNode = pf === PF ? 0 : 1
  root.addPf({ address: pf, driver: 'igb', numaNode, netdevs: [{ name }] })
  root.setVfs(pf, vfs, (index) => ({
    ...{ driver: 'igbvf', netdevs: [{ name: `${name}v${index}` }], iommuGroup: index + numaNode * 32 + 40 },
    ...describe(index),
  }))
}

function twoPfs(root: FakeRoot): void {
  igb(root, PF, 'ens0', 6)
  igb(root, OTHER, 'ens1', 4)
}

/** A Mellanox PF whose VFs have RDMA devices. */
function rdma(root: FakeRoot): void {
  root.addDeviceFile('infiniband/rdma_cm')
  const card = { vendor: '15b3', device: '101d', driver: 'mlx5_core' }
  root.addPf({ address: PF, ...card, vfDevice: '101e', netdevs: [{ name: 'ens0' }] })
  root.setVfs(PF, 3, (index) => {
    const number = index + 2
    const files = { uverbs: `uverbs${number}`, umad: `umad${number}`, issm: `issm${number}` }
    return {
      ...{ driver: 'mlx5_core', netdevs: [{ name: `ens0v${index}` }] },
      // The last VF has none.
      ...(index === 2 ? {} : { rdma: { name: `mlx5_${number}`, ...files } }),
    }
  })
}

/** Device files of VFIO, as drivers make them. */
function vfioFiles(root: FakeRoot, ...names: readonly string[]): void {
  for (const name of ['vfio', ...names]) root.addDeviceFile(`vfio/${name}`)
}

function vfio(root: FakeRoot): void {
  vfioFiles(root, '40', '41')
  igb(root, PF, 'ens0', 4, (index) => (index < 2 ? { driver: 'vfio-pci' } : {}))
}

const pool = (name: string, selectors: unknown, more: Readonly<Record<string, unknown>> = {}): object => ({
  resourceName: name,
  selectors,
  ...more,
})
const config = (...pools: readonly object[]): string => JSON.stringify({ resourceList: pools })

/** All cases, by name. */
export const peerCases: readonly PeerCase[] = [
  {
    name: 'ranges of a PF, and the first pool that selects a device has it',
    node: twoPfs,
    config: config(
      pool('first', [{ pfNames: ['ens0#0-1,4'] }]),
      pool('second', [{ pfNames: ['ens0', 'ens1#2'] }]),
      pool('rest', { vendors: ['8086'], drivers: ['igbvf'] }),
    ),
  },
  {
    name: 'selectors of PCI',
    node: (root) => {
      twoPfs(root)
      root.addFunction({ address: '0000:05:00.0', driver: 'e1000e', device: '10d3', acpiIndex: 7 })
    },
    config: config(
      pool('addresses', [{ pciAddresses: ['0000:3a:10.0', '0000:3c:10.2'] }]),
      pool('root', [{ rootDevices: [`${PF}#1-2`] }]),
      pool('index', [{ acpiIndexes: ['7'] }]),
      pool('product', [{ vendors: ['8086'], devices: ['10ca'], drivers: ['igbvf'] }]),
      pool('pf', [{ devices: ['10c9'] }]),
    ),
  },
  {
    name: 'a PF without VFs is offered',
    node: (root) => {
      root.addPf({ address: PF, driver: 'igb', netdevs: [{ name: 'ens0' }] })
      root.addFunction({ address: '0000:05:00.0', device: '10d3', netdevs: [] })
    },
    config: config(pool('any', [{}])),
  },
  {
    name: 'several selectors, in their order',
    node: twoPfs,
    config: config(
      pool('mixed', [{ pfNames: ['ens1#3'] }, { pfNames: ['ens0#5'], isRdma: false }, { drivers: ['none'] }]),
      pool('linked', [{ linkTypes: ['ether'], pfNames: ['ens0'] }]),
      pool('wrong', [{ linkTypes: ['infiniband'] }]),
    ),
  },
  {
    name: 'names, prefixes and topology',
    node: twoPfs,
    config: config(
      pool('with-hyphen', [{ pfNames: ['ens0#0'] }], { resourcePrefix: 'nic.example-1.com' }),
      pool('with_underscore', [{ pfNames: ['ens0#1'] }], { excludeTopology: true }),
      pool('UPPER', [{ pfNames: ['ens1'] }], { deviceType: 'netDevice' }),
    ),
    args: ['-resource-prefix', 'example.org'],
  },
  {
    name: 'keys in other cases, as operators write them',
    node: rdma,
    config: JSON.stringify({
      resourceList: [
        {
          ...{ ResourceName: 'rdma', RESOURCEPREFIX: 'openshift.io', SelectorObjs: null, SelectorObj: null },
          selectors: { Vendors: ['15b3'], pfnames: ['ens0#0-1'], IsRdma: true, NeedVhostNet: false },
        },
        { resourceName: 'plain', selectors: { vendors: ['15b3'] }, additionalInfo: null, unheard: 1 },
      ],
    }),
  },
  {
    name: 'vfio with IOMMU groups',
    node: vfio,
    config: config(pool('user', [{ drivers: ['vfio-pci'] }]), pool('kernel', [{ drivers: ['igbvf'] }])),
    unknown: ['0000:ff:00.0'],
  },
  {
    name: 'vfio without an IOMMU',
    node: (root) => {
      vfioFiles(root, 'noiommu-64', 'noiommu-65')
      root.addPf({ address: PF, driver: 'igb', netdevs: [{ name: 'ens0' }] })
      root.setVfs(PF, 2, () => ({ driver: 'vfio-pci' }))
    },
    config: config(pool('user', [{ drivers: ['vfio-pci'] }])),
  },
  {
    name: 'UIO',
    node: (root) => {
      for (const number of [0, 1]) root.addDeviceFile(`uio${number}`)
      igb(root, PF, 'ens0', 2, () => ({ driver: 'uio_pci_generic' }))
    },
    config: config(pool('user', [{ drivers: ['uio_pci_generic'] }])),
  },
  {
    name: 'UIO by igb_uio',
    node: (root) => {
      for (const number of [0, 1]) root.addDeviceFile(`uio${number}`)
      igb(root, PF, 'ens0', 2, () => ({ driver: 'igb_uio' }))
    },
    config: config(pool('user', [{ drivers: ['igb_uio'] }])),
  },
  {
    name: 'RDMA, and network devices of vhost',
    node: (root) => {
      rdma(root)
      for (const name of ['vhost-net', 'net/tun']) root.addDeviceFile(name)
    },
    config: config(
      pool('rdma', [{ isRdma: true, pfNames: ['ens0#0'] }]),
      pool('both', [{ isRdma: true, needVhostNet: true }]),
      pool('vhost', [{ needVhostNet: true, pfNames: ['ens0'] }]),
    ),
  },
  {
    name: 'vhost without its device files',
    node: twoPfs,
    config: config(pool('vhost', [{ needVhostNet: true, pfNames: ['ens1'] }])),
  },
  {
    name: 'additional information, with letters that Go escapes',
    node: twoPfs,
    config: config(
      pool('extra', [{ pfNames: ['ens1#0-1'] }], {
        additionalInfo: {
          '*': { token: 'a<b>&c\u2028"\\\u0001é', shared: 'all' },
          '0000:3c:10.0': { token: 'own', zebra: '1', alpha: '2' },
        },
      }),
    ),
  },
  {
    name: 'accelerators',
    node: (root) => {
      vfioFiles(root, '12', '13')
      for (const number of [0, 1])
        root.addFunction({
          ...{ address: `0000:5a:00.${number}`, device: '0d5c', pciClass: '120000', driver: 'vfio-pci' },
          ...{ numaNode: 1, iommuGroup: 12 + number },
        })
      twoPfs(root)
    },
    config: config(
      pool('fpga', [{ vendors: ['8086'], devices: ['0d5c'] }], { deviceType: 'accelerator' }),
      pool('none', [{ devices: ['0d5c'] }]),
    ),
  },
  {
    name: 'subfunctions',
    node: (root) => {
      root.addDeviceFile('infiniband/rdma_cm')
      const card = { vendor: '15b3', device: '101d', driver: 'mlx5_core', numaNode: 0 }
      root.addPf({ address: PF, ...card, netdevs: [{ name: 'ens0' }] })
      for (const number of [2, 3])
        root.addSf({
          ...{ pf: PF, name: `mlx5_core.sf.${number}`, sfnum: 86 + number },
          ...{ netdevs: [{ name: `ens0s${number}` }], rdma: { name: `mlx5_${number}` } },
        })
    },
    config: config(
      pool('sf', [{ auxTypes: ['sf'], pfNames: ['ens0'] }], {
        deviceType: 'auxNetDevice',
        additionalInfo: { [PF]: { note: 'by its parent' } },
      }),
      pool('sfrdma', [{ auxTypes: ['sf'], isRdma: true }], { deviceType: 'auxNetDevice' }),
    ),
  },
  {
    name: 'a device without a driver, and one that no pool selects',
    node: (root) => igb(root, PF, 'ens0', 3, (index) => (index === 1 ? { driver: 'none' } : {})),
    config: config(pool('vfs', [{ drivers: ['igbvf'] }])),
  },
  {
    name: 'a kubelet without plugins_registry',
    node: twoPfs,
    config: config(pool('vfs', [{ pfNames: ['ens0'] }]), pool('others', [{ pfNames: ['ens1'] }])),
    oldKubelet: true,
  },
  {
    name: 'CDI',
    node: vfio,
    config: config(pool('user', [{ drivers: ['vfio-pci'] }]), pool('kernel', [{ drivers: ['igbvf'] }])),
    args: ['-use-cdi'],
  },
  {
    name: 'CDI of RDMA and accelerators',
    node: (root) => {
      rdma(root)
      vfioFiles(root, '3')
      root.addFunction({
        address: '0000:5a:00.0',
        device: '0d5c',
        pciClass: '120000',
        driver: 'vfio-pci',
        iommuGroup: 3,
      })
    },
    config: config(
      pool('rdma', [{ isRdma: true }]),
      pool('fpga', [{ devices: ['0d5c'] }], { deviceType: 'accelerator' }),
    ),
    args: ['-use-cdi'],
  },
  {
    name: 'a pool without devices',
    node: twoPfs,
    config: config(pool('none', [{ vendors: ['15b3'] }]), pool('vfs', [{ pfNames: ['ens0'] }])),
  },
  {
    name: 'a PF that is named twice',
    node: twoPfs,
    config: config(pool('vfs', [{ pfNames: ['ens0#0-1', 'ens0#4'] }])),
  },
  {
    name: 'blanks in a range',
    node: twoPfs,
    config: config(pool('vfs', [{ pfNames: ['ens0#0, 2-3'] }])),
  },
  {
    name: 'a device with the default route',
    node: twoPfs,
    network: 'ip address add 192.0.2.1/24 dev ens1v3; ip route add default via 192.0.2.2',
    config: config(pool('vfs', [{ pfNames: ['ens1'] }])),
  },
  {
    name: 'a device in a bridge',
    node: twoPfs,
    network: 'ip link add br0 type bridge; ip link set ens1v3 master br0',
    config: config(pool('vfs', [{ pfNames: ['ens1'] }])),
  },
  { name: 'no pool at all', node: twoPfs, config: '{"resourceList":null}' },
  { name: 'text that is no JSON', node: twoPfs, config: '{"resourceList":[' },
  {
    name: 'a name that is used twice',
    node: twoPfs,
    config: config(pool('vfs', [{ pfNames: ['ens0'] }]), pool('vfs', [{ pfNames: ['ens1'] }])),
  },
  {
    name: 'a type of device that there is not',
    node: twoPfs,
    config: config(pool('vfs', [{ pfNames: ['ens0'] }], { deviceType: 'netDevices' })),
  },
  { name: 'a pool without selectors', node: twoPfs, config: '{"resourceList":[{"resourceName":"vfs"}]}' },
  {
    name: 'a pool whose selectors are no list, beside a good one',
    node: twoPfs,
    config: config(pool('bad', 'ens0'), pool('vfs', [{ pfNames: ['ens1'] }])),
  },
  {
    name: 'a reversed range',
    node: twoPfs,
    config: config(pool('vfs', [{ pfNames: ['ens0#3-1'] }]), pool('others', [{ pfNames: ['ens1'] }])),
  },
  {
    name: 'texts in forms that sysfs has not',
    node: twoPfs,
    config: config(
      pool('vendor', [{ vendors: ['0x8086'], pfNames: ['ens0'] }]),
      pool('address', [{ pciAddresses: ['0000:3C:10.0'] }]),
    ),
  },
  {
    name: 'acpiIndexes of accelerators',
    node: (root) => {
      vfioFiles(root, '12', '13')
      for (const number of [0, 1])
        root.addFunction({
          ...{ address: `0000:5a:00.${number}`, device: '0d5c', pciClass: '120000', driver: 'vfio-pci' },
          ...{ acpiIndex: 4 + number, iommuGroup: 12 + number },
        })
    },
    config: config(pool('fpga', [{ acpiIndexes: ['5'] }], { deviceType: 'accelerator' })),
  },
]
