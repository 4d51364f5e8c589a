// Rates and bursts of a config become the numbers of the kernel, without overflow.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytesOfTicks, ticksOf } from '../../../src/netlink/tc/actions/police.ts'
import {
  bytesOfMegabits,
  megabits,
  policerNumbers,
  shaperNumbers,
} from '../../../src/offload/bandwidth/numbers.ts'

const u32 = 0xffffffff
const kilo = 1000
const giga = 1e9
const rate = fc.oneof(
  fc.integer({ min: 8 * kilo, max: 400 * giga }),
  fc.constantFrom(8 * kilo, 1e6, 1e7, giga, 10 * giga, 100 * giga, 400 * giga),
)
const burst = fc.oneof(
  fc.integer({ min: 1, max: 34_359_738_359 }),
  fc.constantFrom(80, 2 ** 31 - 1, 2 ** 32 - 1, 8 * (2 ** 32 - 1) - 1),
)
const mtu = fc.constantFrom(68, 576, 1500, 9000, 65_535)

describe('for any rate, burst and MTU', () => {
  test('no number outgrows what the kernel counts it in, and a frame fits', () => {
    fc.assert(
      fc.property(rate, burst, mtu, (bits, burst, mtu) => {
        const limit = { rate: bits, burst }
        const shaper = shaperNumbers(limit, mtu, 'ingress').spec
        const policer = policerNumbers(limit, mtu, 'ingress').spec
        for (const spec of [shaper, policer]) {
          expect(spec.bytesPerSecond).toBe(Math.floor(bits / 8))
          expect(Number.isInteger(spec.burst)).toBe(true)
          expect(spec.burst).toBeLessThanOrEqual(u32)
          expect(ticksOf(spec.burst, spec.bytesPerSecond)).toBeLessThanOrEqual(u32)
          expect(spec.burst).toBeGreaterThanOrEqual(mtu)
        }
        // The kernel hands its number of ticks to drivers, and tc shows it, as 32 bits of bytes.
        const { bytesPerSecond } = policer
        expect(bytesOfTicks(ticksOf(policer.burst, bytesPerSecond), bytesPerSecond)).toBeLessThanOrEqual(u32)
        expect(Number.isInteger(shaper.limit)).toBe(true)
        expect(shaper.limit).toBeLessThanOrEqual(u32)
        expect(shaper.limit).toBeGreaterThanOrEqual(8 * mtu)
      }),
      { seed: 5, numRuns: 1000 },
    )
  })

  test('a burst is used as given, or a note says which is used instead and why', () => {
    fc.assert(
      fc.property(rate, burst, mtu, (bits, burst, mtu) => {
        for (const numbers of [shaperNumbers, policerNumbers]) {
          const { spec, notes } = numbers({ rate: bits, burst }, mtu, 'egress')
          if (spec.burst === Math.floor(burst / 8)) continue
          expect(notes).toHaveLength(1)
          expect(notes[0]).toContain(`egressBurst ${burst}: `)
          expect(notes[0]).toContain(`${spec.burst} bytes are used`)
        }
      }),
      { seed: 6 },
    )
  })

  test('whole Mbit/s are within 5 % or none', () => {
    fc.assert(
      fc.property(rate, (bits) => {
        const whole = megabits({ rate: bits, burst: 1 })
        const nearest = Math.max(1, Math.round(bits / 1e6)) * 1e6
        const isNear = Math.abs(nearest - bits) <= 0.05 * bits
        expect(whole).toBe(isNear ? nearest / 1e6 : undefined)
      }),
      { seed: 7, numRuns: 1000 },
    )
  })
})

test.each([2 ** 31 - 1, 2 ** 32 - 1, 8 * (2 ** 32 - 1) - 1])(
  'a burst of %i bits is what a runtime sends for none: a tenth of a second is used, not half a gigabyte',
  (burst) => {
    for (const [bits, bytes] of [
      [1e6, 12_500],
      [1e7, 125_000],
      [1e9, 12_500_000],
    ] as const) {
      const { spec, notes } = shaperNumbers({ rate: bits, burst }, 1500, 'ingress')
      expect(spec.burst).toBe(bytes)
      expect(notes).toEqual([`ingressBurst ${burst}: what runtimes send for none; ${bytes} bytes are used`])
    }
  },
)

test('tiny ones: a frame for a shaper, and time for a policer', () => {
  expect(shaperNumbers({ rate: 8000, burst: 80 }, 1500, 'ingress')).toEqual({
    spec: { bytesPerSecond: 1000, burst: 1518, limit: 8 * 1518 + 1518 },
    notes: ['ingressBurst 80: too small for 8000 bit/s; 1518 bytes are used'],
  })
  // 100 Mbit/s: 160 ms are 2 MB.
  expect(policerNumbers({ rate: 1e8, burst: 1_048_576 }, 1500, 'egress')).toEqual({
    spec: { bytesPerSecond: 12_500_000, burst: 2_000_000 },
    notes: ['egressBurst 1048576: too small for 100000000 bit/s; 2000000 bytes are used'],
  })
})

test('what the ticks can not hold is cut to 274 s', () => {
  const { spec, notes } = shaperNumbers({ rate: 1e6, burst: 3e9 }, 1500, 'ingress')
  expect(spec.burst).toBe(274 * 125_000)
  expect(notes).toEqual([
    'ingressBurst 3000000000: more than 274 s at 1000000 bit/s; 34250000 bytes are used',
  ])
})

test('what a driver is told as 32 bits of bytes is cut to them, with its last tick', () => {
  expect(policerNumbers({ rate: 400e9, burst: 34_359_738_352 }, 1500, 'egress')).toEqual({
    spec: { bytesPerSecond: 50e9, burst: 0xffffffff - 3200 },
    notes: ['egressBurst 34359738352: more bytes than 32 bits count; 4294964095 bytes are used'],
  })
})

test('mlx5 keeps 31 bits of a burst, and the note names where; other drivers keep all', () => {
  const wish = { rate: 1e9, burst: 8 * 2 ** 31 }
  const { spec, notes } = policerNumbers(wish, 1500, 'ingress', 'mlx5_core')
  // Less a tick, 8 bytes at this rate.
  expect(spec.burst).toBe(2 ** 31 - 1 - 8)
  expect(bytesOfTicks(ticksOf(spec.burst, 125e6), 125e6)).toBeLessThanOrEqual(2 ** 31 - 1)
  expect(notes).toEqual([
    'ingressBurst 17179869184: more than driver "mlx5_core" keeps of a policer\'s burst (mlx5e_tc_meter_modify() of mellanox/mlx5/core/en/tc/meter.c); 2147483639 bytes are used',
  ])
  expect(policerNumbers(wish, 1500, 'ingress', 'nfp')).toEqual({
    spec: { bytesPerSecond: 125e6, burst: 2 ** 31 },
    notes: [],
  })
})

test('at a rate that is too low for one frame a note says so', () => {
  const { spec, notes } = shaperNumbers({ rate: 1000, burst: 80 }, 65_535, 'ingress')
  expect(spec.burst).toBe(274 * 125)
  expect(notes.at(-1)).toBe('ingressRate 1000: too low for frames of 65553 bytes')
})

test.each([
  [1_000_000, 1],
  [1_040_000, 1],
  [1_060_000, undefined],
  [1_500_000, undefined],
  [9_490_000, undefined],
  [9_600_000, 10],
  [400e9, 400_000],
  [8000, undefined],
])('%i bit/s are %s Mbit/s', (bits, whole) => {
  expect(megabits({ rate: bits, burst: 1 })).toBe(whole)
})

test('Mbit/s in bytes per second', () => {
  expect(bytesOfMegabits(100)).toBe(12_500_000)
})
