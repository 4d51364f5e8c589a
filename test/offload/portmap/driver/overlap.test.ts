// Two filters overlap when one frame can match both and they do different things with it.
import { describe, expect, test } from 'vitest'
import { firstOverlap } from '../../../../src/offload/portmap/driver/overlap.ts'
import type { FlowFilter } from '../../../../src/ops/op.ts'

const base: FlowFilter = {
  ...{ link: 'pf0', ifindex: 2, prio: 10, address: '10.1.0.5', proto: 'tcp', port: 80 },
  ...{ out: { link: 'rep0', ifindex: 7 }, cookie: '7666' },
}
const filter = (more: Partial<FlowFilter>): FlowFilter => ({ ...base, ...more })
const wide = (more: Partial<FlowFilter> = {}): FlowFilter => {
  const { proto: _, port: __, ...rest } = base
  return { ...rest, prio: 5, verdict: 'pass', ...more }
}
/** The same both ways round. */
const overlaps = (one: FlowFilter, other: FlowFilter): boolean => {
  const [there, back] = [firstOverlap([one, other]), firstOverlap([other, one])]
  expect(there === undefined).toBe(back === undefined)
  return there !== undefined
}

describe('overlap', () => {
  test.each([
    ['an address, and a port of it', wide(), base],
    ['a network of the other end', base, filter({ peer: '10.9.0.0/24', srcMac: '02:00:00:00:00:01' })],
    [
      'a network in a network',
      filter({ peer: '10.9.0.0/16' }),
      filter({ peer: '10.9.7.0/24', verdict: 'drop' }),
    ],
    ['from here and to there', wide({ side: 'src', address: '10.9.0.1' }), base],
    ['a MAC address, and none', wide({ mac: '02:00:00:00:00:06' }), base],
    ['no fragment, and whatever', filter({ fragments: 'none' }), filter({ verdict: 'pass' })],
    ['one key twice', base, filter({ prio: 7, verdict: 'pass' })],
    ['other rewritten ports', base, filter({ prio: 7, to: { address: '10.1.0.9', port: 1 } })],
    ['IPv6', wide({ address: 'fd00::5' }), filter({ address: 'fd00::5' })],
  ])('%s', (_, one, other) => {
    expect(overlaps(one, other)).toBe(true)
  })

  test.each([
    ['the same outcome, whoever they are of', base, filter({ peer: '10.9.0.0/24', cookie: '01' })],
    ['another interface', wide({ ifindex: 3 }), base],
    ['another family', wide({ address: 'fd00::5' }), base],
    ['a tag', wide({ vlan: 100 }), base],
    ['another tag', wide({ vlan: 100 }), filter({ vlan: 101 })],
    ['another protocol', filter({ proto: 'udp', verdict: 'pass' }), base],
    ['another port', filter({ port: 81, verdict: 'pass' }), base],
    ['another address', wide({ address: '10.1.0.6' }), base],
    [
      'networks side by side',
      filter({ peer: '10.9.0.0/24' }),
      filter({ peer: '10.9.1.0/25', verdict: 'drop' }),
    ],
    ['from the one, and from another', wide({ side: 'src', address: '10.9.0.1' }), filter({ side: 'src' })],
    [
      'another MAC address',
      wide({ mac: '02:00:00:00:00:06' }),
      filter({ mac: '02:00:00:00:00:07', verdict: 'drop' }),
    ],
    ['fragments, and none', filter({ fragments: 'none' }), filter({ fragments: 'only', verdict: 'drop' })],
  ] as const)('none: %s', (_, one, other) => {
    expect(overlaps(one, other)).toBe(false)
  })

  test('the pair is found among thousands', () => {
    const many = Array.from({ length: 4000 }, (_, at) => filter({ port: at, srcMac: '02:00:00:00:00:01' }))
    expect(firstOverlap(many)).toBeUndefined()
    const one = wide({ address: '10.1.0.5' })
    expect(firstOverlap([...many, one])).toEqual([many[0], one])
  })
})
