// Suggestions for keys: a slip of the hand is led back, and a foreign word is led nowhere.
import { expect, test } from 'vitest'
import { poolKeys } from '../../../device-plugin/config/keys/keys.ts'
import { selectorKeys } from '../../../device-plugin/config/keys/selector-keys.ts'
import { nearest } from '../../../device-plugin/config/text/near.ts'

const pool = Object.keys(poolKeys)
const selector = Object.keys(selectorKeys)

test.each([
  ['resourcename', 'resourceName'],
  ['resource_name', 'resourceName'],
  ['selector', 'selectors'],
  ['excludeToplogy', 'excludeTopology'],
  ['allowHostUse', 'allowHostUsed'],
  ['sriovMode', undefined],
  ['x', undefined],
  ['', undefined],
  ['a'.repeat(100_000), undefined],
])('%s: %s', (text, name) => {
  expect(nearest(text, pool)).toBe(name)
})

test.each([
  ['vendor', 'vendors'],
  ['pfName', 'pfNames'],
  ['pciAddress', 'pciAddresses'],
  ['rdma', undefined],
  ['isRDMA', 'isRdma'],
  ['linkType', 'linkTypes'],
  ['macAddresses', undefined],
])('of a selector, %s: %s', (text, name) => {
  expect(nearest(text, selector)).toBe(name)
})
