// The feature bandwidth tries one way to a limit after the other, and leaves a way only where nothing of it can be in
// force.
import { expect, describe as group, test } from 'vitest'
import { VfRefusal } from '../../../src/kernel/link/vfs.ts'
import { NetlinkError } from '../../../src/netlink/socket.ts'
import { installLimit } from '../../../src/offload/bandwidth/install.ts'
import { PolicerRefused } from '../../../src/offload/feature.ts'
import { Transaction } from '../../../src/ops/apply.ts'
import { OffloadRefused } from '../../../src/ops/offload-refused.ts'
import type { Op, Outcome } from '../../../src/ops/op.ts'

/** A plan without a policer that features share. */
const alone = { policer: undefined, refused: undefined }

group('a limit by the PF', () => {
  const set: Op = { do: 'vf.set', pf: 'pf0', vf: 1, set: { rate: { min: 0, max: 9 } }, was: {} }
  const limiter = { index: 9, bytesPerSecond: 1, burst: 1, cookie: '7666' }
  const police: Op = { do: 'limiter.add', limiter, offload: 'require' }
  const limitBy = (ops: readonly Op[], answer: (op: Op) => void, isHeldByDead = false) => {
    const ways = [
      { where: 'nic', means: 'max_tx_rate', ops, notes: [] },
      { where: 'pod', means: 'tbf', ops: [], notes: [] },
    ] as const
    const transaction = new Transaction({
      run: (op) => {
        answer(op)
        return {}
      },
    })
    const goal = { passedOver: [], direction: 'fromPod', limit: { rate: 1, burst: 1 } } as const
    return () => {
      const made = installLimit(transaction, { ...goal, ways }, alone, () => isHeldByDead)
      return made instanceof PolicerRefused ? made : made.means
    }
  }
  const refusal = (cause?: unknown) => new NetlinkError({ operation: 'RTM_SETLINK', errno: 105, cause })

  test('that is refused is given up', () => {
    const refused = limitBy([set], () => {
      throw new VfRefusal('max_tx_rate', '9', refusal())
    })
    expect(refused()).toBe('tbf')
  })

  test('without an answer may be in force: no other way is a way out', () => {
    const lost = limitBy([set], () => {
      throw new VfRefusal('max_tx_rate', '9', refusal(new Error('recv')))
    })
    expect(lost).toThrow('ENOBUFS')
  })

  test('of which something stays is none that another one may follow', () => {
    const refusing = (...refused: readonly Op['do'][]) =>
      limitBy([police, set], (op) => {
        if (refused.includes(op.do)) throw refusal()
      })
    expect(refusing('vf.set')()).toBe('tbf')
    expect(refusing('vf.set', 'limiter.del')).toThrow('ENOBUFS')
  })

  test('whose place is taken is given up, but not for what a dead attachment has left', () => {
    const exists = new NetlinkError({ operation: 'RTM_NEWTFILTER', errno: 17 })
    const taken = (isHeldByDead: boolean) =>
      limitBy(
        [police],
        () => {
          throw exists
        },
        isHeldByDead,
      )
    expect(taken(false)()).toBe('tbf')
    expect(taken(true)).toThrow('EEXIST')
  })
})

test('a limit is recorded with the classifier that its filter was made by, and says why', () => {
  const detour = { side: 'host', link: 'veth1', through: 'vfr0', cookie: '7666' } as const
  const ops: Op[] = [
    { do: 'ifb.add', side: 'host', name: 'vfr0', mac: '02:00:00:00:00:01', mtu: 1500 },
    { do: 'detour.add', detour },
  ]
  const made = (outcome: Outcome) => {
    const run = (op: Op) => (op.do === 'detour.add' ? outcome : {})
    const ways = [{ where: 'host', means: 'ifb', ops, notes: [] }] as const
    const limit = { rate: 8000, burst: 80 }
    const goal = { passedOver: [], direction: 'fromPod', limit, ways } as const
    return installLimit(new Transaction({ run }), goal, alone, () => false)
  }
  expect(made({ where: 'host', handle: 1 })).toMatchObject({ ops, notes: [] })
  expect(made({ where: 'host', handle: 1 })).not.toHaveProperty('counts')
  const reason = 'matchall: RTM_NEWTFILTER: ENOENT'
  expect(made({ where: 'host', handle: 1, classifier: 'u32', reason })).toMatchObject({
    ops: [ops[0], { do: 'detour.add', detour: { ...detour, classifier: 'u32' } }],
    lines: [expect.any(String), expect.stringContaining('prio 60000 u32 match u32 0 0')],
    notes: [`the filter that leads to the ifb is made by classifier u32; not by ${reason}`],
  })
})

group('a card without meters (mlx5)', () => {
  const limiter = { index: 9, bytesPerSecond: 1, burst: 1, cookie: '7666' }
  const ops: Op[] = [{ do: 'limiter.add', limiter, offload: 'require' }]
  const refused = (driver: string | undefined, extack: string) => {
    const run = () => {
      const error = new NetlinkError({ operation: 'RTM_NEWACTION', errno: 95, extack })
      throw new OffloadRefused(`EOPNOTSUPP: ${extack}`, error)
    }
    const ways = [{ where: 'nic', means: 'police', ops, notes: [], limiter: 9 }] as const
    const goal = { passedOver: [], direction: 'toPod', limit: { rate: 1, burst: 1 }, ways } as const
    const shared = { policer: 9, refused: undefined }
    const made = installLimit(new Transaction({ run }), goal, shared, () => false, driver)
    return made instanceof PolicerRefused ? made.reason : made.means
  }

  test('is told from one that has no more of them', () => {
    const words = 'mlx5_core: Failed to get flow meter'
    const said = `the driver said "EOPNOTSUPP: ${words}"`
    expect(refused('mlx5_core', words)).toBe(`no flow meters (ConnectX-6 Dx and newer have them): ${said}`)
    expect(refused(undefined, words)).toBe(said)
    expect(refused('mlx5_core', 'mlx5_core: other')).not.toContain('no flow meters')
  })
})
