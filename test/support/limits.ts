// Judges bandwidth limits. Figures belong to one machine in one minute. So a limit is a fifth of the rate of the same path without a
// limit, at most MOST, and a measurement that a busy machine has spoilt is repeated.
import { expect } from 'vitest'
import type { Meter, Rate, Stream } from '../../hack/lab/bed/rate.ts'

/** Share of payload in a frame, for a datagram of rate.ts over IPv4 and for a full segment. */
export const DATAGRAM = 1_000 / 1_042
export const SEGMENT = 1_448 / 1_514

/** Share of payload for equal flows of datagrams: `v4` over IPv4 and `v6` over IPv6, together. */
export function datagramsOf(v4: number, v6: number): number {
  return (1_000 * (v4 + v6)) / (1_042 * v4 + 1_062 * v6)
}

/**
 * Mbit/s of payload on a path without a limit, by one short measurement: {@link limitFor} leaves room for its error. Repeats the
 * measurement, at most five times, while a fifth of it is below the least limit: a machine that is busy with others may run a sender
 * for a moment only.
 */
export async function unlimited(meter: Meter, stream: Stream): Promise<number> {
  let best = 0
  for (let attempt = 0; attempt < 5 && best < 5; attempt++) {
    const [only] = await meter.measure([{ ...stream, seconds: 1.2, warmUp: 0.4 }])
    best = Math.max(best, only?.mbit ?? 0)
  }
  return best
}

/** The highest limit to try, in Mbit/s: a faster one proves no more, and keeps a processor busy that others need. */
const MOST = 10

/**
 * The limit to try, in whole Mbit/s, on a path with `plain` Mbit/s: a fifth of it, at most {@link MOST}. Even if the machine gets half
 * as fast a minute later, it can still offer twice the limit.
 */
export function limitFor(plain: number): number {
  return Math.min(MOST, Math.max(1, Math.round(plain / 5)))
}

/** The time that TCP runs under a limit, and the part of it that does not count: until the burst has passed and TCP found its window. */
export const SETTLED_TCP = { seconds: 2.5, warmUp: 0.8 } as const

/** The same for datagrams at a fixed pace, where only the burst does not count. */
export const SETTLED_UDP = { seconds: 2, warmUp: 0.6 } as const

/** Fails unless the last measurement is within bounds; prints all measurements. */
export function expectWithin(
  { percent, looks }: Pick<Verdict, 'percent' | 'looks'>,
  [low, high]: readonly [number, number],
): void {
  expect(percent, `looks: ${looks.join(', ')} %`).toBeGreaterThanOrEqual(low)
  expect(percent, `looks: ${looks.join(', ')} %`).toBeLessThanOrEqual(high)
}

/** Limits of `vfctl show --json`: the objects of each limit, with their counters or settings. */
export interface ShownLimit {
  readonly direction: 'toPod' | 'fromPod'
  readonly parts: readonly {
    readonly line: string
    readonly counters?: Readonly<Record<'hardware' | 'software', { packets: number; bytes: number }>> & {
      readonly dropped: number
    }
    readonly wanted?: number
    readonly now?: number
  }[]
}

/** The outcome of a look at a limit. */
export interface Verdict {
  /** The last measurement, in percent of the limit. */
  readonly percent: number
  readonly looks: readonly number[]
  /** The last rate of each stream. */
  readonly rates: readonly Rate[]
  /** Bytes of all streams and all measurements. */
  readonly received: number
  readonly sent: number
}

/**
 * Measures until all streams together are between `low` and `high` percent of `mbit`, and `isFair` accepts the share of each; at most
 * fifteen times. A sender that the machine did not run for a while is no fault of the limit, and beside other virtual machines that
 * happens most of the time. Counts payload, as the user does.
 */
export async function look(
  meter: Meter,
  streams: readonly Stream[],
  mbit: number,
  [low, high]: readonly [number, number],
  isFair: (rates: readonly Rate[]) => boolean = () => true,
): Promise<Verdict> {
  const looks: number[] = []
  let rates: Rate[] = []
  let [received, sent] = [0, 0]
  for (let attempt = 0; attempt < 15; attempt++) {
    rates = await meter.measure(streams)
    for (const rate of rates) {
      received += rate.received
      sent += rate.sent
    }
    const percent = (rates.reduce((sum, rate) => sum + rate.mbit, 0) / mbit) * 100
    looks.push(Math.round(percent * 10) / 10)
    if (percent >= low && percent <= high && isFair(rates)) break
  }
  return { percent: looks.at(-1) ?? 0, looks, rates, received, sent }
}
