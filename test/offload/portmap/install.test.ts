// Filters are installed in the NIC or in software, and taken back when one fails.
import { expect, describe as group, test } from 'vitest'
import type { OffloadConfig } from '../../../src/offload/config/config.ts'
import { PolicerRefused } from '../../../src/offload/feature.ts'
import { applyBest as applyOr } from '../../../src/offload/portmap/install.ts'
import type { OffloadPlan } from '../../../src/offload/portmap/plan.ts'
import type { Preflight } from '../../../src/offload/portmap/preflight.ts'
import { ApplyError, Transaction } from '../../../src/ops/apply.ts'
import { OffloadRefused } from '../../../src/ops/offload-refused.ts'
import type { FlowFilter, FlowFilterOp, Op, Outcome } from '../../../src/ops/op.ts'
import { refusalOf } from '../../support/request.ts'

const rule = (more: Partial<FlowFilter> = {}): FlowFilter => ({
  ...{ link: 'pf0', prio: 10, address: '10.1.0.1', proto: 'tcp', port: 80, cookie: '7666' },
  ...more,
})
const config = { offload: 'prefer' } as OffloadConfig
const free: Preflight = { software: undefined, hardware: undefined, notes: [], explain: (words) => words }

/** A plan is given up together with its policer: other features decide how the ADD goes on. */
class PolicerGivenUp extends Error {}

const applyBest = (...of: Parameters<typeof applyOr>) => {
  const done = applyOr(...of)
  if (done instanceof PolicerRefused) throw new PolicerGivenUp(done.reason)
  return done
}

const planOf = (rules: readonly FlowFilter[], more: Partial<OffloadPlan> = {}): OffloadPlan => ({
  ...{
    keys: [],
    nat: 'pod',
    way: 'rewrite',
    ops: [],
    groups: [{ mapping: 'tcp 80 -> 80', rules }],
    notes: [],
  },
  ...{ hardwareOnly: false, ...more },
})

/** Carries a plan out on a kernel that takes everything; what it was asked to add. */
function install(preflight: Partial<Preflight>, plans: readonly OffloadPlan[]) {
  const asked: Op[] = []
  const transaction = new Transaction({
    run: (op) => {
      asked.push(op)
      return op.do === 'steer.add' && op.offload === 'require' ? { where: 'nic' } : { where: 'host' }
    },
  })
  return { done: applyBest(transaction, config, plans, { ...free, ...preflight }), asked }
}

group('another filter takes the frames in the NIC', () => {
  const hardware = 'on "pf0": its filter'

  test('and hands them to the host: rules in software do', () => {
    const { done, asked } = install({ hardware }, [planOf([rule()])])
    expect(asked).toEqual([{ do: 'steer.add', rule: rule(), offload: 'off' }])
    expect(done.rules[0]).toMatchObject({ where: 'host', refusal: expect.stringContaining(hardware) })
  })

  test('and hands them to the host: rules with a policer of the NIC must do without it', () => {
    expect(() => install({ hardware }, [planOf([rule({ limiter: 7 })])])).toThrow(PolicerGivenUp)
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

test('a plan that is refused leaves what other parts have done', () => {
  const before: Op = { do: 'ifb.add', side: 'host', name: 'vfr0', mac: '76:66:00:00:00:00', mtu: 1500 }
  const undone: Op[] = []
  const transaction = new Transaction({
    run: (op) => {
      if (op.do.endsWith('.del')) undone.push(op)
      if (op.do === 'steer.add' && op.offload === 'require' && op.rule.port === 80)
        throw new OffloadRefused('ENOSPC: the table is full')
      return {}
    },
  })
  transaction.apply([before])
  const qdisc: Op = { do: 'clsact.add', side: 'host', link: 'pf0', ifindex: 2 }
  const inNic = planOf([rule()], { nat: 'nic', hardwareOnly: true, ops: [qdisc] })
  expect(applyBest(transaction, config, [inNic, planOf([rule()])], free).plan.nat).toBe('pod')
  expect(undone).toEqual([{ ...qdisc, do: 'clsact.del' }])
})

group('many mappings', () => {
  const count = 200
  const mappings = Array.from({ length: count }, (_, at) => ({
    mapping: `tcp ${at} -> 80`,
    rules: [rule({ port: at, side: 'src' }), rule({ port: at })],
  }))
  const many = (more: Partial<OffloadPlan> = {}) => [planOf([], { groups: mappings, ...more })]

  /** A NIC with so much room, asked for several rules at a time. */
  function installIn(room: number, plans: readonly OffloadPlan[], wish = config) {
    const inNic = new Set<string>()
    const keyOf = ({ rule: { side, port } }: FlowFilterOp) => `${side} ${port}`
    const calls: FlowFilterOp[][] = []
    const runAll = (ops: readonly FlowFilterOp[]) => {
      calls.push([...ops])
      return ops.map((op): Outcome | Error => {
        if (op.do === 'steer.del') inNic.delete(keyOf(op))
        if (op.do === 'steer.del' || op.offload === 'off') return { where: 'host', handle: op.rule.port ?? 0 }
        if (inNic.size >= room) return new OffloadRefused('ENOSPC: the table is full')
        inNic.add(keyOf(op))
        return { where: 'nic', handle: op.rule.port ?? 0 }
      })
    }
    const run = (op: Op): Outcome => {
      const [result] = op.do === 'steer.add' || op.do === 'steer.del' ? runAll([op]) : []
      if (result instanceof Error) throw result
      return result ?? {}
    }
    const transaction = new Transaction({ run, runAll })
    const install_ = () => applyBest(transaction, wish, plans, free)
    return { install: install_, calls, inNic, transaction }
  }

  test('in few calls, and each rule has its own outcome in the report', () => {
    const { install, calls } = installIn(1000, many())
    const { rules } = install()
    expect(calls).toHaveLength(2)
    expect(rules.map(({ where, handle }) => [where, handle])).toEqual(
      mappings.flatMap((_, at) => [
        ['nic', at],
        ['nic', at],
      ]),
    )
  })

  test.each([100, 101])(
    'a table with room for %i rules: each mapping whole in the NIC or not at all',
    (room) => {
      const { install, inNic, transaction } = installIn(room, many())
      const { rules } = install()
      expect(inNic.size).toBe(100)
      expect(
        rules.map(({ where, rule: { port = 0 } }) => where === (port < 50 ? 'nic' : 'host')),
      ).not.toContain(false)
      expect(rules.map(({ handle, mapping }) => `tcp ${handle} -> 80` === mapping)).not.toContain(false)
      expect(rules.filter(({ refusal }) => refusal === 'ENOSPC: the table is full')).toHaveLength(300)
      transaction.rollback()
      expect(inNic.size).toBe(0)
    },
  )

  test('that must be in the NIC: the first that is refused is named', () => {
    const { install } = installIn(101, many({ hardwareOnly: true }))
    expect(refusalOf(install).message).toBe(
      'Cannot map tcp 50 -> 80 in the NIC: the driver said "ENOSPC: the table is full"',
    )
  })

  test('what can not be taken back ends it: it would be in the way of what comes next, or do more than that', () => {
    const pair = [rule({ port: 1, side: 'src' }), rule({ port: 1 })]
    const groups = [{ mapping: 'tcp 1 -> 80', rules: pair }]
    const stuckIn = (refused: number, plans: readonly OffloadPlan[]) => {
      let added = 0
      const transaction = new Transaction({
        run: (op) => {
          if (op.do === 'steer.del') throw new Error('EBUSY')
          if (op.do === 'steer.add' && op.offload === 'require' && ++added === refused)
            throw new OffloadRefused('ENOSPC: the table is full')
          return { where: 'nic', handle: 1 }
        },
      })
      return () => applyBest(transaction, config, plans, free)
    }
    // Half a mapping, and a mapping of a plan that is given up.
    expect(stuckIn(2, [planOf([], { groups })])).toThrow('ENOSPC: the table is full')
    const both = [...groups, { mapping: 'tcp 2 -> 80', rules: [rule({ port: 2 })] }]
    expect(stuckIn(3, [planOf([], { groups: both, hardwareOnly: true }), planOf([rule()])])).toThrow(
      'Cannot map tcp 2 -> 80 in the NIC',
    )
  })

  test('a NIC that takes none hears of the first alone', () => {
    const { install, calls } = installIn(0, many({ hardwareOnly: true }))
    expect(refusalOf(install).code).toBe(101)
    expect(calls.map((ops) => ops.length)).toEqual([2])
  })

  test('a plan whose rules are not to be offered asks no NIC, and says nothing of a refusal', () => {
    const { install, calls } = installIn(1000, many({ unoffered: true }))
    expect(install().rules.every(({ where, refusal }) => where === 'host' && refusal === undefined)).toBe(
      true,
    )
    expect(calls.map((ops) => ops.length)).toEqual([2 * count])
  })

  test('offload off asks no NIC', () => {
    const { install, calls } = installIn(1000, many(), { offload: 'off' } as OffloadConfig)
    expect(install().rules.every(({ where, refusal }) => where === 'host' && refusal === undefined)).toBe(
      true,
    )
    expect(calls.map((ops) => ops.length)).toEqual([2 * count])
  })
})

group('a NIC that does not know the condition on fragments', () => {
  const words = 'EOPNOTSUPP: Unsupported match on control.flags 0x1'
  const whole = (more: Partial<FlowFilter>) => rule({ fragments: 'none', ...more })
  const tcp = { mapping: 'tcp 80 -> 80', rules: [whole({ side: 'src' }), whole({})] }
  const udp = { mapping: 'udp 53 -> 53', rules: [whole({ proto: 'udp', port: 53 })] }

  /** Refuses the key, and with a limit all but what has none. */
  function installOn(plan: Partial<OffloadPlan>, others: readonly OffloadPlan[] = []) {
    const asked: string[] = []
    const transaction = new Transaction({
      run: (op) => {
        if (op.do !== 'steer.add') return {}
        asked.push(`${op.rule.proto} ${op.rule.fragments ?? 'all'} ${op.offload}`)
        if (op.offload === 'off') return { where: 'host' }
        if (op.rule.fragments !== undefined) throw new OffloadRefused(words)
        return { where: 'nic' }
      },
    })
    const plans = [planOf([], { groups: [tcp, udp], ...plan }), ...others]
    return { asked, install: () => applyBest(transaction, config, plans, free) }
  }

  test('TCP without it in the NIC, UDP with it in software, and the words of the driver', () => {
    const { asked, install } = installOn({})
    const { rules, notes } = install()
    expect(asked).toEqual([
      ...['tcp none require', 'tcp all require', 'tcp all require', 'udp none require', 'udp none off'],
    ])
    expect(rules.map((one) => [one.mapping, one.where, one.rule.fragments, one.refusal])).toEqual([
      ['tcp 80 -> 80', 'nic', undefined, undefined],
      ['tcp 80 -> 80', 'nic', undefined, undefined],
      ['udp 53 -> 53', 'host', 'none', words],
    ])
    expect(rules.map(({ line }) => line.includes('ip_flags nofrag'))).toEqual([false, false, true])
    expect(notes).toEqual([
      expect.stringContaining(`("${words}"): what comes in fragments may be lost for tcp`),
    ])
  })

  test('offload "require": UDP is refused, code 101, in the words of the driver', () => {
    const error = refusalOf(installOn({ hardwareOnly: true }).install)
    expect(error).toMatchObject({ code: 101, message: expect.stringContaining(`udp 53 -> 53 in the NIC`) })
    expect(error.message).toContain(words)
  })

  test('nat "nic": both without it, which is said', () => {
    const { rules, notes } = installOn({ nat: 'nic', hardwareOnly: true }).install()
    expect(rules.map(({ where, rule: { fragments } }) => [where, fragments])).toEqual(
      Array(3).fill(['nic', undefined]),
    )
    expect(notes).toEqual([expect.stringMatching(/nofrag.* lost for tcp 80 -> 80, udp 53 -> 53$/)])
  })

  test('a limit does without the NIC only when both forms are refused', () => {
    const limited = { ...tcp, rules: [whole({ limiter: 7 })] }
    expect(installOn({ groups: [limited] }).install().rules[0]).toMatchObject({ where: 'nic' })
    const datagrams = { ...udp, rules: [whole({ proto: 'udp', limiter: 7 })] }
    expect(installOn({ groups: [datagrams] }).install).toThrow(PolicerGivenUp)
  })
})

test('rules for software are made there, and their place says nothing of the mappings', () => {
  const inSoftware = [{ mapping: 'fragments', rules: [rule({ fragments: 'only' })] }]
  const { done, asked } = install({}, [planOf([rule()], { inSoftware })])
  expect(asked.map((op) => op.do === 'steer.add' && [op.rule.fragments, op.offload])).toEqual([
    ['only', 'off'],
    [undefined, 'require'],
  ])
  expect(done.rules.map(({ mapping, where, refusal }) => [mapping, where, refusal])).toEqual([
    ['fragments', 'host', undefined],
    ['tcp 80 -> 80', 'nic', undefined],
  ])
})

group('a NIC that rewrites no frame', () => {
  const rewriting = (more: Partial<FlowFilter> = {}) => rule({ srcMac: '02:00:00:00:00:01', ...more })
  const tcp = { mapping: 'tcp 80 -> 80', rules: [rewriting()] }
  const udp = { mapping: 'udp 53 -> 53', rules: [rewriting({ proto: 'udp', port: 53 })] }
  const redirected = [tcp, udp].map(({ mapping, rules }) => {
    return { mapping, software: rules, rules: rules.map(({ srcMac: _, ...one }) => one) }
  })
  const direct = { mapping: 'direct traffic of tcp 80', rules: [rule({ port: 8 })], software: [] }
  const mark: Op = { do: 'nft.load', side: 'pod', family: 'netdev', table: 'ours', text: '' }
  const [rewrite, redirect, software] = [
    planOf([], { groups: [tcp, udp] }),
    planOf([], { way: 'redirect', ops: [mark], groups: [...redirected, direct] }),
    planOf([], { groups: [tcp, udp], unoffered: true }),
  ] as const
  const words = 'EINVAL: Unsupported action in switchdev mode'
  const before: Op = { do: 'ifb.add', side: 'host', name: 'vfr0', mac: '76:66:00:00:00:00', mtu: 1500 }

  /** Says by each rule why the NIC does not take it. */
  function installOn(
    plans: readonly OffloadPlan[],
    refusalOfRule: (rule: FlowFilter) => Error | undefined,
    failing: (op: Op) => boolean = () => false,
    preflight: Preflight = free,
    { kind = 'refusal', isLate = false } = {},
  ) {
    const asked: string[] = []
    const transaction = new Transaction({
      run: (op) => {
        if (op.do !== 'steer.add') asked.push(op.do)
        if (failing(op)) throw Object.assign(new Error('nft -f: Operation not supported'), { kind, isLate })
        if (op.do !== 'steer.add') return {}
        const form = op.rule.srcMac === undefined ? 'redirect' : 'rewrite'
        asked.push(`${op.rule.proto} ${op.rule.port} ${form} ${op.offload}`)
        const refused = op.offload === 'off' ? undefined : refusalOfRule(op.rule)
        if (refused !== undefined) throw refused
        return { where: op.offload === 'off' ? 'host' : 'nic' }
      },
    })
    transaction.apply([before])
    return { asked, transaction, install: () => applyBest(transaction, config, plans, preflight) }
  }
  const refused = (text: string, errno?: string) =>
    new OffloadRefused(
      text,
      errno === undefined ? undefined : Object.assign(new Error(text), { code: errno }),
    )
  const noRewriting = ({ srcMac }: FlowFilter) =>
    srcMac === undefined ? undefined : refused(words, 'EINVAL')
  const nofrag = ({ proto, srcMac }: FlowFilter) =>
    srcMac !== undefined || proto === 'udp' ? refused(words, 'EINVAL') : undefined

  test('is asked for redirects alone after it has refused to rewrite, with its words in a note', () => {
    const { asked, install } = installOn([rewrite, redirect, software], noRewriting)
    const { plan, rules, notes } = install()
    expect(plan).toBe(redirect)
    expect(rules.map(({ where, refusal }) => [where, refusal])).toEqual(Array(3).fill(['nic', undefined]))
    expect(asked).toEqual([
      ...['ifb.add', 'tcp 80 rewrite require', 'udp 53 rewrite require', 'nft.load'],
      ...['tcp 80 redirect require', 'udp 53 redirect require', 'tcp 8 redirect require'],
    ])
    expect(notes).toEqual([`not by rewriting MAC addresses: the driver said "${words}"`])
  })

  test('has what it refuses as a redirect in software, where the rules rewrite', () => {
    const { install } = installOn([redirect, software], nofrag)
    expect(
      install().rules.map(({ mapping, where, refusal, rule: { srcMac } }) => [
        mapping,
        where,
        refusal,
        srcMac,
      ]),
    ).toEqual([
      ['tcp 80 -> 80', 'nic', undefined, undefined],
      ['udp 53 -> 53', 'host', words, '02:00:00:00:00:01'],
      ['direct traffic of tcp 80', 'nic', undefined, undefined],
    ])
  })

  test('that takes direct traffic alone, or nothing, gets no table in the pod, and each rule has its words', () => {
    const none = ({ port }: FlowFilter) => (port === 8 ? undefined : refused(words, 'EINVAL'))
    const { asked, install } = installOn([redirect, software], none)
    const { plan, rules, notes } = install()
    expect(plan).toBe(software)
    expect(rules.map(({ where, refusal }) => [where, refusal])).toEqual(Array(2).fill(['host', words]))
    expect(asked).toContain('nft.drop')
    expect(asked).not.toContain('ifb.del')
    expect(notes).toEqual([`not by redirect alone: the driver said "${words}"`])
  })

  test('without room for direct traffic leaves that to the host’s stack, also under offload require, and says so', () => {
    const noRoom = ({ port }: FlowFilter) => (port === 8 ? refused('ENOSPC: full', 'ENOSPC') : undefined)
    for (const hardwareOnly of [false, true]) {
      const { install } = installOn([{ ...redirect, hardwareOnly }], noRoom)
      const { rules, notes } = install()
      expect(rules.map(({ mapping }) => mapping)).toEqual(['tcp 80 -> 80', 'udp 53 -> 53'])
      expect(notes).toEqual([
        expect.stringMatching(/^direct traffic of tcp 80 stays in the host's stack.*ENOSPC/),
      ])
    }
  })

  test.each([
    ['is full', refused('ENOSPC: the table is full', 'ENOSPC'), free],
    ['is busy', refused('EBUSY: the card resets', 'EBUSY'), free],
    [
      'has offloads switched off',
      refused(words, 'EINVAL'),
      { ...free, explain: (said: string) => `${said} (off)` },
    ],
  ])('that %s is not asked again in another form', (_, why, preflight) => {
    const { asked, install } = installOn([rewrite, redirect, software], () => why, undefined, preflight)
    expect(install().plan).toBe(rewrite)
    expect(asked.filter((line) => line.includes('redirect'))).toEqual([])
    const required = installOn(
      [
        { ...rewrite, hardwareOnly: true },
        { ...redirect, hardwareOnly: true },
      ],
      () => why,
      undefined,
      preflight,
    )
    expect(refusalOf(required.install).code).toBe(101)
    expect(required.asked.filter((line) => line.includes('redirect'))).toEqual([])
  })

  test('offload require is satisfied by redirects alone', () => {
    const both = [rewrite, redirect].map((plan) => ({ ...plan, hardwareOnly: true }))
    expect(installOn(both, noRewriting).install().plan.way).toBe('redirect')
    expect(refusalOf(installOn(both, nofrag).install).message).toContain(
      `udp 53 -> 53 in the NIC: the driver said`,
    )
  })

  test('and a pod whose kernel lacks the table: software with the reason, code 101 under require, others stay done', () => {
    const isMark = (op: Op) => op.do === 'nft.load'
    const { asked, install } = installOn([redirect, software], noRewriting, isMark)
    const { plan, rules, notes } = install()
    expect(plan).toBe(software)
    expect(notes.join()).toMatch(
      /^not by redirect alone: the pod does not take the frames in: .*not supported/,
    )
    expect(rules[0]).toMatchObject({
      where: 'host',
      refusal: expect.stringContaining('Operation not supported'),
    })
    expect(asked).not.toContain('ifb.del')
    const required = installOn([{ ...redirect, hardwareOnly: true }], noRewriting, isMark)
    const error = refusalOf(required.install)
    expect([error.code, error.message]).toEqual([101, expect.stringContaining('Operation not supported')])
  })

  test.each([{ kind: 'other' }, { isLate: true }])(
    'a table of which nobody knows whether it is there (%j) ends the ADD',
    (what) => {
      const { install } = installOn(
        [redirect, software],
        noRewriting,
        (op) => op.do === 'nft.load',
        free,
        what,
      )
      expect(install).toThrow(ApplyError)
    },
  )
})
