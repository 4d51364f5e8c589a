// The attributes of a VF have words, texts to compare and keys of a config, each in one table.
import { describe, expect, test } from 'vitest'
import type { VfAttributes } from '../../src/ops/op.ts'
import { differingVf, vfAttributeNames, vfAttributes, vfText, vfWords } from '../../src/ops/vf-attributes.ts'

const all: Required<VfAttributes> = {
  mac: '02:00:00:00:00:05',
  vlan: { id: 100, qos: 3, proto: 0x88a8 },
  rate: { min: 10, max: 100 },
  spoofchk: false,
  trust: true,
  linkState: 'disable',
}

test('words are those of ip', () => {
  expect(vfWords(all)).toBe(
    'mac 02:00:00:00:00:05 vlan 100 qos 3 proto 802.1ad max_tx_rate 100 min_tx_rate 10 spoofchk off trust on state disable',
  )
  expect(vfWords({ vlan: { id: 0, qos: 0, proto: 0x8100 } })).toBe('vlan 0')
  expect(vfWords({ mac: undefined })).toBe('')
})

describe('attributes that differ', () => {
  test('are none where all are the same, and all where nothing is reported', () => {
    expect(differingVf(all, { ...all, vlan: { proto: 0x88a8, qos: 3, id: 100 } })).toEqual({})
    expect(differingVf(all, {})).toEqual(all)
    expect(differingVf({ mac: undefined }, all)).toEqual({})
  })

  test.each<VfAttributes>([
    { mac: '02:00:00:00:00:06' },
    { vlan: { id: 101, qos: 3, proto: 0x88a8 } },
    { vlan: { id: 100, qos: 2, proto: 0x88a8 } },
    { vlan: { id: 100, qos: 3, proto: 0x8100 } },
    { rate: { min: 11, max: 100 } },
    { rate: { min: 10, max: 101 } },
    { spoofchk: true },
    { trust: false },
    { linkState: 'auto' },
  ])('%j', (wanted) => {
    expect(differingVf({ ...all, ...wanted }, all)).toEqual(wanted)
  })
})

test('each has a text by which it is compared, and the key of a config', () => {
  expect(vfAttributeNames).toEqual(Object.keys(all))
  for (const name of vfAttributeNames) {
    expect(vfText(all, name)).not.toBe('')
    expect(vfAttributes[name].key).not.toBe('')
  }
})
