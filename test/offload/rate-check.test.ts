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
    rates: () => rates,
    link: (_side: string, name: string) => links.find((one) => one.name === name),
    links: () => links,
  } as unknown as Kernel
}

const check = (kernel: Kernel, ...ops: Op[]) =>
  checkRates(kernel, [{ direction: 'toPod', rate: 1, burst: 1, where: 'nic', ops } as LimitRecord])

group('a policer in the NIC', () => {
  const limiter: Op = { do: 'limiter.add', limiter: { index: 9, ...spec, cookie }, offload: 'require' }
  const found: LimiterFacts = { index: 9, cookie, ...spec, users: 1 }

  test('is as it was made', () => {
    expect(check(kernelWith({ limiters: () => [found] }), limiter)).toEqual([])
  })

  test('is named when no filter uses it: it limits nothing', () => {
    expect(check(kernelWith({ limiters: () => [{ ...found, users: 0 }] }), limiter)).toEqual([
      expect.stringMatching(/^no filter uses the policer: tc actions add action police/),
    ])
  })
})
