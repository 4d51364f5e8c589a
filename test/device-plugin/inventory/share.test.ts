// A snapshot keeps the objects of the one before for devices and PFs that have not changed, and shows what has changed.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isSameNode, shared } from '../../../device-plugin/inventory/share.ts'
import { device, node, pf, snapshot } from '../../support/device-plugin/devices.ts'

test('of two looks at the same node the second has all objects of the first', () => {
  const [former, next] = [node(2, 4), { ...node(2, 4), number: 7, takenAt: 5 }]
  const now = shared(next, former)
  expect(isSameNode(now, former)).toBe(true)
  expect(isSameNode(next, former)).toBe(false)
  expect(now).toMatchObject({ number: 7, takenAt: 5 })
})

test('a device with another driver is new, and its neighbour is the same object', () => {
  const former = snapshot([device('0000:01:00.0'), device('0000:02:00.0')], [pf('0000:01:00.0', 'ens1')])
  const next = snapshot(
    [device('0000:01:00.0', { driver: 'vfio-pci' }), device('0000:02:00.0')],
    [pf('0000:01:00.0', 'ens1')],
  )
  const now = shared(next, former)
  expect(now.devices[0]).toBe(next.devices[0])
  expect(now.devices[1]).toBe(former.devices[1])
  expect(now.pfs).toBe(former.pfs)
  expect(isSameNode(now, former)).toBe(false)
})

test('a PF that loses its carrier is new', () => {
  const [up, down] = [pf('0000:01:00.0', 'ens1'), pf('0000:01:00.0', 'ens1', { trouble: 'is being reset' })]
  const [former, next] = [snapshot([], [up]), snapshot([], [down])]
  expect(shared(next, former).pfs.get('0000:01:00.0')).toBe(down)
  expect(isSameNode(shared(next, former), former)).toBe(false)
})

test('whatever came before, the content is that of the look itself', () => {
  const look = fc
    .array(
      fc.record({
        at: fc.integer({ min: 0, max: 5 }),
        driver: fc.constantFrom('igb', 'vfio-pci', undefined),
        numaNode: fc.constantFrom(0, 1),
      }),
      { maxLength: 6 },
    )
    .map((list) =>
      snapshot(
        [...new Map(list.map((one) => [one.at, one])).values()].map(({ at, ...facts }) =>
          device(`0000:0${at}:00.0`, facts),
        ),
        list.map(({ at, numaNode }) => pf(`0000:0${at}:00.0`, `ens${at}`, { numVfs: numaNode })),
      ),
    )
  fc.assert(
    fc.property(look, look, (former, next) => {
      const now = shared(next, former)
      expect(now).toEqual(next)
    }),
  )
})
