// That a plan can be taken back from wherever it stops: by its inverses, and by a restore that knows only the journal.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AttachConfig } from '../../src/attach/config/config.ts'
import type { AttachFacts } from '../../src/attach/device/facts.ts'
import { planAdd } from '../../src/attach/plan/add.ts'
import { planRestore } from '../../src/attach/plan/restore.ts'
import { Transaction } from '../../src/ops/apply.ts'
import type { VfAttributes } from '../../src/ops/op.ts'
import { type AttachJournal, attachJournal } from '../../src/records/attach.ts'
import { type Driver, factsOf, Model, noMac, type State } from './model.ts'

const macs = ['02:00:00:00:00:0a', '02:00:00:00:00:0b', '02:00:00:00:00:0c'] as const
const mac = fc.constantFrom(...macs)
const mtu = fc.constantFrom(1500, 9000)
const rates = fc.record({ min: fc.nat(2), max: fc.nat(2) })
const vlan = fc.record({
  id: fc.constantFrom(0, 100),
  qos: fc.constantFrom(0, 3),
  proto: fc.constantFrom(0x8100, 0x88a8),
})
const switches = {
  vlan,
  spoofchk: fc.boolean(),
  trust: fc.boolean(),
  linkState: fc.constantFrom('auto' as const, 'enable' as const),
}
const vf: fc.Arbitrary<VfAttributes> = fc.record(
  { mac: fc.oneof(fc.constant(noMac), mac), rate: rates, ...switches },
  { requiredKeys: [] },
)
const names = ['pf0v3', 'net1', 'eth0', 'enp1s0v3', 'x'] as const
const altnames = fc.uniqueArray(fc.constantFrom(...names), { maxLength: 3 })
const home: fc.Arbitrary<State> = fc
  .record({ vf, link: fc.record({ altnames, mac, mtu, up: fc.boolean() }) })
  .map((state) => ({
    vf: state.vf,
    link: {
      ...state.link,
      side: 'host',
      name: 'pf0v3',
      altnames: state.link.altnames.filter((name) => name !== 'pf0v3').sort(),
    },
  }))
const wishes: fc.Arbitrary<AttachConfig> = fc
  .record({
    vf: fc.record(switches, { requiredKeys: [] }),
    rate: fc.option(
      fc.record({
        min: fc.option(fc.nat(2), { nil: undefined }),
        max: fc.option(fc.nat(2), { nil: undefined }),
      }),
      { nil: undefined },
    ),
    mac: fc.option(mac, { nil: undefined }),
    mtu: fc.option(mtu, { nil: undefined }),
  })
  .map((wish) => ({
    ...wish,
    vf: { ...wish.vf, ...(wish.mac === undefined ? {} : { mac: wish.mac }) },
    selectors: [],
    pf: undefined,
    bridge: undefined,
    announce: undefined,
    hasIpam: false,
    dns: undefined,
    stateDir: '/s',
    allowNodeDevice: false,
    warnings: [],
  }))
const ifname = fc.constantFrom('net1', 'eth0', 'pf0v3')

function factsAt({ vf: attributes, link }: State): AttachFacts {
  return {
    device: { id: '0000:3b:02.3', pci: undefined, parents: ['0000:3b:02.3'], netdevs: ['pf0v3'] },
    vf: {
      ...{ index: 3, pfPci: '0000:3b:00.0', pfName: 'pf0', pfMtu: 9000, pfUp: true, attributes },
      ...{ switchdev: false, representor: undefined },
    },
    port: { link: factsOf(link), master: undefined },
  }
}

/** The journal as it comes back from its file. */
function journalAt({ vf: attributes, link: { side: _, ...link } }: State, macSet = false): AttachJournal {
  const device = { id: '0000:3b:02.3', pci: '0000:3b:02.3', parents: ['0000:3b:02.3'] }
  const journal = { device, original: { vf: attributes, link }, macSet }
  return attachJournal.read(JSON.parse(JSON.stringify(journal)))
}

/** In a form that compares: a PF without an administrative MAC may show none or the one that the VF has. */
const seen = ({ vf: { mac: shown, ...others }, link }: State, before: State): State => ({
  vf:
    shown === undefined
      ? others
      : { ...others, mac: shown === link.mac && before.vf.mac === noMac ? noMac : shown },
  link: { ...link, altnames: [...link.altnames].sort() },
})

/** Restores in rounds as verbs/restore.ts does; returns the number of rounds that changed something. */
function restore(model: Model, journal: AttachJournal): number {
  for (let round = 0; ; round++) {
    const ops = planRestore(journal, model.live(), round === 0)
    if (ops.length === 0) return round
    if (round === 4) throw new Error(`no rest after four rounds: ${JSON.stringify(ops)}`)
    for (const op of ops) model.run(op)
  }
}

test('an ADD gives the pod what was asked for, and its inverses give everything back', () => {
  fc.assert(
    fc.property(home, wishes, ifname, (start, config, name) => {
      const model = new Model(start)
      const transaction = new Transaction(model)
      transaction.apply(planAdd(config, factsAt(start), name))
      const { vf: now, link } = model.state
      expect(link).toMatchObject({ side: 'pod', name, up: true })
      expect(link.mac).toBe(config.mac ?? start.link.mac)
      expect(link.mtu).toBe(config.mtu ?? start.link.mtu)
      for (const [key, value] of Object.entries(config.vf))
        if (key in now) expect(now).toHaveProperty(key, value)
      expect(transaction.rollback()).toEqual([])
      expect(seen(model.state, start)).toEqual(start)
    }),
    { numRuns: 500 },
  )
})

test.each<Driver>(['plain', 'strict'])(
  'after a crash anywhere the journal leads back (%s driver)',
  (driver) => {
    fc.assert(
      fc.property(home, wishes, ifname, fc.nat(8), (start, config, name, steps) => {
        // A VF that has another MAC than its PF has set gives it up with its next reset, whoever causes it.
        const shown = start.vf.mac ?? noMac
        fc.pre(driver === 'plain' || shown === noMac || shown === start.link.mac)
        const model = new Model(start, driver)
        for (const op of planAdd(config, factsAt(start), name).slice(0, steps)) model.run(op)
        restore(model, journalAt(start, config.mac !== undefined))
        expect(seen(model.state, start)).toEqual(start)
      }),
      { numRuns: 1000 },
    )
  },
)

const drift = fc.record(
  {
    vf,
    name: fc.constantFrom(...names),
    mac,
    mtu,
    up: fc.boolean(),
    side: fc.constantFrom('host' as const, 'pod' as const),
    altnames,
  },
  { requiredKeys: [] },
)

test('whatever a pod or an operator did to the device, a restore finds the way back and then rests', () => {
  fc.assert(
    fc.property(home, drift, (start, { vf: drifted, ...change }) => {
      const link = { ...start.link, ...change }
      const state: State = {
        vf: {
          ...start.vf,
          ...Object.fromEntries(Object.entries(drifted ?? {}).filter(([key]) => key in start.vf)),
        },
        link: { ...link, altnames: link.altnames.filter((name) => name !== link.name) },
      }
      const model = new Model(state)
      // A PF that does not hear what its VF tells it is set in a second round.
      expect(restore(model, journalAt(start))).toBeLessThanOrEqual(2)
      const { altnames: left, ...rest } = model.state.link
      const { altnames: wanted, ...before } = start.link
      expect({ vf: seen(model.state, start).vf, link: rest }).toEqual({ vf: start.vf, link: before })
      // On the host an operator or udev may have named it besides; what a pod named goes.
      const allowed = change.side === 'pod' ? wanted : [...wanted, ...state.link.altnames]
      for (const name of wanted) expect(left).toContain(name)
      for (const name of left) expect(allowed).toContain(name)
    }),
    { numRuns: 1000 },
  )
})

test('a restore of what did not change has nothing to do', () => {
  fc.assert(
    fc.property(home, (start) => {
      expect(planRestore(journalAt(start), new Model(start).live(), true)).toEqual([])
    }),
  )
})
