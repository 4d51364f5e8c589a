// Device information for Multus: the whole text of each kind of device, file names, and files that stay while a pod has the device.
import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { deviceInfoText } from '../../../device-plugin/container/device-info/form.ts'
import {
  deviceInfoFile,
  sweepDeviceInfo,
  writeDeviceInfo,
} from '../../../device-plugin/container/device-info/store.ts'
import type { Member } from '../../../device-plugin/pools/pool.ts'
import { member, netdev, poolConfig, vf, vfioVf } from '../../support/device-plugin/members.ts'
import { temporaryFolder } from '../../support/device-plugin/temporary-folder.ts'

describe('text', () => {
  const rdma = { device: 'mlx5_3', files: {}, connectionManager: false, pKey: undefined }
  const vhost = { name: 'vdpa0', type: 'vhost', path: '/dev/vhost-vdpa-0' } as const
  const virtio = { name: 'vdpa0', type: 'virtio', path: undefined } as const
  const rows: readonly (readonly [what: string, one: Member, text: string])[] = [
    [
      'VF',
      member(vf(1)),
      '{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:3b:02.1","pf-pci-address":"0000:3b:00.0"}}',
    ],
    [
      'VF with all that there is',
      member(vf(1, { rdma, representor: netdev('eth4') }), { isRdma: true, needVhostNet: true }),
      '{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:3b:02.1","vhost-net":"/dev/vhost-net","rdma-device":"mlx5_3","pf-pci-address":"0000:3b:00.0","representor-device":"eth4"}}',
    ],
    [
      'VF whose RDMA device is in a pod',
      member(vf(1, { pf: undefined, rdma: { ...rdma, device: '' } })),
      '{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:3b:02.1"}}',
    ],
    [
      'PF',
      member(vf(0, { pf: undefined })),
      '{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:3b:02.0"}}',
    ],
    [
      'vDPA for vhost',
      member(vf(1, { vdpa: vhost, representor: netdev('eth4') }), { vdpaType: 'vhost' }),
      '{"type":"vdpa","version":"1.1.0","vdpa":{"parent-device":"vdpa0","driver":"vhost","path":"/dev/vhost-vdpa-0","pci-address":"0000:3b:02.1","pf-pci-address":"0000:3b:00.0","representor-device":"eth4"}}',
    ],
    [
      'vDPA for virtio',
      member(vf(1, { vdpa: virtio }), { vdpaType: 'virtio' }),
      '{"type":"vdpa","version":"1.1.0","vdpa":{"parent-device":"vdpa0","driver":"virtio","pci-address":"0000:3b:02.1","pf-pci-address":"0000:3b:00.0"}}',
    ],
  ]

  test.each(rows)('%s', (_, one, text) => {
    expect(deviceInfoText(one)).toBe(text)
  })

  test.each(['accelerator', 'auxNetDevice'] as const)('none for an %s', (type) => {
    expect(deviceInfoText(member(vf(1, { type })))).toBeUndefined()
  })
})

describe('files', () => {
  const resource = 'intel.com/sriov'
  const file = (id: string) => `intel.com-sriov-${id}-device.json`
  const old = (path: string) => utimesSync(path, 1000, 1000)

  test('Multus finds a file by resource and id', () => {
    expect(deviceInfoFile(resource, '0000:3b:02.1')).toBe(file('0000:3b:02.1'))
    expect(deviceInfoFile('a/b', 'c/d')).toBe('a-b-c-d-device.json')
  })

  test('are written whole, for reading only, and again', () => {
    const folder = `${temporaryFolder()}/devinfo/dp`
    writeDeviceInfo(folder, poolConfig(), [member(vf(1)), member(vfioVf(2))])
    const path = `${folder}/${file('0000:3b:02.1')}`
    expect(readdirSync(folder)).toEqual([file('0000:3b:02.1'), file('0000:3b:02.2')])
    expect(statSync(path).mode & 0o777).toBe(0o444)
    expect(statSync(folder).mode & 0o777).toBe(0o755)
    writeDeviceInfo(folder, poolConfig(), [member(vf(1, { representor: netdev('eth9') }))])
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ pci: { 'representor-device': 'eth9' } })
  })

  test('go when no pod has the device, but not at once', () => {
    const folder = temporaryFolder()
    writeDeviceInfo(folder, poolConfig(), [member(vf(1)), member(vf(2)), member(vf(3))])
    for (const index of [1, 2]) old(`${folder}/${file(`0000:3b:02.${index}`)}`)
    expect(sweepDeviceInfo(folder, [resource], new Set(['0000:3b:02.2']))).toEqual([file('0000:3b:02.1')])
    expect(readdirSync(folder)).toEqual([file('0000:3b:02.2'), file('0000:3b:02.3')])
  })

  test('of a device that is given out again are young again, though they say the same', () => {
    const folder = temporaryFolder()
    writeDeviceInfo(folder, poolConfig(), [member(vf(1))])
    old(`${folder}/${file('0000:3b:02.1')}`)
    writeDeviceInfo(folder, poolConfig(), [member(vf(1))])
    expect(sweepDeviceInfo(folder, [resource], new Set())).toEqual([])
  })

  test('of other resources and programs are not touched', () => {
    const folder = temporaryFolder()
    const foreign = [
      'intel.com-sriov-b-0000:3b:02.1-device.json',
      'intel.com-sriov-0000:3b:02.1-device.json.bak',
      'intel.com-sriov-mlx5_core.sf.4-device.json',
      'nvidia.com-sriov-0000:3b:02.1-device.json',
      'notes',
    ]
    for (const name of foreign) {
      writeFileSync(`${folder}/${name}`, '{}')
      old(`${folder}/${name}`)
    }
    expect(sweepDeviceInfo(folder, [resource], new Set())).toEqual([])
    expect(readdirSync(folder).sort()).toEqual([...foreign].sort())
  })

  test('that a killed process has left half written go when they are old', () => {
    const folder = temporaryFolder()
    mkdirSync(folder, { recursive: true })
    const name = `.${file('0000:3b:02.1')}.77.tmp`
    writeFileSync(`${folder}/${name}`, '{')
    old(`${folder}/${name}`)
    expect(sweepDeviceInfo(folder, [resource], new Set())).toEqual([name])
  })

  test('no folder: nothing to remove', () => {
    expect(sweepDeviceInfo(`${temporaryFolder()}/none`, [resource], new Set())).toEqual([])
  })
})
