/** The workers' processes: their start, their reports, their ends. Decisions about them are made elsewhere (decisions.ts). */
import { errorText } from '../../lib/error-text.ts'
import { close } from '../../sys/ffi.ts'
import { type Polled, pollBits } from '../../sys/poll.ts'
import type { Report } from '../control.ts'
import { shimOf } from './connections.ts'
import type { Event, KillReason } from './events.ts'
import { tell, tellOnce } from './log.ts'
import type { Tally } from './tally.ts'
import { WorkerProcess } from './worker-process.ts'

/** One worker with what it has told of itself. */
interface Member {
  readonly process: WorkerProcess
  call?: string
  waits?: string
  kilobytes: number
  /** The worker is to end, or has said that it does: its end is no crash. */
  isEnding: boolean
}

/** See the head of this file. */
export class Crew {
  readonly #members = new Map<number, Member>()
  readonly #tally: Tally
  readonly #happened: (event: Event) => void

  constructor(tally: Tally, happened: (event: Event) => void) {
    this.#tally = tally
    this.#happened = happened
  }

  /** State and work of each worker, by its number. */
  get states(): ReadonlyMap<
    number,
    { readonly pid: number; readonly call?: string; readonly waits?: string; readonly kilobytes: number }
  > {
    return new Map(
      [...this.#members].map(([number, { process, kilobytes, call, waits }]) => [
        number,
        {
          ...{ pid: process.pid, kilobytes },
          ...(call === undefined ? {} : { call }),
          ...(waits === undefined ? {} : { waits }),
        },
      ]),
    )
  }

  /** The descriptors to wait for. */
  watched(): readonly (Polled & { act(): void })[] {
    return [...this.#members].flatMap(([number, one]) => {
      const { control, process, shim } = one.process
      const on = (fd: number | undefined, act: () => void) =>
        fd === undefined ? [] : [{ fd, events: pollBits.in, act }]
      return [
        ...on(control, () => this.#hear(number, one)),
        ...on(process, () => this.#exited(number, one)),
        ...on(shim, () => this.#shimGone(number, one)),
      ]
    })
  }

  /** Starts a worker under a number; one that can't be started counts as one that has ended. */
  start(number: number): void {
    try {
      this.#members.set(number, { process: WorkerProcess.start(), kilobytes: 0, isEnding: false })
    } catch (error) {
      tellOnce(`Cannot start a worker: ${errorText(error)}`)
      this.#happened({ is: 'exit', worker: number })
    }
  }

  /** Hands the connection of a shim to a worker; false if the worker did not take it. The caller keeps its own copy. */
  hand(number: number, connection: number): boolean {
    const worker = this.#members.get(number)?.process
    if (worker === undefined) return false
    const shim = shimOf(connection)
    try {
      if (worker.order({ do: 'take' }, [connection])) {
        worker.forgetShim()
        worker.shim = shim
        return true
      }
    } catch {
      // Too many descriptors are under way, or memory is short.
    }
    if (shim !== undefined) close(shim)
    return false
  }

  /** Has a worker end after its call. */
  end(number: number): void {
    const one = this.#members.get(number)
    if (one === undefined) return
    one.isEnding = true
    one.process.order({ do: 'end' })
    this.#tally.workerEnded('worn')
  }

  kill(number: number, reason: KillReason): void {
    const one = this.#members.get(number)
    if (one === undefined) return
    one.isEnding = true
    const words = one.call === undefined ? '' : ` in ${one.call}`
    this.#tally.workerEnded(reason, `worker ${one.process.pid} is killed${words}: ${reason}`)
    one.process.kill()
  }

  #hear(number: number, one: Member): void {
    if (this.#members.get(number) !== one) return
    for (const report of one.process.reports()) {
      this.#note(one, report)
      this.#happened({ is: 'report', worker: number, report })
    }
  }

  #note(one: Member, report: Report): void {
    if (report.did === 'begin') one.call = `${report.verb} of ${report.name}`
    if (report.did === 'wait') one.waits = report.on
    if (report.did === 'work') delete one.waits
    if (report.did !== 'ended') return
    one.process.forgetShim()
    one.kilobytes = report.kilobytes
    delete one.call
    delete one.waits
    this.#tally.ended(report)
    if (report.leaves === undefined) return
    one.isEnding = true
    const words = `worker ${one.process.pid} leaves after ${report.verb} of ${report.name}: ${report.leaves}`
    this.#tally.workerEnded('left', words)
  }

  #shimGone(number: number, one: Member): void {
    if (one.process.shim === undefined) return
    one.process.forgetShim()
    this.#happened({ is: 'shim gone', worker: number })
  }

  #exited(number: number, one: Member): void {
    if (this.#members.get(number) !== one) return
    // Its last reports come before its end.
    this.#hear(number, one)
    const words = one.process.bury()
    const inCall = one.call === undefined ? '' : ` in ${one.call}`
    if (!one.isEnding) tell(`worker ${one.process.pid} ${words}${inCall}`)
    this.#members.delete(number)
    this.#happened({ is: 'exit', worker: number })
  }
}
