// Each operation has an inverse that takes it back.
import { describe, expect, test } from 'vitest'
import { invert } from '../../src/ops/invert.ts'
import type { Op } from '../../src/ops/op.ts'
import { everyOp, examples } from './examples.ts'

const leavesNothing: readonly string[] = [
  'announce',
  'neigh.use',
  'driver.rebind',
  'function.reset',
  'carried.give',
  'program.detach',
  'link.del',
  'link.flick',
  'ethtool.set',
  'netdev.set',
]
const invertible = everyOp.filter((op) => !leavesNothing.includes(op.do))

describe('invert', () => {
  test.each(invertible.map((op) => [op.do, op] as const))('%s: twice is the operation itself', (_, op) => {
    const inverse = invert(op)
    expect(inverse).not.toEqual(op)
    expect(invert(inverse as Op)).toEqual(op)
  })

  test('an announcement and a driver that has its device again leave nothing to take back', () => {
    expect(invert(examples.announce)).toBeUndefined()
    expect(invert(examples['driver.rebind'])).toBeUndefined()
  })

  test('swaps the value asked for with the one before', () => {
    const { set, was } = examples['vf.set']
    expect(invert(examples['vf.set'])).toEqual({ do: 'vf.set', pf: 'pf0', vf: 3, set: was, was: set })
    expect(invert(examples['sysctl.set'])).toMatchObject({ value: '0', was: '1' })
    expect(invert(examples['link.set'])).toMatchObject({
      side: 'pod',
      name: 'net1',
      set: { mac: '02:00:00:00:00:99', mtu: 1500, up: false },
    })
  })

  test('moves back under the name that the interface came with', () => {
    expect(invert(examples['link.move'])).toEqual({
      do: 'link.move',
      from: 'pod',
      name: 'net1',
      to: 'host',
      newName: 'pf0v3',
    })
  })

  test('a move back goes by the name, as the number may be another one; the number stays in what stays', () => {
    expect(invert({ ...examples['link.move'], ifindex: 7, up: true })).toEqual({
      ...invert(examples['link.move']),
      newIfindex: 7,
    })
    expect(invert(examples['link.set'])).toMatchObject({ ifindex: 7 })
    expect(invert({ ...examples['altname.add'], ifindex: 7 })).toMatchObject({ ifindex: 7 })
  })

  test.each([
    ['altname.add', 'altname.del'],
    ['addr.add', 'addr.del'],
    ['route.add', 'route.del'],
    ['rule.add', 'rule.del'],
    ['bridge.vlan.add', 'bridge.vlan.del'],
    ['clsact.add', 'clsact.del'],
    ['steer.add', 'steer.del'],
    ['shaper.add', 'shaper.del'],
    ['ifb.add', 'ifb.del'],
    ['detour.add', 'detour.del'],
    ['police.add', 'police.del'],
    ['guard.add', 'guard.del'],
    ['limiter.add', 'limiter.del'],
    ['meter.add', 'meter.del'],
    ['ports.reserve', 'ports.release'],
    ['nft.load', 'nft.drop'],
  ] as const)('%s and %s are each other’s inverse, with the same content', (forth, back) => {
    expect(invert(examples[forth])).toEqual(examples[back])
    expect(invert(examples[back])).toEqual(examples[forth])
  })
})
