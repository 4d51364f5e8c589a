// Ids of devices of an inventory, told from those that other plugins give out.
import { expect, test } from 'vitest'
import { isDeviceId } from '../../../device-plugin/inventory/device-id.ts'

test.each(['0000:3b:10.1', '10000:00:01.0', 'mlx5_core.sf.2'])('%s is one', (id) => {
  expect(isDeviceId(id)).toBe(true)
})

test.each([
  '',
  '0',
  'GPU-12',
  'sf.2',
  'mlx5_core.sf.',
  'mlx5_core.eth.2',
  '0000:3b:10.1::0',
  'x'.repeat(600),
])('"%s" is none', (id) => {
  expect(isDeviceId(id)).toBe(false)
})
