// Limits of bandwidth, judged. Figures belong to one machine in one minute: a limit is a fifth of what the same path gave
// without one, at most MOST, and a look that a busy machine has spoilt is repeated.
import { expect } from 'vitest'
import type { Meter, Rate, Stream } from '../../hack/lab/bed/rate.ts'

/** Of a datagram of rate.ts over IPv4, and of a full segment: payload, and the frame that carries it. */
export const DATAGRAM = 1_000 / 1_042
export const SEGMENT = 1_448 / 1_514

/** The same of so many equal flows of datagrams over IPv4 and IPv6 together. */
export function datagramsOf(v4: number, v6: number): number {
  return (1_000 * (v4 + v6)) / (1_042 * v4 + 1_062 * v6)
}

/**
 * Mbit/s of payload that a path lets through without a limit, by one short look: {@link limitFor} leaves room for its error. A
 * look is repeated, at most five times, that shows too little for the least limit to be a fifth of it: a machine that is busy
 * with others may run a sender for a moment only.
 */
export async function unlimited(meter: Meter, stream: Stream): Promise<number> {
  let best = 0
  for (let attempt = 0; attempt < 5 && best < 5; attempt++) {
    const [only] = await meter.measure([{ ...stream, seconds: 1.2, warmUp: 0.4 }])
    best = Math.max(best, only?.mbit ?? 0)
  }
  return best
}

/** The highest limit that is tried: a faster one says no more, and keeps a processor busy that others need. */
const MOST = 10

/**
 * The limit to try where `plain` Mbit/s get through without one, in whole Mbit/s: a fifth of it, at most {@link MOST}. A
 * machine that is half as fast a minute later can still offer twice of it.
 */
export function limitFor(plain: number): number {
  return Math.min(MOST, Math.max(1, Math.round(plain / 5)))
}

/** The time that TCP runs under a limit, and the part of it that does not count: until the burst has passed and TCP found its window. */
export const SETTLED_TCP = { seconds: 2.5, warmUp: 0.8 } as const

/** The same for datagrams at a given pace, of which the burst alone is not counted. */
export const SETTLED_UDP = { seconds: 2, warmUp: 0.6 } as const

/** Fails unless the last look is within bounds, with all looks. */
export function expectWithin(
  { percent, looks }: Pick<Verdict, 'percent' | 'looks'>,
  [low, high]: readonly [number, number],
): void {
  expect(percent, `looks: ${looks.join(', ')} %`).toBeGreaterThanOrEqual(low)
  expect(percent, `looks: ${looks.join(', ')} %`).toBeLessThanOrEqual(high)
}

/** Limits as `vfctl show --json` has them: what each is made of, and what that has counted or is set to. */
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
  /** The last one, in percent of the limit. */
  readonly percent: number
  readonly looks: readonly number[]
  /** Of the last look, for each stream. */
  readonly rates: readonly Rate[]
  /** Bytes of all streams and all looks. */
  readonly received: number
  readonly sent: number
}

/**
 * Looks until the streams together are between `low` and `high` percent of `mbit`, and `isFair` finds what each has got
 * right, at most fifteen times: a sender that the machine did not run for a while is no fault of the limit, and beside other
 * virtual machines that happens in most looks. Payload is counted, as the user has it.
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
