import { expect, describe as group, test } from 'vitest'
import type { Ground } from '../../src/offload/coexist.ts'
import type { OffloadConfig } from '../../src/offload/config.ts'
import type { OffloadFacts } from '../../src/offload/facts.ts'
import { applyBest } from '../../src/offload/install.ts'
import { LimiterInTheWay } from '../../src/offload/part.ts'
import type { OffloadPlan } from '../../src/offload/plan.ts'
import { Transaction } from '../../src/ops/apply.ts'
import type { Op, SteerSpec } from '../../src/ops/op.ts'
import { refusalOf } from '../support/request.ts'

const rule = (more: Partial<SteerSpec> = {}): SteerSpec => ({
  ...{ link: 'pf0', prio: 10, address: '10.1.0.1', proto: 'tcp', port: 80, cookie: '7666' },
  ...more,
})
const facts = { port: { wire: { representor: {} } } } as unknown as OffloadFacts
const config = { offload: 'prefer' } as OffloadConfig
const free: Ground = { software: undefined, hardware: undefined, notes: [], explain: (words) => words }

const planOf = (rules: readonly SteerSpec[], more: Partial<OffloadPlan> = {}): OffloadPlan => ({
  ...{ keys: [], nat: 'pod', ops: [], groups: [{ mapping: 'tcp 80 -> 80', rules }], notes: [] },
  ...{ hardwareOnly: false, ...more },
})

/** Carries a plan out on a kernel that takes everything; what it was asked to add. */
function install(ground: Partial<Ground>, plans: readonly OffloadPlan[]) {
  const asked: Op[] = []
  const transaction = new Transaction({
    run: (op) => {
      asked.push(op)
      return op.do === 'steer.add' && op.offload === 'require' ? { where: 'nic' } : { where: 'host' }
    },
  })
  return { done: applyBest(transaction, config, facts, plans, { ...free, ...ground }), asked }
}

group('another filter takes the frames in the NIC', () => {
  const hardware = 'on "pf0": its filter'

  test('and hands them to the host: rules in software do', () => {
    const { done, asked } = install({ hardware }, [planOf([rule()])])
    expect(asked).toEqual([{ do: 'steer.add', rule: rule(), offload: 'off' }])
    expect(done.rules[0]).toMatchObject({ where: 'host', refusal: expect.stringContaining(hardware) })
  })

  test('and hands them to the host: rules with a policer of the NIC must do without it', () => {
    expect(() => install({ hardware }, [planOf([rule({ limiter: 7 })])])).toThrow(LimiterInTheWay)
  })

  test('for good: rules in software would never see one, code 106, and no driver said anything', () => {
    for (const limiter of [{}, { limiter: 7 }]) {
      const error = refusalOf(() => install({ hardware, software: hardware }, [planOf([rule(limiter)])]))
      expect(error.message).toBe(
        `Cannot map ports in software: frames are taken before our rules see them ${hardware}`,
      )
      expect(error.code).toBe(106)
    }
  })

  test('where the rules must be in the NIC: code 101; the next plan is no better if it is for good', () => {
    const inNic = planOf([rule({ limiter: 7 })], { nat: 'nic', hardwareOnly: true })
    expect(refusalOf(() => install({ hardware }, [inNic])).code).toBe(101)
    const both = [inNic, planOf([rule()])]
    expect(refusalOf(() => install({ hardware, software: hardware }, both)).code).toBe(106)
    expect(install({ hardware }, both).done.plan.nat).toBe('pod')
  })
})
