/** The worker: takes one connection of a shim after the other from the supervisor, and serves its call as a process of its own would. */

import { keepHostSockets } from '../../kernel/linux/kept-sockets.ts'
import { buildId } from '../../lib/build-id.ts'
import { loadAll } from '../../run-cni.ts'
import { close } from '../../sys/ffi.ts'
import { collectGarbage } from '../../sys/memory/memory.ts'
import { poll, pollBits } from '../../sys/poll.ts'
import { receive, send } from '../../sys/unix-socket.ts'
import type { Order, Report } from '../control.ts'
import { Belongings } from './leftovers.ts'
import './preload.ts'
import { serveConnection } from './serve.ts'

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
  await loadAll()
  // Before the look at what this process has: these stay open from call to call.
  keepHostSockets()
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
    if (!serve(connection, belongings)) return 0
  }
}

/** Serves a connection; false when the worker must end, because the call has left something. */
function serve(connection: number, belongings: Belongings): boolean {
  const began = performance.now()
  const served = serveConnection(connection, buildId, tell)
  const milliseconds = performance.now() - began
  const leaves = belongings.difference()
  const kilobytes = process.memoryUsage.rss() / 1_024
  tell({
    ...{ did: 'ended', ...served, milliseconds, kilobytes: Math.round(kilobytes) },
    ...(leaves === undefined ? {} : { leaves }),
  })
  return leaves === undefined
}

/** Reports to the supervisor, which reads all the time; one that is gone is told nothing. */
function tell(report: Report): void {
  const bytes = new TextEncoder().encode(JSON.stringify(report))
  while (!send(control, bytes)) {
    const [bits = 0] = poll([{ fd: control, events: pollBits.out }], -1)
    if ((bits & (pollBits.hangup | pollBits.error)) !== 0) return
  }
}

/** Closes what only the supervisor may have, in a worker that was started by hand. */
export function endControl(): void {
  close(control)
}
