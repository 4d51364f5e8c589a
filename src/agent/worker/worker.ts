/** The worker: takes one connection of a shim after the other from the supervisor, and serves its call as a process of its own would. */

import { buildId } from '../../lib/build-id.ts'
import { loadAll } from '../../run-cni.ts'
import { anyCall } from '../../sys/ffi.ts'
import { collectGarbage } from '../../sys/memory/memory.ts'
import { poll, pollBits } from '../../sys/poll.ts'
import { receive, send } from '../../sys/unix-socket.ts'
import type { Order, Report } from '../control.ts'
import { samePlace } from '../same-place/same-place.ts'
import { tooFewDescriptors } from './descriptors.ts'
import { Belongings } from './leftovers.ts'
import './preload.ts'
import { type ServedCall, type ServeOptions, serveConnection } from './serve.ts'

/** The worker's end of the control socket. */
const control = 3
/** Bytes of the longest order. */
const longestOrder = 1 << 10
/** Time without a call after which garbage is collected, in milliseconds: not in a call that somebody waits for. */
const quietTime = 500

/** Serves until the supervisor says that the worker is to end, or is gone itself. */
export async function runWorker(): Promise<number> {
  // A worker runs for long, so compiling pays. hack/build.ts delays compiling, for calls that end at once.
  Bun.unsafe.setJITPolicy(1)
  prepareProcess()
  // Signals to a whole terminal, or a whole unit, are the supervisor's: it ends its workers after their calls.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined)
  await loadAll()
  const poor = tooFewDescriptors()
  const refusalOf = poor === undefined ? samePlace() : () => poor
  const leave: ServeOptions['leave'] = (served, reason) => {
    tellEnd(served, reason)
    process.exit(0)
  }
  const options: ServeOptions = { build: buildId, refusalOf, report: tell, leave }
  const belongings = new Belongings()
  tell({ did: 'start' })
  let isTidy = false
  for (;;) {
    const [bits] = poll([{ fd: control, events: pollBits.in }], isTidy ? -1 : quietTime)
    if (bits === 0) {
      collectGarbage()
      isTidy = true
      continue
    }
    const packet = receive(control, longestOrder)
    if (packet === 'nothing') continue
    if (packet === 'closed') return 0
    const order = JSON.parse(new TextDecoder().decode(packet.bytes)) as Order
    if (order.do === 'end') return 0
    const [connection] = packet.descriptors
    if (connection === undefined) continue
    isTidy = false
    if (!serve(connection, options, belongings)) return 0
  }
}

/** linux/prctl.h, asm-generic/signal.h */
const PR_SET_PDEATHSIG = 1
const PR_SET_NAME = 15
const SIGCONT = 18

/**
 * Gives the process a name for messages about locks. And has the kernel wake the process when the supervisor ends: a worker that somebody
 * has stopped would keep its locks, and nobody would know of it.
 */
function prepareProcess(): void {
  const prctl = [157, 167] as const
  anyCall('prctl', prctl, [PR_SET_NAME, new TextEncoder().encode('vf-agent worker\0')])
  anyCall('prctl', prctl, [PR_SET_PDEATHSIG, SIGCONT])
}

/** Serves a connection; false when the worker must end, because the call has left something. */
function serve(connection: number, options: ServeOptions, belongings: Belongings): boolean {
  callBegan = performance.now()
  const served = serveConnection(connection, options)
  const leaves = belongings.difference()
  tellEnd(served, leaves)
  return leaves === undefined
}

/** Time of the begin of the present call. */
let callBegan = 0

/** Reports the end of a call. `leaves` is the reason for which the worker ends, if it does. */
function tellEnd(served: ServedCall, leaves: string | undefined): void {
  const kilobytes = Math.round(process.memoryUsage.rss() / 1_024)
  tell({
    ...{ did: 'ended', ...served, milliseconds: performance.now() - callBegan, kilobytes },
    ...(leaves === undefined ? {} : { leaves }),
  })
}

/**
 * Reports to the supervisor, which reads all the time; one that is gone is told nothing. One that stands still misses the reports that a
 * call makes on its way, so that the call does not stand still too.
 */
function tell(report: Report): void {
  const bytes = new TextEncoder().encode(JSON.stringify(report))
  while (!send(control, bytes)) {
    if (report.did === 'wait' || report.did === 'work') return
    const [bits = 0] = poll([{ fd: control, events: pollBits.out }], -1)
    if ((bits & (pollBits.hangup | pollBits.error)) !== 0) return
  }
}
