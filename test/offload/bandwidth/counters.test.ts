// vfctl shows the counters and rates of limits as the kernel has them now.
import { expect, test } from 'vitest'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import type { LimitCounters } from '../../../src/kernel/api/rates.ts'
import type { CountingReach } from '../../../src/kernel/inspect/limit-counters.ts'
import { measure } from '../../../src/kernel/inspect/measure.ts'
import { bandwidthCounters } from '../../../src/offload/bandwidth/counters.ts'
import type { Op, Side } from '../../../src/ops/op.ts'
import { emptyJournal, type LimitRecord } from '../../../src/records/offload.ts'

const none = { packets: 0n, bytes: 0n }
const counters: LimitCounters = { inHw: false, hardware: none, software: none, dropped: 0n }
const numbers = { bytesPerSecond: 125_000, burst: 20_000 }
const cookie = '7666'

/** A PF that is called `now` today, number 7. */
const links = {
  link: (_side: Side, by: number | string) =>
    (by === 7
      ? { ifindex: 7, name: 'now' }
      : { now: { vfs: new Map([[3, { rate: { min: 0, max: 2 } }]]) } }[by]) as unknown as
      | LinkFacts
      | undefined,
}
const rates = () => ({
  ratesOfPort: (handle: string) => (handle === 'pci/a/1' ? { handle, share: 0, max: 125_000 } : undefined),
})
/** Each thing that counts has these counters. */
const kernel = {
  ...links,
  measure: (op: Op, isThere: boolean) => {
    const reach = { ...links, rates, route: () => expect.fail('nothing that counts is asked') }
    const found = measure(reach as unknown as CountingReach, op, false)
    return found?.kind === 'counters' ? { ...found, counters: isThere ? counters : undefined } : found
  },
} as unknown as Kernel

const limit = (...ops: Op[]): LimitRecord => ({
  ...{ direction: 'fromPod', rate: 1_000_000, burst: 1, where: 'nic', means: 'any', lines: ['a'] },
  ops,
})
const shaper = (side: Side): Op => ({
  do: 'shaper.add',
  shaper: { side, link: 'net1', ...numbers, limit: 1 },
})
const shownLimits = (limits: LimitRecord[], inPod: boolean) => {
  const journal = { ...emptyJournal, limits, uplink: { name: 'pf0', ifindex: 7 } }
  return bandwidthCounters({ kernel, journal, inPod }).limits
}
const parts = (limits: LimitRecord[], inPod = true) => shownLimits(limits, inPod).flatMap((one) => one.parts)

test('what counts is asked; what is in a pod that is gone is not there; qdiscs that only hold filters count nothing', () => {
  const ops: Op[] = [
    { do: 'ifb.add', side: 'pod', name: 'vfr0', mac: '76:66:00:00:00:00', mtu: 1500 },
    shaper('pod'),
    { do: 'clsact.add', side: 'pod', link: 'net1' },
    { do: 'detour.add', detour: { side: 'pod', link: 'net1', through: 'vfr0', cookie } },
    shaper('host'),
    { do: 'police.add', police: { link: 'rep0', ...numbers, cookie }, offload: 'require' },
    { do: 'limiter.add', limiter: { index: 9, ...numbers, cookie }, offload: 'require' },
  ]
  const seen = (inPod: boolean) =>
    parts([limit(...ops)], inPod).map((part) => part.kind === 'counters' && part.counters)
  expect(seen(true)).toEqual(Array(6).fill(counters))
  expect(seen(false)).toEqual([undefined, undefined, undefined, counters, counters, counters])
})

test('rates of VF and port are read back, by the name that the PF has now', () => {
  const rate = { min: 0, max: 1 }
  const vf: Op = { do: 'vf.set', pf: 'pf0', vf: 3, set: { rate }, was: { rate: { min: 0, max: 0 } } }
  const port = (handle: string): Op => ({
    ...{ do: 'devlink.rate.set', handle, set: { share: 0, max: 125_000 }, was: { share: 0, max: 0 } },
  })
  expect(parts([limit(vf, port('pci/a/1'), port('pci/a/2'))])).toEqual([
    { kind: 'setting', line: 'ip link set dev pf0 vf 3 max_tx_rate 1 min_tx_rate 0', wanted: 1e6, now: 2e6 },
    expect.objectContaining({ kind: 'setting', wanted: 1e6, now: 1e6 }),
    expect.objectContaining({ kind: 'setting', wanted: 1e6, now: undefined }),
  ])
})

test('an ADD that never came to its end has made nothing that is known', () => {
  const { where: _, ...open } = limit(shaper('host'))
  expect(shownLimits([open], true)).toEqual([
    { direction: 'fromPod', rate: 1_000_000, burst: 1, means: 'any', lines: ['a'], parts: [] },
  ])
})
