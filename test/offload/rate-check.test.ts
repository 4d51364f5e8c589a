// CHECK of limits against a kernel that shows what each test says.
import { expect, describe as group, test } from 'vitest'
import type { LimiterFacts, LinkFacts } from '../../src/kernel/facts.ts'
import type { Kernel, RateKernel } from '../../src/kernel/kernel.ts'
import { checkRates } from '../../src/offload/rate-check.ts'
import type { LimitRecord } from '../../src/offload/record.ts'
import type { Op } from '../../src/ops/op.ts'

const cookie = '76660102aabbccdd0011223344556677'
const spec = { bytesPerSecond: 12_500_000, burst: 2_000_000 }

function kernelWith(rates: Partial<RateKernel>, links: readonly Partial<LinkFacts>[] = []): Kernel {
  return {
    rates: () => ({ limiterDifferences: () => [], ...rates }),
    link: (_side: string, name: string) => links.find((one) => one.name === name),
    links: () => links,
  } as unknown as Kernel
}

const check = (kernel: Kernel, ...ops: Op[]) =>
  checkRates(kernel, [{ direction: 'toPod', rate: 1, burst: 1, where: 'nic', ops } as LimitRecord], {
    ifindex: 2,
  })

group('a policer in the NIC', () => {
  const limiter: Op = { do: 'limiter.add', limiter: { index: 9, ...spec, cookie }, offload: 'require' }
  const found: LimiterFacts = { index: 9, cookie, ...spec, users: 1 }

  test('is as it was made', () => {
    expect(check(kernelWith({ limiters: () => [found] }), limiter)).toEqual([])
  })

  test('is named when it does something else than it was made for', () => {
    const limiterDifferences = () => ['action 1 (police) action: asked 2, kernel has 3']
    expect(check(kernelWith({ limiters: () => [found], limiterDifferences }), limiter)).toEqual([
      expect.stringMatching(
        /^the policer is another one \(action 1 .* kernel has 3\): tc actions add action police/,
      ),
    ])
  })

  test('is named when no filter uses it: it limits nothing', () => {
    expect(check(kernelWith({ limiters: () => [{ ...found, users: 0 }] }), limiter)).toEqual([
      expect.stringMatching(/^no filter uses the policer: tc actions add action police/),
    ])
  })
})

group('a filter for every frame', () => {
  const police: Op = { do: 'police.add', police: { link: 'rep0', ...spec, cookie }, offload: 'require' }
  const detour: Op = { do: 'detour.add', detour: { side: 'host', link: 'rep0', through: 'vfr0', cookie } }
  const links = [
    { name: 'rep0', ifindex: 7 },
    { name: 'vfr0', ifindex: 9 },
  ]

  test('is as it was made, is gone, does something else', () => {
    const found = (differences: readonly string[] | undefined) =>
      check(
        kernelWith({ policeDifferences: () => differences, detourDifferences: () => differences }, links),
        police,
        detour,
      ).map((line) => line.replace(/: tc .*/, ''))
    expect(found([])).toEqual([])
    expect(found(undefined)).toEqual(['"rep0" has no policer of ours', '"rep0" has no filter of ours'])
    expect(found(['number of actions: asked 1, kernel has 2'])).toEqual([
      'the policer on "rep0" is another one (number of actions: asked 1, kernel has 2)',
      'the filter on "rep0" is another one (number of actions: asked 1, kernel has 2)',
    ])
  })
})

group('interfaces that were renamed since', () => {
  const links = [
    { name: 'new-pf', ifindex: 2, vfs: new Map([[3, { rate: { min: 0, max: 100 } }]]) },
    { name: 'new-rep', ifindex: 7 },
    { name: 'vfr0', ifindex: 9 },
  ]
  const rates: Partial<RateKernel> = {
    policeDifferences: (ifindex) => (ifindex === 7 ? [] : undefined),
    detourDifferences: (ifindex) => (ifindex === 7 ? [] : undefined),
    shaper: (_, ifindex) => (ifindex === 7 ? { ...spec, limit: 9 } : undefined),
  }

  test('are known by their numbers', () => {
    const rep = { link: 'rep0', ifindex: 7 }
    const ops: Op[] = [
      { do: 'police.add', police: { ...rep, ...spec, cookie }, offload: 'require' },
      { do: 'detour.add', detour: { ...rep, side: 'host', through: 'vfr0', cookie } },
      { do: 'shaper.add', shaper: { ...rep, side: 'host', ...spec, limit: 9 } },
      { do: 'vf.set', pf: 'pf0', vf: 3, set: { rate: { min: 0, max: 100 } }, was: {} },
    ]
    expect(check(kernelWith(rates, links), ...ops)).toEqual([])
    expect(
      check(kernelWith(rates, links.slice(2)), ...ops).map((line) => line.replace(/: [a-z]+ .*/, '')),
    ).toEqual(['there is no "rep0"', 'there is no "rep0"', 'there is no "rep0"', 'the rate is another one'])
  })
})
