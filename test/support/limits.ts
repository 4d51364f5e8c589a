// Limits of bandwidth, judged. Figures belong to one machine in one minute: a limit is a fifth of what the same path gave
// without one, and a look that a busy machine has spoilt is repeated.
import type { Meter, Rate, Stream } from './rate.ts'

/** Of a datagram of rate.ts over IPv4, and of a full segment: payload, and the frame that carries it. */
export const DATAGRAM = 1_000 / 1_042
export const SEGMENT = 1_448 / 1_514

/** The same of so many equal flows of datagrams over IPv4 and IPv6 together. */
export function datagramsOf(v4: number, v6: number): number {
  return (1_000 * (v4 + v6)) / (1_042 * v4 + 1_062 * v6)
}

/** Mbit/s of payload that a path lets through without a limit: the least of two looks. */
export async function unlimited(meter: Meter, stream: Stream): Promise<number> {
  const [first] = await meter.measure([stream])
  const [second] = await meter.measure([stream])
  return Math.min(first?.mbit ?? 0, second?.mbit ?? 0)
}

/**
 * The limit to try where `plain` Mbit/s get through without one, in whole Mbit/s: a fifth of it. A machine that is half as
 * fast a minute later can still offer twice of it.
 */
export function limitFor(plain: number): number {
  return Math.max(1, Math.round(plain / 5))
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

/** How a look at a limit came out. */
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
