// Frames on an interface in the guest, by tcpdump. In: namespace, device, a pcap filter. Out: what was seen.
import type { Lab } from '../lab.ts'
import { inNamespace, type Namespace, startedWhen } from './traffic.ts'

/** One frame as tcpdump -e shows it. */
export interface CapturedFrame {
  readonly source: string
  readonly destination: string
  /** The VLAN of the outermost 802.1Q or 802.1ad tag; null without one. */
  readonly vlan: number | null
  /** 802.1p priority 0-7 of that tag; null without one. */
  readonly priority: number | null
  /** Bytes on the wire, from the destination address on. */
  readonly length: number
  /** The words of tcpdump behind the Ethernet header, e.g. `10.1.0.10.4444 > 10.1.0.1.80: Flags [S], ...`. */
  readonly text: string
}

export interface Capture {
  /** The frames so far. */
  frames(): CapturedFrame[]
  /** Waits until all frames that arrived are decoded, ends the capture and returns all frames. */
  stop(): Promise<CapturedFrame[]>
}

/** Captures from the moment that the promise resolves. `filter` is a pcap-filter(7) expression, empty for all frames. */
export async function capture(lab: Lab, namespace: Namespace, device: string, filter = ''): Promise<Capture> {
  const argv = [
    'tcpdump',
    '-i',
    device,
    '-e',
    '-nn',
    '-l',
    '--immediate-mode',
    '-t',
    ...filter.split(' ').filter(Boolean),
  ]
  const child = await startedWhen(lab, inNamespace(namespace, argv), (process) =>
    /listening on/.test(process.stderr()),
  )
  const frames = () => child.stdout().split('\n').flatMap(frameOf)
  return {
    frames,
    stop: async () => {
      await drained()
      child.kill('SIGINT')
      await child.wait()
      return frames()
    },
  }

  // tcpdump drops unread frames at its end. On SIGUSR1 it prints the number of frames that passed the filter and the number that it
  // has read. Frames that came while the filter was set are counted and never read (set_kernel_filter of libpcap): then the counts
  // stop apart.
  async function drained(): Promise<void> {
    let [last, same] = ['', 0]
    for (let round = 1; round <= 200; round++) {
      child.kill('SIGUSR1')
      const counts = () => [...child.stderr().matchAll(/(\d+) packets? captured, (\d+) packets? received/g)]
      for (let wait = 0; counts().length < round && wait < 500; wait++) await pause()
      const [, captured, received] = counts().at(-1) ?? []
      if (captured === undefined) throw new Error(`tcpdump does not answer: ${child.stderr()}`)
      if (Number(captured) >= Number(received)) return
      same = last === `${captured} ${received}` ? same + 1 : 0
      if (same >= 20) return
      last = `${captured} ${received}`
    }
    throw new Error(`tcpdump did not read all frames: ${child.stderr()}`)
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20))
}

function frameOf(line: string): CapturedFrame[] {
  const match = /^([0-9a-f:]{17}) > ([0-9a-f:]{17}|Broadcast), (.*?length (\d+): (.*))$/.exec(line)
  if (match === null) return []
  const [, source = '', destination = '', , length, text = ''] = match
  const [, vlan, priority] = /^vlan (\d+), p (\d),/.exec(text) ?? []
  return [
    {
      source,
      destination: destination === 'Broadcast' ? 'ff:ff:ff:ff:ff:ff' : destination,
      vlan: vlan === undefined ? null : Number(vlan),
      priority: priority === undefined ? null : Number(priority),
      length: Number(length),
      text: text.replace(/^vlan \d+.*?ethertype [^,]*, /, ''),
    },
  ]
}
