// CHECK of limits against a kernel that shows what each test says.
import fc from 'fast-check'
import { expect, describe as group, test } from 'vitest'
import type { LinkFacts, SharedPolicerFacts } from '../../../src/kernel/api/facts.ts'
import type { Reach } from '../../../src/kernel/inspect/verifier.ts'
import { verify } from '../../../src/kernel/inspect/verify.ts'
import { bytesOfTicks } from '../../../src/netlink/tc/actions/police.ts'
import { shaperNumbers } from '../../../src/offload/bandwidth/numbers.ts'
import type { Op } from '../../../src/ops/op.ts'

type Rates = ReturnType<Reach['rates']>

const cookie = '76660102aabbccdd0011223344556677'
const spec = { bytesPerSecond: 12_500_000, burst: 2_000_000 }

function kernelWith(rates: Partial<Rates>, links: readonly Partial<LinkFacts>[] = []): Reach {
  return {
    rates: () => ({ limiterDifferences: () => [], ...rates }),
    link: (_side: string, by: string | number) =>
      links.find(({ name, ifindex }) => name === by || ifindex === by),
  } as unknown as Reach
}

const check = (kernel: Reach, ...ops: Op[]) =>
  verify(
    kernel,
    ops.map((op) => ({ op })),
  ).map(({ found }) => found)

group('a policer in the NIC', () => {
  const limiter: Op = { do: 'limiter.add', limiter: { index: 9, ...spec, cookie }, offload: 'require' }
  const found: SharedPolicerFacts = { index: 9, cookie, ...spec, users: 1 }

  test('is as it was made', () => {
    expect(check(kernelWith({ limiters: () => [found] }), limiter)).toEqual([])
  })

  test('is named when it does something else than it was made for', () => {
    const limiterDifferences = () => ['action 1 (police) action: asked 2, kernel has 3']
    expect(check(kernelWith({ limiters: () => [found], limiterDifferences }), limiter)).toEqual([
      'the policer is another one (action 1 (police) action: asked 2, kernel has 3)',
    ])
  })

  test('is named when no filter uses it: it limits nothing', () => {
    expect(check(kernelWith({ limiters: () => [{ ...found, users: 0 }] }), limiter)).toEqual([
      'no filter uses the policer',
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
      )
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
  const rates: Partial<Rates> = {
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
      { do: 'vf.set', pf: 'new-pf', vf: 3, set: { rate: { min: 0, max: 100 } }, was: {} },
    ]
    expect(check(kernelWith(rates, links), ...ops)).toEqual([])
    expect(check(kernelWith(rates, links.slice(2)), ...ops)).toEqual([
      'there is no "rep0"',
      'there is no "rep0"',
      'there is no "rep0"',
      'there is no VF 3 of "new-pf"',
    ])
  })
})

group('a shaper that the kernel shows in its own numbers', () => {
  /** Ticks of a burst as Linux 6.12 comes to them: psched_ratecfg_precompute(), psched_l2t_ns(), PSCHED_NS2TICKS(). */
  function shownBurst(bytesPerSecond: number, burst: number): number {
    let [factor, shift] = [1_000_000_000n, 0n]
    const perByte = () => factor / BigInt(bytesPerSecond)
    while ((perByte() & (1n << 31n)) === 0n && (factor & (1n << 63n)) === 0n) {
      factor <<= 1n
      shift++
    }
    const ticks = Number(((BigInt(burst) * perByte()) >> shift) >> 6n)
    expect(ticks).toBeLessThanOrEqual(0xffffffff)
    return bytesOfTicks(ticks, bytesPerSecond)
  }
  const differences = (bytesPerSecond: number, burst: number, shown: number) =>
    check(kernelWith({ shaper: () => ({ bytesPerSecond, burst: shown, limit: 9 }) }, [{ name: 'net1' }]), {
      do: 'shaper.add',
      shaper: { side: 'pod', link: 'net1', bytesPerSecond, burst, limit: 9 },
    })

  test('is as it was made, whatever rate and burst were asked for', () => {
    // One that has come back as 4294967100.
    expect(shownBurst(29_929_511, 4_294_967_104)).toBe(4_294_967_100)
    expect(differences(29_929_511, 4_294_967_104, 4_294_967_100)).toEqual([])
    const rate = fc.double({ min: 3, max: 15, noNaN: true }).map((exponent) => Math.floor(10 ** exponent))
    const burst = fc.double({ min: 0, max: 10.5, noNaN: true }).map((exponent) => Math.floor(10 ** exponent))
    fc.assert(
      fc.property(rate, burst, (bits, wish) => {
        const { spec } = shaperNumbers({ rate: bits, burst: Math.min(wish, 34_359_738_359) }, 1500, 'ingress')
        expect(
          differences(spec.bytesPerSecond, spec.burst, shownBurst(spec.bytesPerSecond, spec.burst)),
        ).toEqual([])
      }),
      { seed: 8, numRuns: 2000 },
    )
  })

  test('is another one where a thousandth of the burst is missing', () => {
    expect(differences(1000, 5000, 4990)).toHaveLength(1)
    expect(differences(125_000_000, 12_500_000, 12_487_500)).toHaveLength(1)
    expect(differences(50e9, 4_294_967_295, 4_290_672_327)).toHaveLength(1)
  })
})
