// A card that has one priority in legacy mode is offered filters there, of one protocol, after it has refused another without a word.
import { expect, describe as group, test } from 'vitest'
import type { OffloadConfig } from '../../../../src/offload/config/config.ts'
import { PolicerRefused } from '../../../../src/offload/feature.ts'
import type { RuleGroup } from '../../../../src/offload/portmap/filters.ts'
import { applyBest } from '../../../../src/offload/portmap/install.ts'
import type { OffloadPlan } from '../../../../src/offload/portmap/plan.ts'
import type { Preflight } from '../../../../src/offload/portmap/preflight.ts'
import { Transaction } from '../../../../src/ops/apply.ts'
import { OffloadRefused } from '../../../../src/ops/offload-refused.ts'
import type { FlowFilter, FlowFilterOp, Outcome } from '../../../../src/ops/op.ts'
import { refusalOf } from '../../../support/request.ts'

const base = { link: 'pf0', ifindex: 2, proto: 'tcp', fragments: 'none', cookie: '7666' } as const
const v4 = (port: number): RuleGroup => ({
  mapping: `tcp ${port} -> 80`,
  rules: [{ ...base, prio: 10, address: '10.1.0.1', port }],
})
const v6 = (port: number): RuleGroup => ({
  mapping: `tcp ${port} -> 80`,
  rules: [{ ...base, prio: 11, address: 'fd00::1', port }],
})
const inVlan = (port: number): RuleGroup => ({
  mapping: `tcp ${port} -> 80`,
  rules: [{ ...base, prio: 12, address: '10.1.0.1', port, vlan: 5 }],
})
const free: Preflight = { software: undefined, hardware: undefined, notes: [], explain: (words) => words }
const plain = (words: string, extack?: string) =>
  new OffloadRefused(words, Object.assign(new Error(words), { code: words.split(':')[0], extack }))

/** Offers groups to a NIC by its answer to each filter; the filters that it was asked for, and the report of each. */
function offer(
  groups: readonly RuleGroup[],
  answer: (rule: FlowFilter) => OffloadRefused | undefined,
  more: Partial<OffloadPlan> = {},
) {
  const asked: string[] = []
  const runAll = (ops: readonly FlowFilterOp[]) =>
    ops.map((op): Outcome | Error => {
      if (op.do === 'steer.del' || op.offload === 'off') return { where: 'host', handle: 1 }
      asked.push(`${op.rule.port} prio ${op.rule.prio}`)
      return answer(op.rule) ?? { where: 'nic', handle: 1 }
    })
  const run = (op: Parameters<Transaction['apply']>[0][number]): Outcome => {
    const [result] = op.do === 'steer.add' || op.do === 'steer.del' ? runAll([op]) : []
    if (result instanceof Error) throw result
    return result ?? {}
  }
  const plan: OffloadPlan = {
    ...{ keys: [], nat: 'pod', ops: [], groups, notes: [], hardwareOnly: false, way: 'hairpin' },
    ...more,
  }
  const install = () => {
    const done = applyBest(
      new Transaction({ run, runAll }),
      { offload: 'prefer' } as OffloadConfig,
      [plan],
      free,
    )
    if (done instanceof PolicerRefused) throw new TypeError(done.reason)
    return done
  }
  return { install, asked }
}

const bare = () => plain('EOPNOTSUPP')
/** As mlx5 in legacy mode without ignore_flow_level. */
const onlyFirst = ({ prio }: FlowFilter) => (prio === 1 ? undefined : bare())

group('a card with one priority', () => {
  test('takes the filters there; of all mappings but the first none is offered elsewhere', () => {
    const { install, asked } = offer([v4(80), v4(81), v4(82)], onlyFirst)
    const { rules, notes } = install()
    expect(asked).toEqual(['80 prio 10', '80 prio 1', '81 prio 1', '82 prio 1'])
    expect(rules.map(({ where, prio, rule }) => [where, prio, rule.prio])).toEqual(
      Array(3).fill(['nic', 1, 1]),
    )
    expect(notes).toEqual([expect.stringMatching(/^hairpin, unproven: .*"pf0"/)])
  })

  test.each([
    ['IPv4', [v4(80), v6(80)], [true, false]],
    ['IPv6', [v4(80), v6(80), v6(81)], [false, true, true]],
    ['802.1Q', [inVlan(80), inVlan(81), v4(80)], [true, true, false]],
  ] as const)(
    'takes one protocol, %s; the others are in software, each at its own priority',
    (name, groups, inNic) => {
      const { install, asked } = offer(groups, onlyFirst)
      const { rules } = install()
      expect(rules.map(({ where }) => where === 'nic')).toEqual(inNic)
      expect(asked.filter((line) => line.endsWith(' prio 1'))).toHaveLength(inNic.filter(Boolean).length)
      for (const { where, prio, refusal } of rules) {
        if (where === 'nic') continue
        expect(prio).toBeGreaterThan(1)
        expect(refusal).toBe(
          `EOPNOTSUPP (the driver has priority 1 alone, which holds one protocol: ${name})`,
        )
      }
    },
  )

  test('of which others have filters of another protocol: software, in the words of the kernel', () => {
    const words = 'EINVAL: Filter with specified priority/protocol not found'
    const taken = ({ prio }: FlowFilter) => (prio === 1 ? plain(words, words.slice(8)) : bare())
    const { rules, notes } = offer([v4(80)], taken).install()
    expect(rules).toMatchObject([
      { where: 'host', prio: 10, refusal: `${words} (at priority 1, the only one of the driver)` },
    ])
    expect(notes).toEqual([])
  })

  test('offload "require" is code 101 for what does not fit', () => {
    const { install } = offer([v4(80), v6(80)], onlyFirst, { hardwareOnly: true })
    expect(refusalOf(install)).toMatchObject({
      code: 101,
      message: expect.stringContaining('one protocol: IPv4'),
    })
    expect(offer([v4(80)], onlyFirst, { hardwareOnly: true }).install().rules).toMatchObject([
      { where: 'nic' },
    ])
  })
})

test('a card with all priorities takes the filters at their own', () => {
  const { install, asked } = offer([v4(80), v6(80)], () => undefined)
  expect(install().rules.map(({ where, prio }) => [where, prio])).toEqual([
    ['nic', 10],
    ['nic', 11],
  ])
  expect(asked).toEqual(['80 prio 10', '80 prio 11'])
})

test('a refusal with words is the end of it, and its words are kept', () => {
  const words = 'EOPNOTSUPP: hairpin is not supported'
  const { install, asked } = offer([v4(80)], () => plain(words, 'hairpin is not supported'))
  expect(install().rules).toMatchObject([{ where: 'host', prio: 10, refusal: words }])
  // The other form is the one without the condition on fragments.
  expect(asked).toEqual(['80 prio 10', '80 prio 10'])
})

test('no filter of a representor is offered at the first priority', () => {
  const { install, asked } = offer([v4(80)], bare, { way: 'rewrite' })
  expect(install().rules).toMatchObject([{ where: 'host' }])
  expect(asked).not.toContain('80 prio 1')
})
