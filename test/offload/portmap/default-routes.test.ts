// ADD notes the default routes of a pod behind a veth pair, and CHECK misses them, where other plugins of the list move
// routes.
import { describe, expect, test } from 'vitest'
import type { LinkFacts, SourceRuleFacts } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import { defaultRoutes, lostDefaultRoutes } from '../../../src/offload/portmap/default-routes.ts'
import { emptyJournal } from '../../../src/records/offload.ts'

const link = { name: 'eth0', ifindex: 3 } as LinkFacts
const keys = ['10.88.0.5', 'fd00:88::5'].map((toAddress) => ({
  ...{ address: '192.0.2.1', proto: 'tcp', port: 8080, toAddress, toPort: 80 },
})) as never
const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]

/** A pod with these default routes by its interface, and these rules. */
function pod(has: Partial<Record<4 | 6, boolean | undefined>>, rules: readonly SourceRuleFacts[] = []) {
  return {
    hasDefaultRoute: (_side: string, family: 4 | 6, ifindex: number) => {
      expect(ifindex).toBe(3)
      return has[family]
    },
    sourceRules: (_side: string, family: 4 | 6) =>
      rules.filter(({ src }) => src.includes(':') === (family === 6)),
  } as Partial<Kernel> as Kernel
}

describe('ADD notes', () => {
  test.each([
    ['those that prevResult names and the pod has', { 4: true, 6: true }, routes, [4, 6]],
    ['none that another plugin has moved away', { 4: false, 6: true }, routes, [6]],
    ['none of which nobody can tell', { 4: true, 6: undefined }, routes, [4]],
    ['none that prevResult does not name', { 4: true, 6: true }, [{ dst: '0.0.0.0/0' }], [4]],
    [
      'none of another table',
      { 4: true, 6: true },
      [
        { dst: '0.0.0.0/0', table: 7 },
        { dst: '::/0', table: 254 },
      ],
      [6],
    ],
  ] as const)('%s', (_, has, named, noted) => {
    expect(defaultRoutes(pod(has), link, keys, { routes: [...named] })).toEqual(noted)
  })

  test('none for families without a mapped address', () => {
    expect(defaultRoutes(pod({ 4: true, 6: true }), link, [], { routes })).toEqual([])
  })
})

describe('CHECK misses', () => {
  const lost = (
    kernel: Kernel,
    {
      had = [4, 6],
      now = link,
      named = routes,
    }: { had?: (4 | 6)[]; now?: LinkFacts; named?: typeof routes } = {},
  ) => lostDefaultRoutes(kernel, now, { ...emptyJournal, keys, defaultRoutes: had }, { routes: named })

  test('those that ADD noted and that are gone', () => {
    expect(lost(pod({ 4: true, 6: true }))).toEqual([])
    expect(lost(pod({ 4: false, 6: true }))).toEqual([4])
    expect(lost(pod({ 4: false, 6: false }), { had: [6] })).toEqual([6])
  })

  test('none that prevResult names no more, and none of which nobody can tell', () => {
    expect(lost(pod({ 4: false, 6: false }), { named: [{ dst: '::/0' }] })).toEqual([6])
    expect(lost(pod({ 4: true, 6: undefined }))).toEqual([])
  })

  test('none of a record without such notes', () => {
    expect(
      lostDefaultRoutes(pod({ 4: false, 6: false }), link, { ...emptyJournal, keys }, { routes }),
    ).toEqual([])
  })

  test('none that rules for the mapped addresses lead elsewhere, as those of sbr', () => {
    const away = [{ src: '10.88.0.5/32', table: 100 }]
    expect(lost(pod({ 4: false, 6: false }, away))).toEqual([6])
    expect(lost(pod({ 4: false, 6: true }, [{ src: '10.99.0.1/32', table: 100 }]))).toEqual([4])
    expect(lost(pod({ 4: false, 6: true }, [{ src: '10.88.0.5/32', table: 254 }]))).toEqual([4])
  })

  test('none of an interface in a VRF; a bridge of the pod leads nowhere', () => {
    const inVrf = { ...link, master: 9, slaveKind: 'vrf' } as LinkFacts
    expect(lost(pod({ 4: false, 6: false }), { now: inVrf })).toEqual([])
    expect(lost(pod({ 4: false, 6: false }), { now: { ...inVrf, slaveKind: 'bridge' } })).toEqual([4, 6])
  })
})
