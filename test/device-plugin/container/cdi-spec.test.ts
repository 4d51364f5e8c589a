// The text of a CDI spec and its reader, and the names of CDI: the forms that the library behind the runtimes takes.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cdiName, isCdiDevice, isCdiVendor } from '../../../device-plugin/container/cdi/names.ts'
import { readSpec, specText } from '../../../device-plugin/container/cdi/spec.ts'
import { poolConfig } from '../../support/device-plugin/members.ts'

const node = (path: string) => ({ hostPath: path, containerPath: path, permissions: 'rw' })
const kind = 'intel.com/net-pci'

describe('a spec', () => {
  test('a device without files is in none, and a spec without devices is none', () => {
    const devices = new Map([
      ['0000:3b:02.1', [node('/dev/uio0')]],
      ['0000:3b:02.0', []],
    ])
    expect(JSON.parse(specText({ kind, devices }) ?? '').devices).toHaveLength(1)
    expect(specText({ kind, devices: new Map([['0000:3b:02.0', []]]) })).toBeUndefined()
  })

  test('has the path in the container apart from that on the node', () => {
    const one = { hostPath: '/dev/vfio/noiommu-5', containerPath: '/dev/vfio/5', permissions: 'rw' }
    const text = specText({ kind, devices: new Map([['a', [one]]]) }) ?? ''
    expect(JSON.parse(text).devices[0].containerEdits.deviceNodes).toEqual([
      { path: '/dev/vfio/5', hostPath: '/dev/vfio/noiommu-5', permissions: 'rw' },
    ])
  })

  test('is read back as it was, whatever devices it has', () => {
    const id = fc.stringMatching(/^[A-Za-z0-9]([\w.:-]*[A-Za-z0-9])?$/)
    const path = fc.stringMatching(/^\/dev\/[a-z0-9/]+$/)
    const nodes = fc.array(fc.tuple(path, path), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(id, nodes), { selector: ([one]) => one, minLength: 1 }), (list) => {
        const devices = new Map(
          list.map(([one, pairs]) => [
            one,
            pairs.map(([hostPath, containerPath]) => ({ hostPath, containerPath, permissions: 'rw' })),
          ]),
        )
        expect(readSpec(specText({ kind, devices }) ?? '')).toEqual({ kind, devices })
      }),
    )
  })

  test.each([
    '',
    '{',
    'null',
    '{"cdiVersion":"0.5.0","kind":"a/b"}',
    '{"cdiVersion":"0.5.0","kind":"a/b","devices":[{}]}',
  ])('is none: %j', (text) => {
    expect(readSpec(text)).toBeUndefined()
  })
})

test.each([
  ['intel.com', true],
  ['a', true],
  ['A_b-c.d9', true],
  ['', false],
  ['9p', false],
  ['a.', false],
  ['a b', false],
] as const)('vendor %j: %s', (name, isGood) => {
  expect(isCdiVendor(name)).toBe(isGood)
})

test.each([
  ['0000:3b:02.1', true],
  ['mlx5_core.sf.4', true],
  ['9', true],
  ['', false],
  ['a:', false],
  ['a/b', false],
] as const)('device %j: %s', (name, isGood) => {
  expect(isCdiDevice(name)).toBe(isGood)
})

test('a qualified name', () => {
  expect(cdiName(poolConfig({ deviceType: 'auxNetDevice' }), 'mlx5_core.sf.4')).toBe(
    'intel.com/net-sf=mlx5_core.sf.4',
  )
})
