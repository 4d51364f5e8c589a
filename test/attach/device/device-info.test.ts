// Device information with the kernel's facts: its whole text, the parts of the device plugin's text that stay, and a doubt for each
// thing that the kernel says otherwise.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type DeviceInfoFacts, deviceInfoOf } from '../../../src/attach/device/device-info.ts'

const address = '0000:3b:02.1'
const facts = (more: Partial<DeviceInfoFacts> = {}): DeviceInfoFacts => ({
  ...{
    address,
    pf: '0000:3b:00.0',
    representor: 'eth4',
    rdma: ['mlx5_3'],
    isVdpa: (name) => name === 'vdpa0',
  },
  ...more,
})
const whole =
  '{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:3b:02.1","rdma-device":"mlx5_3","pf-pci-address":"0000:3b:00.0","representor-device":"eth4"}}'

test('without a file the text has all that the kernel tells', () => {
  expect(deviceInfoOf(undefined, facts())).toEqual({ text: whole, doubts: [] })
})

test('a NIC without PF, representor and RDMA has its address alone', () => {
  const bare = facts({ pf: undefined, representor: undefined, rdma: [] })
  expect(deviceInfoOf(undefined, bare).text).toBe(
    '{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:3b:02.1"}}',
  )
})

test('a text that is right stays as it is', () => {
  expect(deviceInfoOf(whole, facts())).toEqual({ text: whole, doubts: [] })
})

test('vhost-net stays, and what the plugin left out is filled in', () => {
  const old = `{"type":"pci","version":"1.1.0","pci":{"pci-address":"${address}","vhost-net":"/dev/vhost-net"}}`
  const { text, doubts } = deviceInfoOf(old, facts())
  expect(JSON.parse(text)).toEqual({
    type: 'pci',
    version: '1.1.0',
    pci: { ...JSON.parse(whole).pci, 'vhost-net': '/dev/vhost-net' },
  })
  expect(doubts).toEqual([])
})

describe('a doubt', () => {
  const pci = (more: Record<string, unknown>) =>
    JSON.stringify({ type: 'pci', version: '1.1.0', pci: { 'pci-address': address, ...more } })
  const rows: readonly (readonly [old: string, more: Partial<DeviceInfoFacts>, doubt: string])[] = [
    [pci({ 'representor-device': 'eth9' }), {}, 'representor-device is "eth9", and the kernel has "eth4"'],
    [
      pci({ 'representor-device': 'eth9' }),
      { representor: undefined },
      'representor-device is "eth9", and the kernel has none',
    ],
    [
      pci({ 'pci-address': '0000:3b:02.7', 'vhost-net': '/dev/vhost-net' }),
      {},
      `pci-address is "0000:3b:02.7", and the device is "${address}"`,
    ],
    [pci({ 'pci-address': 7 }), {}, `pci-address is 7, and the device is "${address}"`],
    ['{"type":"pci","pci":{}}', {}, `pci-address is absent, and the device is "${address}"`],
    ['{"type":"memif","memif":{}}', {}, 'it is no device information of type pci or vdpa'],
    ['not JSON', {}, 'it is no device information of type pci or vdpa'],
    ['', {}, 'it is no device information of type pci or vdpa'],
  ]

  test.each(rows)('about %s', (old, more, doubt) => {
    const { text, doubts } = deviceInfoOf(old, facts(more))
    expect(doubts).toEqual([doubt])
    expect(text).toBe(deviceInfoOf(undefined, facts(more)).text)
  })
})

describe('vDPA', () => {
  const old = (parent: string) =>
    JSON.stringify({
      type: 'vdpa',
      version: '1.1.0',
      vdpa: { 'parent-device': parent, driver: 'vhost', path: '/dev/vhost-vdpa-0', 'pci-address': address },
    })

  test('of the device keeps its type, driver and path', () => {
    expect(deviceInfoOf(old('vdpa0'), facts())).toEqual({
      text: '{"type":"vdpa","version":"1.1.0","vdpa":{"parent-device":"vdpa0","driver":"vhost","path":"/dev/vhost-vdpa-0","pci-address":"0000:3b:02.1","pf-pci-address":"0000:3b:00.0","representor-device":"eth4"}}',
      doubts: [],
    })
  })

  test('of another device does not', () => {
    expect(deviceInfoOf(old('vdpa9'), facts())).toEqual({
      text: whole,
      doubts: [`parent-device is "vdpa9", and that is no vDPA device of "${address}"`],
    })
  })
})

test('whatever a file says, the text has the kernel’s facts and is understood again', () => {
  const told = fc.oneof(
    fc.string(),
    fc.json(),
    fc
      .record({ type: fc.constantFrom('pci', 'vdpa'), pci: fc.object(), vdpa: fc.object() })
      .map((value) => JSON.stringify(value)),
  )
  fc.assert(
    fc.property(told, (old) => {
      const { text } = deviceInfoOf(old, facts())
      expect(JSON.parse(text).pci).toMatchObject(JSON.parse(whole).pci)
      expect(deviceInfoOf(text, facts())).toEqual({ text, doubts: [] })
    }),
  )
})
