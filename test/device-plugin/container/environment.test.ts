// The variables of a container: names and values that programs for the SR-IOV network device plugin read, byte for byte, and ours
// beside them. The expected texts are written by hand from the documented meaning: sorted keys, Go's escapes for HTML.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { environmentOf, variableNames } from '../../../device-plugin/container/environment.ts'
import { goJson } from '../../../device-plugin/container/go-json.ts'
import { NotReady } from '../../../device-plugin/container/not-ready.ts'
import type { Member } from '../../../device-plugin/pools/pool.ts'
import { member, netdev, poolConfig, vf, vfioVf } from '../../support/device-plugin/members.ts'

const info = 'PCIDEVICE_INTEL_COM_SRIOV_INFO'

function environment(members: readonly Member[], config = poolConfig(), others = [config]) {
  const names = variableNames(others).get(config.resource)
  if (names === undefined) throw new RangeError('no such pool')
  return environmentOf(config, members, names)
}

describe('_INFO', () => {
  const rdma = {
    device: 'mlx5_3',
    files: { uverbs: 'uverbs3', umad: 'umad3', issm: 'issm3', ucm: 'ucm3' },
    connectionManager: true,
    pKey: undefined,
  }
  const rows: readonly (readonly [what: string, one: Member, text: string])[] = [
    ['network driver', member(vf(1)), '{"0000:3b:02.1":{"generic":{"deviceID":"0000:3b:02.1"}}}'],
    [
      'VFIO',
      member(vfioVf(1)),
      '{"0000:3b:02.1":{"generic":{"deviceID":"0000:3b:02.1"},"vfio":{"dev-mount":"/dev/vfio/41","mount":"/dev/vfio/vfio"}}}',
    ],
    [
      'VFIO without an IOMMU: the path in the container',
      member(vfioVf(1, 5, { vfio: { group: 5, noIommu: true, cdev: undefined } })),
      '{"0000:3b:02.1":{"generic":{"deviceID":"0000:3b:02.1"},"vfio":{"dev-mount":"/dev/vfio/5","mount":"/dev/vfio/vfio"}}}',
    ],
    [
      'UIO, in the first answer too',
      member(vf(1, { driver: 'igb_uio', uio: 'uio4' })),
      '{"0000:3b:02.1":{"generic":{"deviceID":"0000:3b:02.1"},"uio":{"mount":"/dev/uio4"}}}',
    ],
    [
      'RDMA',
      member(vf(1, { rdma }), { isRdma: true }),
      '{"0000:3b:02.1":{"generic":{"deviceID":"0000:3b:02.1"},"rdma":{"issm":"/dev/infiniband/issm3","rdma_cm":"/dev/infiniband/rdma_cm","rdma_dev":"mlx5_3","umad":"/dev/infiniband/umad3","uverbs":"/dev/infiniband/uverbs3"}}}',
    ],
    [
      'RDMA that no selector asks for',
      member(vf(1, { rdma })),
      '{"0000:3b:02.1":{"generic":{"deviceID":"0000:3b:02.1"}}}',
    ],
    [
      'vhost-net',
      member(vf(1), { needVhostNet: true }),
      '{"0000:3b:02.1":{"generic":{"deviceID":"0000:3b:02.1"},"vhost":{"net-mount":"/dev/vhost-net","tun-mount":"/dev/net/tun"}}}',
    ],
    [
      'vDPA for vhost, in the first answer too',
      member(vf(1, { vdpa: { name: 'vdpa0', type: 'vhost', path: '/dev/vhost-vdpa-0' } }), {
        vdpaType: 'vhost',
      }),
      '{"0000:3b:02.1":{"generic":{"deviceID":"0000:3b:02.1"},"vdpa":{"mount":"/dev/vhost-vdpa-0"}}}',
    ],
    [
      'vDPA for virtio',
      member(vf(1, { vdpa: { name: 'vdpa0', type: 'virtio', path: undefined } }), { vdpaType: 'virtio' }),
      '{"0000:3b:02.1":{"generic":{"deviceID":"0000:3b:02.1"},"vdpa":{}}}',
    ],
  ]

  test.each(rows)('%s', (_, one, text) => {
    expect(environment([one])[info]).toBe(text)
  })

  test('several devices stand in the order of their ids, the list of ids in that of the request', () => {
    const env = environment([member(vf(3)), member(vf(1))])
    expect(env.PCIDEVICE_INTEL_COM_SRIOV).toBe('0000:3b:02.3,0000:3b:02.1')
    expect(env[info]).toBe(
      '{"0000:3b:02.1":{"generic":{"deviceID":"0000:3b:02.1"}},"0000:3b:02.3":{"generic":{"deviceID":"0000:3b:02.3"}}}',
    )
  })

  test('additionalInfo: all devices, then the one; nothing for others but an empty section', () => {
    const config = poolConfig({
      additionalInfo: { '*': { token: 'a<b>&c', zone: 'x' }, '0000:3b:02.1': { zone: 'y' } },
    })
    expect(environment([member(vf(1))], config)[info]).toBe(
      '{"0000:3b:02.1":{"extra":{"token":"a\\u003cb\\u003e\\u0026c","zone":"y"},"generic":{"deviceID":"0000:3b:02.1"}}}',
    )
    const single = poolConfig({ additionalInfo: { '0000:3b:02.1': { zone: 'y' } } })
    expect(environment([member(vf(2))], single)[info]).toBe(
      '{"0000:3b:02.2":{"extra":{},"generic":{"deviceID":"0000:3b:02.2"}}}',
    )
  })

  test('additionalInfo of a subfunction is by the function that carries it', () => {
    const config = poolConfig({ deviceType: 'auxNetDevice', additionalInfo: { '0000:3b:00.0': { a: 'b' } } })
    const sf = vf(4, { id: 'mlx5_core.sf.4', type: 'auxNetDevice', pci: '0000:3b:00.0' })
    expect(environment([member(sf)], config)[info]).toBe(
      '{"mlx5_core.sf.4":{"extra":{"a":"b"},"generic":{"deviceID":"mlx5_core.sf.4"}}}',
    )
  })

  test('a selector that asks for a device that is not there now is refused', () => {
    const hidden = { device: '', files: {}, connectionManager: true, pKey: undefined }
    for (const one of [vf(1), vf(1, { rdma: hidden })])
      expect(() => environment([member(one, { isRdma: true })])).toThrow(NotReady)
    expect(() => environment([member(vf(1), { vdpaType: 'vhost' })])).toThrow(
      'Cannot give "0000:3b:02.1" to a container: it has no vDPA device of type vhost now',
    )
  })
})

describe('names', () => {
  test('a name with "-" comes a second time, as one that a shell can read', () => {
    const config = poolConfig({ prefix: 'nic-vendor.example', name: 'fast-vf' })
    const env = environment([member(vf(1))], config)
    expect(Object.keys(env)).toEqual([
      'PCIDEVICE_NIC-VENDOR_EXAMPLE_FAST-VF',
      'PCIDEVICE_NIC_VENDOR_EXAMPLE_FAST_VF',
      'PCIDEVICE_NIC-VENDOR_EXAMPLE_FAST-VF_INFO',
      'PCIDEVICE_NIC_VENDOR_EXAMPLE_FAST_VF_INFO',
      'PCIDEVICE_NIC-VENDOR_EXAMPLE_FAST-VF_VF',
      'PCIDEVICE_NIC_VENDOR_EXAMPLE_FAST_VF_VF',
    ])
  })

  test('a second name that another pool has is left out, a compatible one never', () => {
    const dash = poolConfig({ name: 'a-b' })
    const line = poolConfig({ name: 'a_b' })
    const names = variableNames([dash, line])
    expect(names.get(dash.resource)?.ids).toEqual(['PCIDEVICE_INTEL_COM_A-B'])
    expect(names.get(line.resource)?.ids).toEqual(['PCIDEVICE_INTEL_COM_A_B'])
    const short = poolConfig({ name: 'a' })
    const long = poolConfig({ name: 'a_vf' })
    const others = variableNames([short, long])
    expect(others.get(short.resource)?.vf).toEqual([])
    expect(others.get(long.resource)?.ids).toEqual(['PCIDEVICE_INTEL_COM_A_VF'])
  })

  test('no name of a pool is a name of another one, unless both are compatible names', () => {
    const word = fc.string({
      unit: fc.constantFrom('a', 'b', '-', '_', 'v', 'f'),
      minLength: 1,
      maxLength: 5,
    })
    fc.assert(
      fc.property(fc.uniqueArray(word, { minLength: 2, maxLength: 6 }), (words) => {
        const names = [...variableNames(words.map((name) => poolConfig({ name }))).values()]
        const all = names.map(({ ids, info, vf: place }) => [...ids, ...info, ...place])
        const fixed = new Set(names.flatMap(({ ids, info }) => [ids[0], info[0]]))
        for (const [index, own] of all.entries()) {
          const foreign = new Set(all.flatMap((list, other) => (other === index ? [] : list)))
          for (const name of own) expect(foreign.has(name) && !fixed.has(name)).toBe(false)
        }
      }),
    )
  })
})

test('_VF tells the place of a VF, and nothing of a device without a PF', () => {
  const env = environment([member(vf(2, { representor: netdev('eth4') })), member(vf(3))])
  expect(env.PCIDEVICE_INTEL_COM_SRIOV_VF).toBe(
    '{"0000:3b:02.2":{"index":"2","pf":"0000:3b:00.0","representor":"eth4"},"0000:3b:02.3":{"index":"3","pf":"0000:3b:00.0"}}',
  )
  expect(Object.keys(environment([member(vf(0, { pf: undefined }))]))).toEqual([
    'PCIDEVICE_INTEL_COM_SRIOV',
    info,
  ])
})

describe('JSON as Go prints it', () => {
  test('keys in the order of UTF-8 bytes, which that of UTF-16 is not', () => {
    expect(goJson({ '\u{10000}': 'a', '\uff5e': 'b', B: 'c', a: 'd' })).toBe(
      '{"B":"c","a":"d","\uff5e":"b","\u{10000}":"a"}',
    )
  })

  test('escapes', () => {
    expect(goJson('<>&\u2028\u2029"\\\b\f\n\r\t\u0001\u007f\ud800')).toBe(
      '"\\u003c\\u003e\\u0026\\u2028\\u2029\\"\\\\\\b\\f\\n\\r\\t\\u0001\u007f\ufffd"',
    )
  })

  test('any text is read back as it is, and has no character that HTML knows', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' })), (map) => {
        const text = goJson(map)
        expect(JSON.parse(text)).toEqual(map)
        expect(text).not.toMatch(/[<>&]/)
      }),
    )
  })
})
