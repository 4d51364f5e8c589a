// The NIC is asked for what its driver may take, in the form that the driver takes; what is known beforehand costs no try.
import { describe, expect, test } from 'vitest'
import { PolicerRefused } from '../../../src/offload/feature.ts'
import type { RuleGroup } from '../../../src/offload/portmap/filters.ts'
import { offerAll } from '../../../src/offload/portmap/offer.ts'
import type { OffloadPlan } from '../../../src/offload/portmap/plan.ts'
import type { Preflight } from '../../../src/offload/portmap/preflight.ts'
import { Transaction } from '../../../src/ops/apply.ts'
import { OffloadRefused } from '../../../src/ops/offload-refused.ts'
import type { FlowFilter, Proto } from '../../../src/ops/op.ts'
import { refusalOf } from '../../support/request.ts'

const free: Preflight = { software: undefined, hardware: undefined, notes: [], explain: (words) => words }
const group = (proto: Proto, more: Partial<FlowFilter> = {}): RuleGroup => {
  const rule: FlowFilter = {
    ...{ link: 'pf0', prio: 10, address: '10.1.0.1', proto, port: 80, fragments: 'none', cookie: '7666' },
    ...more,
  }
  return { mapping: `${proto} 80 -> 80`, rules: [{ ...rule, side: 'src' }, rule] }
}

/** What a NIC was asked for that refuses those filters, and what is said of each mapping. */
function offer(
  driver: string | undefined,
  groups: readonly RuleGroup[],
  refuses: (rule: FlowFilter) => boolean = () => false,
  more: Partial<OffloadPlan> = {},
  extack?: string,
) {
  const asked: string[] = []
  const transaction = new Transaction({
    run: (op) => {
      if (op.do !== 'steer.add') return {}
      asked.push(`${op.rule.proto} ${op.rule.side ?? 'dst'} ${op.rule.fragments ?? 'any'}`)
      if (!refuses(op.rule)) return { where: 'nic', handle: 1 }
      const words = extack === undefined ? 'EOPNOTSUPP' : `EOPNOTSUPP: ${extack}`
      throw new OffloadRefused(words, Object.assign(new Error(words), { code: 'EOPNOTSUPP', extack }))
    },
  })
  const known = driver === undefined ? {} : { driver }
  const plan: OffloadPlan = {
    ...{ keys: [], nat: 'pod', way: 'rewrite', ops: [], groups, notes: [], hardwareOnly: false },
    ...known,
    ...more,
  }
  const done = offerAll(transaction, plan, free)
  if (done instanceof PolicerRefused) return { asked, policer: done.reason }
  return {
    asked,
    notes: done.notes,
    tried: done.tried.map(({ group, outcomes, refusal }) => ({
      ...{ fragments: group.rules.map(({ fragments }) => fragments), taken: outcomes !== undefined, refusal },
    })),
  }
}
const both = [group('tcp'), group('udp')]
const source = /ice_parse_cls_flower\(\) of intel\/ice\/ice_tc_lib\.c/

describe('a driver that refuses every condition on fragments', () => {
  test('is asked for TCP without it, once, and not for UDP; the note and the reason say why', () => {
    const { asked, tried, notes } = offer('ice', both)
    expect(asked).toEqual(['tcp src any', 'tcp dst any'])
    expect(tried).toEqual([
      { fragments: [undefined, undefined], taken: true, refusal: undefined },
      { fragments: ['none', 'none'], taken: false, refusal: expect.stringMatching(source) },
    ])
    expect(notes).toEqual([expect.stringMatching(/does not take "ip_flags nofrag" .*lost for tcp 80 -> 80$/)])
    expect(notes?.[0]).toMatch(source)
  })

  test('and refuses the rest too: no second try, and the rules of software have the condition', () => {
    const { asked, tried, notes } = offer('ice', [group('tcp')], () => true)
    expect(asked).toEqual(['tcp src any'])
    expect(tried).toEqual([{ fragments: ['none', 'none'], taken: false, refusal: 'EOPNOTSUPP' }])
    expect(notes).toEqual([])
  })

  test('where UDP must be in the NIC: code 101, and nothing is tried', () => {
    expect(refusalOf(() => offer('ice', both, undefined, { hardwareOnly: true }))).toMatchObject({
      code: 101,
      message: expect.stringMatching(/^Cannot map udp 80 -> 80 in the NIC: driver "ice" refuses /),
    })
  })

  test('with a policer on UDP: the policer is given up, and nothing is tried', () => {
    const { asked, policer } = offer('ice', [group('tcp', { limiter: 7 }), group('udp', { limiter: 7 })])
    expect(policer).toMatch(source)
    expect(asked).toEqual([])
  })
})

test.each(['mlx5_core', 'nfp', 'sfc_ef100', undefined])('driver %s is asked with the condition', (driver) => {
  const { asked, tried } = offer(driver, both)
  expect(asked).toEqual(['tcp src none', 'tcp dst none', 'udp src none', 'udp dst none'])
  expect(tried?.every(({ taken }) => taken)).toBe(true)
})

test('another driver that refuses the condition has a second try for TCP, and its words are in the note', () => {
  const { asked, notes } = offer(undefined, both, ({ fragments }) => fragments === 'none')
  expect(asked).toEqual(['tcp src none', 'tcp src any', 'tcp dst any', 'udp src none'])
  expect(notes).toEqual([expect.stringContaining('nofrag" ("EOPNOTSUPP"): what comes in fragments')])
})

test('rules that must be in the NIC: the error has the driver’s words, and why it is not asked for redirects alone', () => {
  const hindrance = 'not by redirect alone: frames in VLAN 5 need a change of their tag'
  const must = { hardwareOnly: true, hindrance }
  const { message } = refusalOf(() => offer('ice', [group('tcp')], () => true, must, 'ice: no rewrite'))
  expect(message).toBe(
    `Cannot map tcp 80 -> 80 in the NIC: the driver said "EOPNOTSUPP: ice: no rewrite"; ${hindrance}`,
  )
})

test('bnxt is asked for nothing with a tag: it would lose the MAC addresses', () => {
  const tagged = group('tcp', { vlan: 100, pop: true, dstMac: '02:00:00:00:00:05' })
  const { asked, tried } = offer('bnxt_en', [tagged, group('tcp')])
  expect(asked).toEqual(['tcp src any', 'tcp dst any'])
  expect(tried?.[0]).toMatchObject({ taken: false, refusal: expect.stringMatching(/MAC .*bnxt_tc\.c/) })
  expect(offer('mlx5_core', [tagged]).tried?.[0]?.taken).toBe(true)
})

test('the bare refusal of a filter with a policer is the lack of meters, on mlx5 alone', () => {
  const limited = [group('tcp', { limiter: 7 })]
  const all = () => true
  expect(offer('mlx5_core', limited, all).policer).toBe(
    'no flow meters (ConnectX-6 Dx and newer have them): the driver said "EOPNOTSUPP"',
  )
  expect(offer('mlx5_core', limited, all, {}, 'mlx5_core: other').policer).toBe(
    'the driver said "EOPNOTSUPP: mlx5_core: other"',
  )
  expect(offer('nfp', limited, all).policer).toBe('the driver said "EOPNOTSUPP"')
})
