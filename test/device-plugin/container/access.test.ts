// Device files and CDI names of a container: which files each kind of device brings, where they stand in the container, each once, and
// the refusal of a file that is missing.
import { describe, expect, test } from 'vitest'
import type { DeviceNode } from '../../../device-plugin/container/access.ts'
import { accessOf } from '../../../device-plugin/container/container-access.ts'
import { variableNames } from '../../../device-plugin/container/environment.ts'
import type { Device } from '../../../device-plugin/inventory/snapshot.ts'
import type { Member } from '../../../device-plugin/pools/pool.ts'
import { member, poolConfig, vf, vfioVf } from '../../support/device-plugin/members.ts'

type Cdi = Parameters<typeof accessOf>[2]['cdi']

function access(
  members: readonly Member[],
  { config = poolConfig(), cdi = 'off' as Cdi, absent = [''] } = {},
) {
  const names = variableNames([config]).get(config.resource)
  if (names === undefined) throw new RangeError('no such pool')
  return accessOf(config, members, { names, cdi, exists: (path) => !absent.includes(path) })
}

const shown = ({ hostPath, containerPath, permissions }: DeviceNode) =>
  `${hostPath}${hostPath === containerPath ? '' : ` as ${containerPath}`} ${permissions}`
const noCdev = ['/dev/iommu']

describe('device files', () => {
  const withCdev = (facts: Partial<Device> = {}) =>
    vfioVf(1, 41, { vfio: { group: 41, noIommu: false, cdev: 'vfio7' }, ...facts })
  const rdma = {
    device: 'mlx5_3',
    files: { uverbs: 'uverbs3', umad: 'umad3', issm: 'issm3', ucm: 'ucm3' },
    connectionManager: true,
    pKey: undefined,
  }
  const rows: readonly (readonly [what: string, members: readonly Member[], files: readonly string[]])[] = [
    ['network driver: none', [member(vf(1))], []],
    ['VFIO', [member(vfioVf(1))], ['/dev/vfio/vfio rw', '/dev/vfio/41 rw']],
    [
      'two of VFIO, one container file',
      [member(vfioVf(1)), member(vfioVf(2))],
      ['/dev/vfio/vfio rw', '/dev/vfio/41 rw', '/dev/vfio/42 rw'],
    ],
    [
      'two of one IOMMU group',
      [member(vfioVf(1, 9)), member(vfioVf(2, 9))],
      ['/dev/vfio/vfio rw', '/dev/vfio/9 rw'],
    ],
    [
      'without an IOMMU',
      [member(vfioVf(1, 5, { vfio: { group: 5, noIommu: true, cdev: undefined } }))],
      ['/dev/vfio/vfio rw', '/dev/vfio/noiommu-5 as /dev/vfio/5 rw'],
    ],
    [
      'the device’s own file, with /dev/iommu',
      [member(withCdev())],
      ['/dev/vfio/vfio rw', '/dev/vfio/41 rw', '/dev/vfio/devices/vfio7 rw', '/dev/iommu rw'],
    ],
    [
      'a kernel without groups',
      [member(vfioVf(1, 0, { vfio: { group: undefined, noIommu: false, cdev: 'vfio7' } }))],
      ['/dev/vfio/devices/vfio7 rw', '/dev/iommu rw'],
    ],
    [
      'a driver of VFIO under another name',
      [member(vfioVf(1, 41, { driver: 'mlx5_vfio_pci' }))],
      ['/dev/vfio/vfio rw', '/dev/vfio/41 rw'],
    ],
    ['UIO', [member(vf(1, { driver: 'uio_pci_generic', uio: 'uio0' }))], ['/dev/uio0 rw']],
    [
      'RDMA',
      [member(vf(1, { rdma }), { isRdma: true })],
      ['ucm3', 'issm3', 'umad3', 'uverbs3', 'rdma_cm'].map((name) => `/dev/infiniband/${name} rw`),
    ],
    ['RDMA that no selector asks for: none', [member(vf(1, { rdma }))], []],
    [
      'vhost-net',
      [member(vf(1), { needVhostNet: true }), member(vf(2), { needVhostNet: true })],
      ['/dev/vhost-net rw', '/dev/net/tun rw'],
    ],
    [
      'vDPA for vhost',
      [
        member(vf(1, { vdpa: { name: 'v', type: 'vhost', path: '/dev/vhost-vdpa-0' } }), {
          vdpaType: 'vhost',
        }),
      ],
      ['/dev/vhost-vdpa-0 rw'],
    ],
    [
      'vDPA for virtio: none',
      [member(vf(1, { vdpa: { name: 'v', type: 'virtio', path: undefined } }), { vdpaType: 'virtio' })],
      [],
    ],
  ]

  test.each(rows)('%s', (_, members, files) => {
    expect(access(members).deviceNodes.map(shown)).toEqual(files)
  })

  test('the device’s own file is left out where /dev/iommu is missing', () => {
    expect(access([member(withCdev())], { absent: noCdev }).deviceNodes.map(shown)).toEqual([
      '/dev/vfio/vfio rw',
      '/dev/vfio/41 rw',
    ])
  })

  test('a missing file is refused in one sentence', () => {
    expect(() => access([member(vfioVf(1))], { absent: ['/dev/vfio/41'] })).toThrow(
      /^Cannot give "0000:3b:02.1" to a container: the node has no \/dev\/vfio\/41$/,
    )
    expect(() => access([member(vf(1), { needVhostNet: true })], { absent: ['/dev/net/tun'] })).toThrow(
      /the node has no \/dev\/net\/tun$/,
    )
  })
})

describe('CDI', () => {
  const both = [member(vf(1)), member(vfioVf(2))]

  test('names in place of files, for those devices that have files', () => {
    expect(access(both, { cdi: 'names' })).toMatchObject({
      deviceNodes: [],
      cdiNames: ['intel.com/net-pci=0000:3b:02.2'],
    })
  })

  test('a missing file is refused all the same', () => {
    expect(() => access(both, { cdi: 'names', absent: ['/dev/vfio/42'] })).toThrow('/dev/vfio/42')
  })

  test.each([
    ['accelerator', 'intel.com/net-accel=0000:3b:02.2'],
    ['auxNetDevice', 'intel.com/net-sf=0000:3b:02.2'],
  ] as const)('class of type %s', (deviceType, name) => {
    const config = poolConfig({ deviceType })
    expect(access([member(vfioVf(2))], { config, cdi: 'names' }).cdiNames).toEqual([name])
  })

  test('a prefix that CDI has no kind for brings files', () => {
    const config = poolConfig({ prefix: '8086.example' })
    expect(access(both, { config, cdi: 'names' })).toMatchObject({
      cdiNames: [],
      deviceNodes: [{ hostPath: '/dev/vfio/vfio' }, { hostPath: '/dev/vfio/42' }],
    })
  })
})
