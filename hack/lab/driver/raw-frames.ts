// Sends raw frames from a namespace and counts what of them the IP layer of our own delivers. Every exported function can be
// called by its name.
import { readFileSync } from 'node:fs'
import type { OpenNetns } from '../../../src/kernel/api/machine.ts'
import { openLinuxKernel } from '../../../src/kernel/linux.ts'
import { openNetns } from '../../../src/sys/namespaces.ts'
import { sendFrames } from '../../../src/sys/packet.ts'
import { sleep } from '../../../src/sys/sleep.ts'

/** True if a frame came to a socket of UDP, or to the end of it for want of one; and to TCP. */
export interface Delivered {
  readonly udp: boolean
  readonly tcp: boolean
}

/** For the last frame, in milliseconds. */
const patience = 5_000

/**
 * Sends each frame (hex) out of `ifname` of the namespace `netns`, and behind it `control`, an echo request that must arrive; what
 * had come by then. The sockets of UDP on port 9999 are those of somebody who never reads.
 */
export function deliveredOf(
  netns: string,
  ifname: string,
  frames: readonly string[],
  control: string,
): Delivered[] {
  const sender = openNetns(netns)
  try {
    const ifindex = indexOf(sender, ifname)
    return frames.map((frame) => deliveredOne(sender, ifindex, frame, control))
  } finally {
    sender.close()
  }
}

function indexOf(netns: OpenNetns, ifname: string): number {
  const kernel = openLinuxKernel(netns)
  try {
    const link = kernel.link('pod', ifname)
    if (link === undefined) throw new Error(`no interface ${ifname} in ${netns.path}`)
    return link.ifindex
  } finally {
    kernel.close()
  }
}

function deliveredOne(sender: OpenNetns, ifindex: number, frame: string, control: string): Delivered {
  const before = counters()
  const bytes = [frame, control].map((hex) => new Uint8Array(Buffer.from(hex, 'hex')))
  sendFrames(sender, ifindex, bytes)
  for (let waited = 0; counters().echoes === before.echoes; waited++) {
    if (waited > patience) throw new Error(`the control of ${frame} did not arrive`)
    sleep(1)
  }
  const after = counters()
  return { udp: after.udp !== before.udp || after.waiting !== before.waiting, tcp: after.tcp !== before.tcp }
}

function counters() {
  const values = new Map<string, number>()
  const lines = readFileSync('/proc/thread-self/net/snmp', 'utf8').split('\n')
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const [names = [], numbers = []] = [lines[at]?.split(' '), lines[at + 1]?.split(' ')]
    names.forEach((name, column) => {
      values.set(`${names[0]}${name}`, Number(numbers[column]))
    })
  }
  const v6 = new Map(
    readFileSync('/proc/thread-self/net/snmp6', 'utf8')
      .split('\n')
      .map((line) => line.split(/\s+/) as [string, string]),
  )
  return {
    udp: (values.get('Udp:NoPorts') ?? 0) + Number(v6.get('Udp6NoPorts') ?? 0),
    tcp: values.get('Tcp:InSegs') ?? 0,
    waiting: ['udp', 'udp6'].map(waitingIn).join(),
    echoes: values.get('Icmp:InEchos') ?? 0,
  }
}

/** The data that waits in the sockets on port 9999, and the drops: `SL: ADDRESS:PORT REMOTE STATE TX:RX ... DROPS`. */
function waitingIn(table: string): string {
  const lines = readFileSync(`/proc/thread-self/net/${table}`, 'utf8').split('\n')
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words[1]?.endsWith(':270F'))
    .map((words) => `${words[4]} ${words.at(-1)}`)
    .join()
}
