// The wishes of a CHECK beside the limits that an ADD has recorded. test/kernel/inspect has the operations of limits.
import { expect, describe as group, test } from 'vitest'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import { doneLimits, limitDifferences, wishedOtherwise } from '../../../src/offload/bandwidth/check.ts'
import type { CheckContext } from '../../../src/offload/feature.ts'
import type { Op } from '../../../src/ops/op.ts'
import { emptyJournal, type LimitRecord } from '../../../src/records/offload.ts'

group('what CHECK is asked for', () => {
  const made = (direction: LimitRecord['direction'], where: 'nic' | 'pod'): LimitRecord => ({
    ...{ direction, rate: 5_000_000, burst: 800_000, where, ops: [] },
  })
  const limit = { rate: 5_000_000, burst: 800_000 }
  const both = [made('toPod', 'pod'), made('fromPod', 'nic')]

  test('is what the ADD was asked for', () => {
    expect(wishedOtherwise({ toPod: limit, fromPod: limit, outside: false }, both)).toEqual([])
    expect(wishedOtherwise({ fromPod: limit, outside: true }, [made('fromPod', 'nic')])).toEqual([])
  })

  test('is another limit, one more, one less, or another place', () => {
    const other = { ...limit, rate: 6_000_000 }
    const wishes = { toPod: { ...limit, burst: 900_000 }, fromPod: other, outside: false }
    expect(wishedOtherwise(wishes, both)).toEqual([
      'what comes to the pod was limited to 5000000 bit/s with a burst of 800000, and 5000000 bit/s with a burst of 900000 are asked for',
      'what the pod sends was limited to 5000000 bit/s with a burst of 800000, and 6000000 bit/s with a burst of 800000 are asked for',
    ])
    expect(wishedOtherwise({ toPod: limit, outside: false }, [made('fromPod', 'nic')])).toEqual([
      'no limit was made for what comes to the pod, and 5000000 bit/s with a burst of 800000 are asked for',
      'what the pod sends was limited to 5000000 bit/s with a burst of 800000, and no limit is asked for',
    ])
    expect(wishedOtherwise({ toPod: limit, fromPod: limit, outside: true }, both)).toEqual([
      'what comes to the pod is limited in the pod, and bandwidth.require is "outside"',
    ])
  })
})

group('a record of limits', () => {
  const set: Op = { do: 'vf.set', pf: 'pf0', vf: 3, set: { rate: { min: 0, max: 100 } }, was: {} }
  const limit = { direction: 'fromPod', rate: 8, burst: 8, ops: [set] } as const
  const record = (where?: 'nic') => ({
    limits: [{ ...limit, ops: [...limit.ops], ...(where === undefined ? {} : { where }) }],
    uplink: { name: 'pf0', ifindex: 2 },
  })
  const renamed = { link: () => ({ name: 'new-pf' }) as LinkFacts }

  test('has its operations verified, on the uplink by the name that it has now', () => {
    expect(doneLimits(record('nic'), renamed)).toEqual([{ op: { ...set, pf: 'new-pf' } }])
    expect(doneLimits(record('nic'), { link: () => undefined })).toEqual([{ op: set }])
  })

  test('of an ADD that died has operations that may not have been done: CHECK says that, and asks for none', () => {
    expect(doneLimits(record(), renamed)).toEqual([])
    const config = { rates: { fromPod: { rate: 8, burst: 8 }, outside: false } }
    const journal = { ...emptyJournal, ...record() }
    expect(limitDifferences({ config, journal } as unknown as CheckContext)).toEqual([
      'the limit of what the pod sends was not finished',
    ])
    expect(limitDifferences({ config, journal: undefined } as unknown as CheckContext)).toEqual([
      'the ADD made none',
    ])
  })
})
