// How fast bytes get from one namespace to another in the guest. In: who sends to whom. Out: Mbit/s of payload, as the
// receiver saw it. Nothing here judges: what is right depends on what limits the way.
import type { Lab, LabProcess } from '../../hack/lab/lab.ts'
import { DRIVER } from './driver.ts'
import { inNamespace, type Namespace, startedWhen } from './traffic.ts'

/** A stream in one direction. */
export interface Stream {
  readonly from: Namespace
  readonly to: Namespace
  /** Of the receiver, as the sender knows it. */
  readonly address: string
  /** The sender's port of destination, where mappings change it; default {@link port}. */
  readonly sendPort?: number
  /** Where the receiver listens. */
  readonly port: number
  /** For so long, default 2.5. */
  readonly seconds?: number
  /** UDP at this pace, in Mbit/s of payload; without it TCP, as fast as it goes. */
  readonly udpMbit?: number
  /** What is not counted at the beginning: the burst that a limit allows, slow start. Seconds, default 0.5. */
  readonly warmUp?: number
}

export interface Rate {
  /** Payload that arrived, in Mbit/s. */
  readonly mbit: number
  /** Bytes in all, warm-up included. */
  readonly received: number
  readonly sent: number
}

/** Sends the streams, all from the same moment on, and measures each at its receiver. */
export async function measure(lab: Lab, streams: readonly Stream[]): Promise<Rate[]> {
  const go = `/run/rate-go-${process.pid}-${++measurements}`
  const started: LabProcess[] = []
  const start = async (place: Namespace, argv: readonly string[], nice = 0): Promise<LabProcess> => {
    const child = await startedWhen(
      lab,
      inNamespace(place, ['nice', '-n', `${nice}`, 'env', `RATE_GO=${go}`, ...PROGRAM, ...argv]),
      (one) => one.stdout().includes('ready'),
    )
    started.push(child)
    return child
  }
  // What waits for a receiver that the machine does not run for a moment must find room: it has passed the limit.
  const room = (await lab.must('sysctl -n net.core.rmem_default')).trim()
  await lab.must(`sysctl -qw net.core.rmem_default=${8 << 20}`)
  try {
    const pairs = await Promise.all(
      streams.map(async (stream) => {
        const { from, to, address, port, sendPort = port, seconds = SECONDS, udpMbit } = stream
        const protocol = udpMbit === undefined ? 'tcp' : 'udp'
        const pace = udpMbit === undefined ? [] : [`${udpMbit}`]
        const [receiver, sender] = await Promise.all([
          // First of all: what it reads late it would count as fast.
          start(to, ['receive', protocol, `${port}`], -10),
          start(from, ['send', protocol, address, `${sendPort}`, `${seconds}`, ...pace]),
        ])
        return { stream, receiver, sender }
      }),
    )
    await lab.writeFile(go, '')
    return await Promise.all(
      pairs.map(async ({ stream, receiver, sender }) => {
        const { code, stdout, stderr } = await sender.wait()
        if (code !== 0) throw new Error(`Cannot send to ${stream.address} port ${stream.port}: ${stderr}`)
        const { sent } = JSON.parse(lastLine(stdout)) as { sent: number }
        const arrivals = JSON.parse(lastLine((await receiver.wait()).stdout)) as Arrival[]
        return { ...rateOf(arrivals, stream), sent }
      }),
    )
  } finally {
    for (const child of started) child.kill('SIGKILL')
    await lab.must(`rm -f ${go}; sysctl -qw net.core.rmem_default=${room}`)
  }
}

/** Short datagrams by which a sender ends its stream: any one is enough, and a policer may drop some. */
export const LAST_WORDS = 10

const SECONDS = 2.5
let measurements = 0

type Arrival = readonly [at: number, bytes: number]

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? ''

// From one arrival to another, so that it does not matter in which portions the receiver was told of bytes. What comes
// after the sender has ended is the rest of a queue, at the same rate, but without others that ended too.
function rateOf(arrivals: readonly Arrival[], stream: Stream): Omit<Rate, 'sent'> {
  const { seconds = SECONDS, warmUp = 0.5 } = stream
  const counted = arrivals.filter(([at]) => at >= warmUp * 1_000 && at <= seconds * 1_000)
  const sum = (list: readonly Arrival[]) => list.reduce((total, [, bytes]) => total + bytes, 0)
  const milliseconds = (counted.at(-1)?.[0] ?? 0) - (counted[0]?.[0] ?? 0)
  const mbit = milliseconds > 0 ? (sum(counted.slice(1)) * 8) / (milliseconds * 1_000) : 0
  return { mbit, received: sum(arrivals) }
}

const PROGRAM = ['env', 'BUN_JSC_useJIT=0', DRIVER, 'rate'] as const
