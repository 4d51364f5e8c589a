// The filters that a driver is asked for in an ADD of one mapping, from the config to the last answer: no more than it can take, and
// after a refusal no more than the forms that it may know. Each filter is one question, and a pod waits for all of them.
import { expect, describe as group, test } from 'vitest'
import type { OffloadConfig } from '../../../../src/offload/config/config.ts'
import type { Port } from '../../../../src/offload/port/port.ts'
import { supportedPlans } from '../../../../src/offload/portmap/driver/supported-plans.ts'
import type { OffloadFacts } from '../../../../src/offload/portmap/facts.ts'
import { applyBest } from '../../../../src/offload/portmap/install.ts'
import { planPorts } from '../../../../src/offload/portmap/plan.ts'
import type { Preflight } from '../../../../src/offload/portmap/preflight.ts'
import { Transaction } from '../../../../src/ops/apply.ts'
import { OffloadRefused } from '../../../../src/ops/offload-refused.ts'
import type { FlowFilter, Op, Outcome } from '../../../../src/ops/op.ts'
import { linkFacts } from '../../../support/link-facts.ts'

const config = {
  mappings: [{ proto: 'tcp', hostPort: 8080, containerPort: 80, hostIP: undefined }],
  ...{ nat: 'auto', offload: 'prefer', directSubnets: [], snat: true, masqAll: false },
  conditions: new Map(),
} as unknown as OffloadConfig
const link = linkFacts('net1', 3, { mac: '02:00:00:00:00:05' })
const uplink = linkFacts('pf0', 2, { mac: '02:00:00:00:00:01' })
const wire = {
  ...{ uplink, representor: linkFacts('pf0vf0', 5), vlan: 0 },
  ...{ uplinkHasIngress: true, representorHasIngress: true },
}
const port: Port = {
  ...{ kind: 'representor', name: 'net1', link, mac: link.mac, device: '0000:3b:02.1', wire },
  vf: { pf: '0000:3b:00.0', index: 0 },
}
const facts = {
  port,
  hostAddresses: ['10.1.0.1', '2001:db8::1'].map((address) => ({ address, link: 'pf0', vlan: 0 })),
  ownAddresses: new Set(),
  podAddresses: [
    { ip: '10.1.0.5', address: '10.1.0.5/24', gateway: undefined },
    { ip: '2001:db8::5', address: '2001:db8::5/64', gateway: undefined },
  ],
  ...{ podRoutes: [], podRules: [] },
} as unknown as OffloadFacts
const identity = { cookie: '7666', podTable: 't', routeTable: 1, owner: 'o' }
const preflight: Preflight = {
  ...{ software: undefined, hardware: undefined, notes: [] },
  explain: (words) => words,
}

/** The NIC's filters that a driver was asked for, and what the report says. */
function asked(driver: string, refusal: (rule: FlowFilter) => OffloadRefused | undefined = () => undefined) {
  const filters: string[] = []
  const run = (op: Op): Outcome => {
    if (op.do !== 'steer.add') return {}
    if (op.offload === 'off') return { where: 'host', handle: 1 }
    const { side, address, srcMac, fragments } = op.rule
    const form = `${srcMac === undefined ? 'redirect' : 'rewrite'} ${fragments ?? 'any'}`
    filters.push(`${side === 'src' ? 'from' : 'to'} ${address.includes(':') ? 'IPv6' : 'IPv4'}: ${form}`)
    const refused = refusal(op.rule)
    if (refused !== undefined) throw refused
    return { where: 'nic', handle: 1 }
  }
  const plans = supportedPlans(planPorts(config, { ...facts, driver }, identity), driver)
  const done = applyBest(new Transaction({ run }), config, plans, preflight)
  if (!('rules' in done)) throw new TypeError(done.reason)
  const refusals = new Set(done.rules.map((rule) => rule.refusal))
  return { filters, places: done.rules.map(({ where }) => where), refusals: [...refusals], notes: done.notes }
}

const refused = (code: string, words: string) =>
  new OffloadRefused(`${code}: ${words}`, Object.assign(new Error(words), { code, extack: words }))
const inForm = (form: string) =>
  ['from IPv4', 'from IPv6', 'to IPv4', 'to IPv6'].map((way) => `${way}: ${form}`)

group('a driver that takes what its source says is asked once for each filter:', () => {
  test.each([
    ['mlx5_core', 'rewrite none'],
    ['nfp', 'rewrite none'],
    ['new_driver', 'rewrite none'],
    ['bnxt_en', 'rewrite any'],
    ['ice', 'redirect any'],
  ])('%s, %s', (driver, form) => {
    const { filters, places, notes } = asked(driver)
    expect([...filters].sort()).toEqual(inForm(form))
    expect(places).toEqual(Array(4).fill('nic'))
    expect(notes.filter((note) => note.startsWith('not '))).toEqual([])
  })
})

group('a driver that refuses every filter', () => {
  const first = ({ filters }: ReturnType<typeof asked>) => filters.map((line) => line.split(': ')[1])
  const words = 'EOPNOTSUPP: Unsupported action'
  const none = () => refused('EOPNOTSUPP', 'Unsupported action')

  test('mlx5 is asked with and without the condition on fragments, and never for a redirect alone', () => {
    const seen = asked('mlx5_core', none)
    expect(first(seen)).toEqual(['rewrite none', 'rewrite any'])
    expect(seen).toMatchObject({ places: Array(4).fill('host'), refusals: [words], notes: [] })
  })

  test('ice is asked for one redirect, with the words in the report and in one note', () => {
    const seen = asked('ice', none)
    expect(first(seen)).toEqual(['redirect any'])
    expect(seen).toMatchObject({ places: Array(4).fill('host'), refusals: [words] })
    expect(seen.notes).toEqual([expect.stringMatching(/^not by redirect alone: the driver said "/)])
  })

  test('an unknown one is asked for both ways, and for one alone where the words are about something else', () => {
    const seen = asked('new_driver', none)
    expect(first(seen)).toEqual(['rewrite none', 'rewrite any', 'redirect none', 'redirect any'])
    expect(seen.refusals).toEqual([words])
    expect(seen.notes).toHaveLength(2)
    for (const code of ['ENOSPC', 'EBUSY', 'EIO']) {
      const other = asked('new_driver', () => refused(code, 'not now'))
      expect(first(other)).toEqual(['rewrite none', 'rewrite any'])
      expect(other).toMatchObject({ refusals: [`${code}: not now`], notes: [] })
    }
  })
})
