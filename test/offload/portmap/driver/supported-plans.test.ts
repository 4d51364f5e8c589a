// Plans are offered to the drivers that carry them out as they are written. For others there is another plan and a note, or code 101.
import { describe, expect, test } from 'vitest'
import type { OffloadConfig } from '../../../../src/offload/config/config.ts'
import { firstOverlap } from '../../../../src/offload/portmap/driver/overlap.ts'
import { supportedPlans } from '../../../../src/offload/portmap/driver/supported-plans.ts'
import type { OffloadFacts } from '../../../../src/offload/portmap/facts.ts'
import { planPorts } from '../../../../src/offload/portmap/plan.ts'
import { linkFacts } from '../../../support/link-facts.ts'
import { refusalOf } from '../../../support/request.ts'

const mac = (last: number) => `02:00:00:00:00:0${last}`
const uplink = {
  ...linkFacts('pf0', 2, { mac: mac(1) }),
  vfs: new Map([
    [3, { mac: mac(5) }],
    [4, { mac: mac(6) }],
  ]),
}
const net1 = linkFacts('net1', 3, { mac: mac(5) })

interface Wish {
  readonly nat?: OffloadConfig['nat']
  readonly directSubnets?: readonly string[]
  readonly kind?: 'representor' | 'userspace'
  readonly vlan?: number
  /** Of the card: by default one that rewrites. */
  readonly made?: string
}

/** The plans of some mappings to one pod, both families, before any driver is asked. */
function plansOf(wish: Wish) {
  const { nat = 'auto', directSubnets = ['10.9.0.0/24'], kind = 'representor', vlan = 0 } = wish
  const mappings = [
    { proto: 'tcp', hostPort: 8080, containerPort: 80, hostIP: undefined },
    { proto: 'tcp', hostPort: 8081, containerPort: 81, hostIP: undefined },
    // Not with nat auto: the NIC can't translate UDP in fragments.
    ...(nat === 'auto' ? [] : [{ proto: 'udp', hostPort: 53, containerPort: 53, hostIP: undefined }]),
  ]
  const config = {
    ...{ mappings, nat, directSubnets, offload: 'prefer', snat: true, masqAll: false },
    conditions: new Map(),
  } as unknown as OffloadConfig
  const wire = { uplink, vlan: 0, uplinkHasIngress: true, representorHasIngress: true }
  const port = {
    ...{ kind, name: 'net1', link: kind === 'userspace' ? undefined : net1, mac: mac(5) },
    ...{ vf: { pf: '0000:3b:00.0', index: 3 }, wire: { ...wire, representor: linkFacts('rep3', 9) } },
  }
  const facts = {
    port,
    hostAddresses: ['10.1.0.1', '2001:db8::1'].map((address) => ({ address, link: 'pf0', vlan })),
    ownAddresses: new Set(),
    podAddresses: [
      { ip: '10.1.0.5', address: '10.1.0.5/24', gateway: undefined },
      { ip: '2001:db8::5', address: '2001:db8::5/64', gateway: undefined },
    ],
    ...{ podRoutes: [], podRules: [], driver: wish.made ?? 'mlx5_core' },
  } as unknown as OffloadFacts
  const identity = { cookie: '7666', podTable: 't', routeTable: 1, owner: 'o' }
  return planPorts(config, facts, identity)
}
const nats = (driver: string | undefined, wish: Wish) =>
  supportedPlans(plansOf(wish), driver).map(({ nat }) => nat)
const refusal = (driver: string, wish: Wish) => {
  const { code, message } = refusalOf(() => supportedPlans(plansOf(wish), driver))
  return `${code}: ${message}`
}

test('filters of a translation in the NIC overlap, also without direct networks; of one in the pod none do', () => {
  const filtersOf = (wish: Wish) =>
    plansOf(wish).map(({ nat, groups }) => [nat, firstOverlap(groups.flatMap(({ rules }) => rules))])
  expect(filtersOf({})).toEqual([
    ['nic', [expect.objectContaining({ prio: 5 }), expect.objectContaining({ prio: 10 })]],
    ['pod', undefined],
  ])
  expect(filtersOf({ nat: 'nic', directSubnets: [] })[0]?.[1]).toBeDefined()
  expect(filtersOf({ nat: 'pod', vlan: 100 })).toEqual([['pod', undefined]])
  // By redirect alone, and in software.
  expect(filtersOf({ made: 'ice' })).toEqual([
    ['pod', undefined],
    ['pod', undefined],
  ])
})

describe.each(['nfp', 'sfc_ef100', 'ice'])('%s drops priorities', (driver) => {
  const words = new RegExp(
    `driver "${driver}" drops the priorities of filters: frames from 10\\.1\\.0\\.5 to 10\\.1\\.0\\.1/32 are also frames of tcp from 10\\.1\\.0\\.5 port 80, .*\\(\\w+\\(\\) of [\\w/]+\\.c\\)$`,
  )

  test('auto: the pod translates, with the reason', () => {
    const plans = supportedPlans(plansOf({}), driver)
    expect(plans.map(({ nat, driver }) => [nat, driver])).toEqual([['pod', driver]])
    expect(plans[0]?.notes.at(-1)).toMatch(words)
    expect(plans[0]?.notes.at(-1)).toMatch(/^not with nat "nic": /)
  })

  test('nat nic, and a VF that a program drives: code 101', () => {
    for (const directSubnets of [['10.9.0.0/24'], []])
      expect(refusal(driver, { nat: 'nic', directSubnets })).toMatch(/^101: .*drops the priorities/)
    expect(refusal(driver, { kind: 'userspace' })).toMatch(/^101: Cannot translate in the NIC: driver/)
  })

  test('nat pod: nothing to say', () => {
    expect(supportedPlans(plansOf({ nat: 'pod' }), driver)).toEqual(
      plansOf({ nat: 'pod' }).map((plan) => ({ ...plan, driver })),
    )
  })
})

test('mlx5 keeps priorities, and of other drivers nothing is known: all plans stay', () => {
  for (const driver of ['mlx5_core', 'unknown', undefined]) {
    expect(nats(driver, {})).toEqual(['nic', 'pod'])
    expect(nats(driver, { nat: 'nic' })).toEqual(['nic'])
    expect(nats(driver, { kind: 'userspace' })).toEqual(['nic'])
  }
})

test('bnxt ignores checksums and loses ports: never nat nic', () => {
  expect(nats('bnxt_en', { nat: 'pod' })).toEqual(['pod'])
  expect(nats('bnxt_en', {})).toEqual(['pod'])
  const words = refusal('bnxt_en', { nat: 'nic', directSubnets: [] })
  expect(words).toMatch(/^101: .*ignores action csum .*; .*rewritten port and writes another .*priorities/)
})
