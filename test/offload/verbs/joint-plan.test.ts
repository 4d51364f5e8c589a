// The plan of all features together: the alternatives of one policer in the NIC, tried in order.
import { expect, describe as group, test } from 'vitest'
import { installLimits } from '../../../src/offload/bandwidth/install.ts'
import type { BandwidthPlan } from '../../../src/offload/bandwidth/plan.ts'
import {
  type AddContext,
  type Alternative,
  type Planned,
  PolicerRefused,
} from '../../../src/offload/feature.ts'
import { install, planTogether } from '../../../src/offload/verbs/joint-plan.ts'
import { Transaction } from '../../../src/ops/apply.ts'
import { OffloadRefused } from '../../../src/ops/offload-refused.ts'
import type { Op } from '../../../src/ops/op.ts'
import { emptyJournal } from '../../../src/records/offload.ts'
import { refusalOf } from '../../support/request.ts'

const limiter = { index: 9, bytesPerSecond: 1, burst: 1, cookie: '7666' }
const makePolicer: Op = { do: 'limiter.add', limiter, offload: 'require' }
const makeIfb: Op = { do: 'ifb.add', side: 'pod', name: 'vfr0', mac: '76:66:00:00:00:00', mtu: 1500 }
const makeTable: Op = { do: 'clsact.add', side: 'host', link: 'pf0', ifindex: 2 }
const limit = { rate: 1, burst: 1 }

/** A limit by a policer in the NIC, or by an ifb in the pod; `outside` allows the first one alone. */
const goal = (outside = false): BandwidthPlan => ({
  ...{ passedOver: [], direction: 'toPod', limit },
  ways: [
    { where: 'nic', means: 'police', ops: [makePolicer], notes: [], limiter: 9 },
    ...(outside ? [] : [{ where: 'pod', means: 'ifb', ops: [makeIfb], notes: [] } as const]),
  ],
})

/** Features with that limit and with a filter, on a NIC that refuses the operations of `refused`, and filters with a policer. */
function add({ outside = false, refused = [] as Op['do'][], takesFilters = true, usesPolicer = true } = {}) {
  const lines: string[] = []
  const transaction = new Transaction({
    run: (op) => {
      lines.push(op.do)
      if (refused.includes(op.do)) throw new OffloadRefused(`no ${op.do}`)
      return {}
    },
  })
  const seen: Alternative[] = []
  const bandwidth: Planned = {
    ...{ journal: { limits: [] }, policer: 9, usesPolicer: false },
    install: (one, alternative) => {
      const limits = installLimits(one, [goal(outside)], alternative, () => false)
      return limits instanceof PolicerRefused ? limits : { limits }
    },
  }
  const portmap: Planned = {
    ...{ journal: { keys: [] }, usesPolicer },
    install: (one, alternative) => {
      seen.push(alternative)
      one.apply([makeTable])
      return alternative.policer === undefined || takesFilters
        ? { notes: ['mapped'] }
        : new PolicerRefused('the driver said "no police"')
    },
  }
  const plan = planTogether(
    [bandwidth, portmap].map((one) => ({ plan: () => one })),
    {} as AddContext,
  )
  const run = () => install(transaction, plan, { ...emptyJournal, notes: ['before'] })
  return { run, lines, seen }
}

group('a plan whose filters can have a policer in the NIC', () => {
  test('is carried out with it, each feature in its order', () => {
    const { run, lines, seen } = add()
    expect(run()).toMatchObject({ limits: [{ where: 'nic', means: 'police' }], keys: [], notes: ['mapped'] })
    expect(lines).toEqual(['limiter.add', 'clsact.add'])
    expect(seen).toEqual([{ policer: 9, refused: undefined }])
  })

  test('goes on without it when the NIC refuses a filter with it: all is taken back first, and the reason is recorded', () => {
    const { run, lines } = add({ takesFilters: false })
    const refusals = ['police: the driver said "no police"']
    expect(run()).toMatchObject({ limits: [{ where: 'pod', means: 'ifb', refusals }], notes: ['mapped'] })
    expect(lines).toEqual([
      ...['limiter.add', 'clsact.add', 'clsact.del', 'limiter.del'],
      ...['ifb.add', 'clsact.add'],
    ])
  })

  test('goes on without it when the NIC refuses the policer itself: no filter is offered with it', () => {
    const { run, lines, seen } = add({ refused: ['limiter.add'] })
    const refusals = ['police: the driver said "no limiter.add"']
    expect(run()).toMatchObject({ limits: [{ where: 'pod', refusals }] })
    expect(lines).toEqual(['limiter.add', 'ifb.add', 'clsact.add'])
    expect(seen.map(({ policer }) => policer)).toEqual([undefined])
  })

  test('has no alternative where the limit must be outside the pod: code 101 with the driver’s words', () => {
    for (const of of [{ takesFilters: false }, { refused: ['limiter.add'] as Op['do'][] }]) {
      const error = refusalOf(() => add({ outside: true, ...of }).run())
      expect(error.code).toBe(101)
      expect(error.message).toMatch(
        /^Cannot limit what comes to the pod in the NIC: police: the driver said "no /,
      )
    }
  })
})

test('a policer that no filter would have limits nothing: nobody asks the NIC for it', () => {
  const { run, lines } = add({ usesPolicer: false })
  expect(run()).toMatchObject({ limits: [{ where: 'pod', refusals: ['police: no filter came to have it'] }] })
  expect(lines).toEqual(['ifb.add', 'clsact.add'])
})
