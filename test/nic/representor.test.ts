// The representor of a VF is found by switch id and port name.
import { describe, expect, test } from 'vitest'
import {
  type EswitchPort,
  placeOfPort,
  portAt,
  portsByPlace,
  representorOf,
} from '../../src/nic/representor.ts'

const pf0 = '0000:3b:00.0'
const pf1 = '0000:3b:00.1'
let next = 1
const port = (physPortName: string | undefined, more: Partial<EswitchPort> = {}): EswitchPort => {
  const ifindex = next++
  return { ifindex, name: `eth${ifindex}`, parent: pf0, physSwitchId: 'aa', physPortName, ...more }
}
const uplink = port('p0')
const find = (links: readonly EswitchPort[], vf: number, pf = pf0) =>
  representorOf([uplink, ...links], uplink, vf, pf)

describe('the representor of a VF', () => {
  test('has its index in the port name', () => {
    const ports = [port('pf0vf1'), port('pf0vf10'), port('pf0vf11'), port('pf0sf1'), port('pf0')]
    expect(find(ports, 1)).toBe(ports[0])
    expect(find(ports, 10)).toBe(ports[1])
    expect(find(ports, 0)).toBeUndefined()
  })

  test('is on the same eSwitch as the uplink', () => {
    const ports = [port('pf0vf1', { physSwitchId: 'bb' }), port('pf0vf1', { physSwitchId: undefined })]
    expect(find(ports, 1)).toBeUndefined()
    const bare = port('p0', { physSwitchId: undefined })
    expect(representorOf([bare, ...ports], bare, 1, pf0)).toBeUndefined()
  })

  test.each(['pf0vf1 ', 'xpf0vf1', 'pf0vf1s0', 'pfvf1', 'vf1', '', undefined])('is not called %j', (name) => {
    expect(find([port(name)], 1)).toBeUndefined()
  })

  test('of an EF100 is on the switch with the number of the uplink’s port, without a parent, and names port and PF', () => {
    const pf = port('p0', { physSwitchId: undefined, physPortId: '0200' })
    const more = { parent: undefined, physSwitchId: '0200' }
    const ports = [
      port('p0pf0vf1', more),
      port('p0pf0vf11', more),
      port('p1pf0vf0', { ...more, physSwitchId: '0201' }),
    ]
    expect(representorOf([pf, ...ports], pf, 1, pf0)).toBe(ports[0])
    expect(representorOf([pf, ...ports], pf, 0, pf0)).toBeUndefined()
    const other = port('p0pf1vf1', more)
    expect(representorOf([pf, other, ...ports], pf, 1, pf0)).toBe(ports[0])
    expect(representorOf([pf, other, ...ports], pf, 1, pf1)).toBe(other)
  })

  test('is not looked for by the port’s number where the uplink has one of its switch', () => {
    const both = port('p0', { physPortId: 'bb' })
    const ports = [port('pf0vf1', { physSwitchId: 'bb' }), port('pf0vf1')]
    expect(representorOf([both, ...ports], both, 1, pf0)).toBe(ports[1])
  })

  test('may belong to another controller, but one of the host comes first', () => {
    const [other, own] = [port('c1pf0vf1'), port('pf0vf1')]
    expect(find([other], 1)).toBe(other)
    expect(find([other, own], 1)).toBe(own)
  })

  test('where PFs share an eSwitch is the one whose parent is the PF', () => {
    const ports = [port('pf0vf1'), port('pf1vf1', { parent: pf1 })]
    expect(find(ports, 1)).toBe(ports[0])
    expect(find(ports, 1, pf1)).toBe(ports[1])
  })

  test('is never one whose parent is another PF, even if there is no other', () => {
    expect(find([port('pf1vf1', { parent: pf1 })], 1)).toBeUndefined()
  })

  test.each([undefined, 'eth0'])('where the parent is %j has the number of the PCI function', (parent) => {
    const ports = [port('pf0vf1', { parent }), port('pf1vf1', { parent })]
    expect(find(ports, 1)).toBe(ports[0])
    expect(find(ports, 1, pf1)).toBe(ports[1])
    expect(find(ports.slice(1), 1)).toBe(ports[1])
  })

  test('that could be several is an error that lists them', () => {
    const ports = [
      port('c1pf0vf1', { name: 'a', parent: undefined }),
      port('c2pf0vf1', { name: 'b', parent: undefined }),
    ]
    expect(() => find(ports, 1)).toThrow(
      'Cannot tell which interface is the representor of VF 1 of 0000:3b:00.0: a (c1pf0vf1), b (c2pf0vf1)',
    )
  })
})

describe('the port of a subfunction', () => {
  test('is found as that of a VF is', () => {
    const ports = [port('pf0sf88'), port('pf0vf88'), port('pf0sf8'), port('c1pf0sf9'), port('pf0sf9')]
    const byPlace = portsByPlace([uplink, ...ports], uplink)
    expect(portAt(byPlace, 'sf88', pf0)).toBe(ports[0])
    expect(portAt(byPlace, 'sf9', pf0)).toBe(ports[4])
    expect(portAt(byPlace, 'sf7', pf0)).toBeUndefined()
    expect(portAt(byPlace, 'sf88', pf1)).toBeUndefined()
  })

  test('that could be another one is named in the error', () => {
    const byPlace = portsByPlace([port('c1pf0sf3'), port('c2pf0sf3')], uplink)
    expect(() => portAt(byPlace, 'sf3', pf0)).toThrow(`the representor of SF 3 of ${pf0}`)
  })
})

test.each([
  ['pf0vf3', 'vf3'],
  ['c1pf10sf88', 'sf88'],
  ['p0pf0vf3', 'vf3'],
  ['p0', undefined],
  ['p0s1', undefined],
  ['p0pf0', undefined],
  ['pf0', undefined],
  ['pf0vf3x', undefined],
  [undefined, undefined],
])('the port name %s tells the place %s', (name, place) => {
  expect(placeOfPort(name)).toBe(place)
})
