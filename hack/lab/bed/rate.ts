// Measures how fast bytes get from one namespace to another in the guest. In: sender and receiver. Out: Mbit/s of payload,
// as the receiver saw it. Nothing here judges: what is right depends on what limits the way.

import { DRIVER } from '../driver/client.ts'
import type { Lab } from '../lab.ts'
import { type Orders, type Reply, startOrders } from './orders.ts'
import { inNamespace, type Namespace } from './traffic.ts'

/** A stream in one direction. */
export interface Stream {
  readonly from: Namespace
  readonly to: Namespace
  /** Address of the receiver, for the sender. */
  readonly address: string
  /** The sender's port of destination, where mappings change it; default {@link port}. */
  readonly sendPort?: number
  /** Address of the receiver. */
  readonly port: number
  /** Duration in seconds of the guest's clock, default 2.5. */
  readonly seconds?: number
  /** UDP at this pace, in Mbit/s of payload; without it TCP, as fast as it goes. */
  readonly udpMbit?: number
  /** Seconds at the beginning that do not count, default 0.5: the burst that a limit allows, slow start. */
  readonly warmUp?: number
}

export interface Rate {
  /** Payload that arrived, in Mbit/s. */
  readonly mbit: number
  /** Bytes in all, warm-up included. */
  readonly received: number
  readonly sent: number
}

/** A line on standard input of rate-guest.ts. `last` ends the stream of a UDP sender. */
export type RateOrder =
  | { readonly do: 'listen'; readonly protocol: 'tcp' | 'udp'; readonly port: number; readonly last: string }
  /** Waits, within bounds, for the last word that the order `of` listens for; `stop` ends the receiver at once. */
  | { readonly do: 'arrivals'; readonly of: number; readonly stop: boolean }
  | ({ readonly do: 'send'; readonly last: string } & Pick<Stream, 'address' | 'port' | 'udpMbit'> &
      Required<Pick<Stream, 'seconds'>>)

/** A line of answers from rate-guest.ts. */
export interface RateReply extends Reply {
  /** Answer to `arrivals`: milliseconds since the first bytes, and the number of bytes that came. */
  readonly arrivals?: readonly Arrival[]
  /** Answer to `arrivals`: the time of the first bytes, in milliseconds of the guest's clock. */
  readonly begin?: number
  /** Answer to `send`: bytes of payload. */
  readonly sent?: number
}

type Arrival = readonly [at: number, bytes: number]

/** Measures on demand. A process stays in each namespace of a measurement until the end. */
export interface Meter {
  /** Sends all streams from the same moment on. Measures each at its receiver, several streams while all of them run. */
  measure(streams: readonly Stream[]): Promise<Rate[]>
  /** Ends the processes; call it before a namespace is deleted. */
  end(): Promise<void>
}

/** Number of short datagrams that end a sender's stream: any one is enough, and a policer may drop some. */
export const LAST_WORDS = 10

const SECONDS = 2.5

/** Makes a meter; starts no process yet. */
export function startMeter(lab: Lab): Meter {
  const places = new Map<Namespace, Promise<Orders<RateOrder, RateReply>>>()
  let room: Promise<string> | undefined
  let count = 0
  const at = (place: Namespace) => {
    // Data that waits for a receiver that the machine does not run for a moment must find room: it has passed the limit.
    room ??= lab.must(`sysctl -n net.core.rmem_default; sysctl -qw net.core.rmem_default=${8 << 20}`)
    const known = places.get(place)
    if (known !== undefined) return known
    const argv = inNamespace(place, ['env', 'BUN_JSC_useJIT=0', DRIVER, 'rate'])
    const started = room.then(() =>
      startOrders<RateOrder, RateReply>(lab, `The meter in ${place ?? 'the host'}`, argv),
    )
    places.set(place, started)
    return started
  }
  return {
    measure: async (streams) => {
      const pairs = await Promise.all(
        streams.map(async (stream) => {
          const [receiver, sender] = await Promise.all([at(stream.to), at(stream.from)])
          const protocol = stream.udpMbit === undefined ? 'tcp' : 'udp'
          const last = `end ${++count}`
          const { id } = await receiver.order({ do: 'listen', protocol, port: stream.port, last })
          return { stream, receiver, sender, last, id }
        }),
      )
      const received = await Promise.all(
        pairs.map(async ({ stream, receiver, sender, last, id }) => {
          const { address, port, sendPort = port, seconds = SECONDS, udpMbit } = stream
          const pace = udpMbit === undefined ? {} : { udpMbit }
          const send = { do: 'send', address, port: sendPort, seconds, last, ...pace } as const
          const { sent = 0 } = await sender.order(send)
          // TCP may have left megabytes in buffers and queues, which at the rate of a limit take very long.
          const stop = udpMbit === undefined
          const { arrivals = [], begin = 0 } = await receiver.order({ do: 'arrivals', of: id, stop })
          return {
            stream,
            sent,
            begin,
            arrivals: arrivals.map(([at, bytes]) => [begin + at, bytes] as const),
          }
        }),
      )
      const [from, to] = windowOf(received)
      return received.map(({ arrivals, sent }) => ({
        mbit: received.length === 1 ? rateOf(arrivals, from, to) : shareOf(arrivals, from, to),
        received: sum(arrivals),
        sent,
      }))
    },
    end: async () => {
      for (const place of places.values()) await (await place).end()
      if (room !== undefined) await lab.must(`sysctl -qw net.core.rmem_default=${(await room).trim()}`)
      places.clear()
      room = undefined
    },
  }
}

interface Received {
  readonly stream: Stream
  readonly begin: number
}

/** The time in which all streams run, without the uncounted beginning of each. */
function windowOf(received: readonly Received[]): [from: number, to: number] {
  return [
    Math.max(...received.map(({ stream: { warmUp = 0.5 }, begin }) => begin + warmUp * 1_000)),
    Math.min(...received.map(({ stream: { seconds = SECONDS }, begin }) => begin + seconds * 1_000)),
  ]
}

const within = (arrivals: readonly Arrival[], from: number, to: number) =>
  arrivals.filter(([at]) => at >= from && at <= to)
const sum = (arrivals: readonly Arrival[]) => arrivals.reduce((total, [, bytes]) => total + bytes, 0)
const mbitOf = (bytes: number, milliseconds: number) =>
  milliseconds > 0 ? (bytes * 8) / (milliseconds * 1_000) : 0

// The rate from one arrival to another, so that the sizes of the receiver's reads do not matter. Bytes that come after the end of the
// sender are the rest of a queue: at the same rate, but without the other streams that ended too.
function rateOf(arrivals: readonly Arrival[], from: number, to: number): number {
  const counted = within(arrivals, from, to)
  return mbitOf(sum(counted.slice(1)), (counted.at(-1)?.[0] ?? 0) - (counted[0]?.[0] ?? 0))
}

// The share of a stream within a common time. A stream that stood still for a while left its share to others: with times of their
// own, all together would seem to be faster than the path.
function shareOf(arrivals: readonly Arrival[], from: number, to: number): number {
  return mbitOf(sum(within(arrivals, from, to)), to - from)
}
