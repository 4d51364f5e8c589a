/** The process of a worker, as the supervisor holds it. */
import { startChild } from '../../sys/child/child.ts'
import { anyCall, close } from '../../sys/ffi.ts'
import { killProcess, openProcess } from '../../sys/poll.ts'
import { receive, send, socketPair } from '../../sys/unix-socket.ts'
import type { Order, Report } from '../control.ts'

/** Bytes of the longest report. */
const longestReport = 16 << 10

/** Numbers of wait4(2) on x86-64 and arm64. */
const waitNumbers = [61, 260] as const

/** See the head of this file. Descriptors are close-on-exec and belong to this object. */
export class WorkerProcess {
  readonly pid: number
  /** Readable once the process has ended. */
  readonly process: number
  /** Our end of the control socket; undefined once the worker has closed it. */
  control: number | undefined
  /** The descriptor of the process whose call the worker serves. */
  shim: number | undefined

  private constructor(pid: number, process: number, control: number) {
    this.pid = pid
    this.process = process
    this.control = control
  }

  /** Starts a worker from the file of this very process, also when another build has replaced it since. @throws SystemError */
  static start(): WorkerProcess {
    const [ours, theirs] = socketPair()
    try {
      const { pid } = startChild({
        ...{ file: '/proc/self/exe', argv: ['vf-agent', 'worker'], env: {} },
        ...{ stdin: '', stdout: 2, stderr: 2, held: theirs },
      })
      try {
        return new WorkerProcess(pid, openProcess(pid), ours)
      } catch (error) {
        process.kill(pid, 'SIGKILL')
        anyCall('wait4', waitNumbers, [pid, new Int32Array(1), 0, 0])
        throw error
      }
    } catch (error) {
      close(ours)
      throw error
    } finally {
      close(theirs)
    }
  }

  /** Sends an order; false if the worker does not take it. */
  order(order: Order, descriptors: readonly number[] = []): boolean {
    if (this.control === undefined) return false
    return send(this.control, new TextEncoder().encode(JSON.stringify(order)), descriptors)
  }

  /** The reports that have come. */
  reports(): readonly Report[] {
    const all: Report[] = []
    while (this.control !== undefined) {
      const packet = receive(this.control, longestReport)
      if (packet === 'nothing') break
      if (packet === 'closed') {
        close(this.control)
        this.control = undefined
        break
      }
      all.push(JSON.parse(new TextDecoder().decode(packet.bytes)) as Report)
    }
    return all
  }

  kill(): void {
    killProcess(this.process)
  }

  forgetShim(): void {
    if (this.shim !== undefined) close(this.shim)
    this.shim = undefined
  }

  /** Takes the end of the process in, and closes all. Returns the words for how it has ended. */
  bury(): string {
    const WNOHANG = 1
    const status = new Int32Array(1)
    let words = 'ended'
    try {
      anyCall('wait4', waitNumbers, [this.pid, status, WNOHANG, 0])
      const [word = 0] = status
      const signal = word & 0x7f
      words = signal === 0 ? `ended with exit code ${(word >> 8) & 0xff}` : `was ended by signal ${signal}`
    } catch {
      // Nothing more is known of it.
    }
    this.forgetShim()
    if (this.control !== undefined) close(this.control)
    this.control = undefined
    close(this.process)
    return words
  }
}
