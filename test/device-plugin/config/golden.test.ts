// Configs in the forms that are in use: those of the SR-IOV network operator, and those that the SR-IOV network device plugin documents.
// They are read without a mistake, and mean the same.
import { describe, expect, test } from 'vitest'
import type { Selector } from '../../../device-plugin/config/plugin-config.ts'
import { readPluginConfig } from '../../../device-plugin/config/read-config.ts'

/** By resource: type and selectors. */
const read = (config: unknown) => {
  const { pools, warnings } = readPluginConfig(JSON.stringify(config), { resourcePrefix: 'openshift.io' })
  expect(warnings).toEqual([])
  return Object.fromEntries(
    pools.map(({ resource, deviceType, selectors }) => [resource, [deviceType, ...selectors]]),
  )
}
const pf = (text: string, name: string, ...indexes: readonly (readonly [number, number])[]) => ({
  text,
  pf: name,
  indexes: indexes.length === 0 ? undefined : indexes,
})

describe('of the operator', () => {
  test('a node without a policy', () => {
    expect(read({ resourceList: null })).toEqual({})
  })

  test('fields without a tag have their names from Go, and those that mean nothing are null', () => {
    const selectors = {
      vendors: ['8086'],
      devices: ['154c'],
      drivers: ['vfio-pci'],
      pfNames: ['ens803f0#0-9'],
      rootDevices: ['0000:86:00.0'],
      IsRdma: false,
      NeedVhostNet: true,
    }
    expect(
      read({
        resourceList: [
          { resourceName: 'intelnics', selectors, SelectorObj: null },
          {
            resourceName: 'mlx',
            deviceType: 'netDevice',
            excludeTopology: true,
            selectors: {
              vendors: ['15b3'],
              pfNames: ['ens1f0#2-7', 'ens2f0'],
              linkTypes: ['infiniband'],
              IsRdma: true,
            },
            SelectorObjs: null,
          },
          {
            resourceName: 'vdpa',
            selectors: [{ vendors: ['15b3'], vdpaType: 'vhost', IsRdma: false }],
            'SelectorObj(s)': null,
          },
        ],
      }),
    ).toEqual({
      'openshift.io/intelnics': [
        'netDevice',
        {
          vendors: ['8086'],
          devices: ['154c'],
          drivers: ['vfio-pci'],
          pfNames: [pf('ens803f0#0-9', 'ens803f0', [0, 9])],
          rootDevices: [pf('0000:86:00.0', '0000:86:00.0')],
          needVhostNet: true,
        } satisfies Selector,
      ],
      'openshift.io/mlx': [
        'netDevice',
        {
          vendors: ['15b3'],
          pfNames: [pf('ens1f0#2-7', 'ens1f0', [2, 7]), pf('ens2f0', 'ens2f0')],
          linkTypes: ['infiniband'],
          isRdma: true,
        },
      ],
      'openshift.io/vdpa': ['netDevice', { vendors: ['15b3'], vdpaType: 'vhost' }],
    })
  })
})

describe('of the documentation', () => {
  test('every kind of pool', () => {
    const resourceList = [
      {
        resourceName: 'net',
        selectors: [{ vendors: ['8086'], devices: ['154c', '1889'], drivers: ['iavf', 'ixgbevf'] }],
      },
      {
        resourceName: 'dpdk',
        resourcePrefix: 'intel.com',
        selectors: [{ drivers: ['vfio-pci'], pfNames: ['enp0s0f0', 'enp2s2f1'], needVhostNet: true }],
      },
      {
        resourceName: 'rdma',
        resourcePrefix: 'mellanox.com',
        selectors: [{ vendors: ['15b3'], drivers: ['mlx5_ib'], isRdma: true }],
      },
      {
        resourceName: 'ib',
        selectors: [{ linkTypes: ['infiniband'], pKeys: ['0x1', '0xABCD', '0x50'], isRdma: true }],
      },
      { resourceName: 'vdpa', selectors: [{ vendors: ['15b3'], devices: ['101e'], vdpaType: 'virtio' }] },
      {
        resourceName: 'fpga',
        deviceType: 'accelerator',
        selectors: [{ vendors: ['8086'], devices: ['0d90'], acpiIndexes: ['101'] }],
      },
      {
        resourceName: 'sf',
        deviceType: 'auxNetDevice',
        selectors: [{ devices: ['a2d6'], pfNames: ['p0#1-5'], auxTypes: ['sf'] }],
      },
      { resourceName: 'old', selectors: { vendors: ['8086'] } },
      { resourceName: 'ddp', selectors: [{ ddpProfiles: ['GTPv1-C/U IPv4/IPv6 payload'] }] },
      { resourceName: 'virt', selectors: [{ pciAddresses: ['0000:00:09.0', '0000:00:0a.0'] }] },
      {
        resourceName: 'split',
        selectors: [{ pfNames: ['netpf0#0,2-7,9', 'netpf1#1'], rootDevices: ['0000:86:00.0#0-1,3'] }],
      },
      {
        resourceName: 'two',
        selectors: [
          { vendors: ['8086'], devices: ['154c'] },
          { vendors: ['8086'], needVhostNet: true },
        ],
      },
    ]
    expect(read({ resourceList })).toEqual({
      'openshift.io/net': [
        'netDevice',
        { vendors: ['8086'], devices: ['154c', '1889'], drivers: ['iavf', 'ixgbevf'] },
      ],
      'intel.com/dpdk': [
        'netDevice',
        {
          drivers: ['vfio-pci'],
          pfNames: [pf('enp0s0f0', 'enp0s0f0'), pf('enp2s2f1', 'enp2s2f1')],
          needVhostNet: true,
        },
      ],
      'mellanox.com/rdma': ['netDevice', { vendors: ['15b3'], drivers: ['mlx5_ib'], isRdma: true }],
      'openshift.io/ib': [
        'netDevice',
        { linkTypes: ['infiniband'], pKeys: ['0x0001', '0xabcd', '0x0050'], isRdma: true },
      ],
      'openshift.io/vdpa': ['netDevice', { vendors: ['15b3'], devices: ['101e'], vdpaType: 'virtio' }],
      'openshift.io/fpga': ['accelerator', { vendors: ['8086'], devices: ['0d90'], acpiIndexes: ['101'] }],
      'openshift.io/sf': [
        'auxNetDevice',
        { devices: ['a2d6'], pfNames: [pf('p0#1-5', 'p0', [1, 5])], auxTypes: ['sf'] },
      ],
      'openshift.io/old': ['netDevice', { vendors: ['8086'] }],
      'openshift.io/ddp': ['netDevice', { ddpProfiles: ['GTPv1-C/U IPv4/IPv6 payload'] }],
      'openshift.io/virt': ['netDevice', { pciAddresses: ['0000:00:09.0', '0000:00:0a.0'] }],
      'openshift.io/split': [
        'netDevice',
        {
          pfNames: [pf('netpf0#0,2-7,9', 'netpf0', [0, 0], [2, 7], [9, 9]), pf('netpf1#1', 'netpf1', [1, 1])],
          rootDevices: [pf('0000:86:00.0#0-1,3', '0000:86:00.0', [0, 1], [3, 3])],
        },
      ],
      'openshift.io/two': [
        'netDevice',
        { vendors: ['8086'], devices: ['154c'] },
        { vendors: ['8086'], needVhostNet: true },
      ],
    })
  })

  test('a hyphen in the name, a key of an older version, and additional information', () => {
    const { pools, warnings } = readPluginConfig(
      JSON.stringify({
        resourceList: [
          {
            resourceName: '10G-net',
            sriovMode: true,
            selectors: {},
            additionalInfo: { '*': { token: 'original' }, '0000:86:00.0': { token: 'specific' } },
          },
        ],
      }),
      { resourcePrefix: 'acme.com' },
    )
    expect(pools[0]).toMatchObject({
      resource: 'acme.com/10G-net',
      additionalInfo: { '*': { token: 'original' }, '0000:86:00.0': { token: 'specific' } },
    })
    expect(warnings).toEqual(['line 1, column 44: resourceList[0].sriovMode is not known and has no effect'])
  })
})
