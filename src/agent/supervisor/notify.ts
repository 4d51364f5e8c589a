/** Messages to systemd, as sd_notify(3) sends them: datagrams to the socket of NOTIFY_SOCKET. Without that variable nobody is told. */
import { microseconds } from '../../sys/ffi.ts'
import { sendDatagram } from '../../sys/unix-socket.ts'

/** linux/time.h */
const CLOCK_MONOTONIC = 1

/** The service manager above this process. */
export class ServiceManager {
  readonly #socket: string | undefined
  /** Time between two signs of life in milliseconds: half of what systemd allows; undefined if it wants none. */
  readonly interval: number | undefined

  constructor(env: Readonly<Record<string, string | undefined>>, pid: number) {
    this.#socket = env.NOTIFY_SOCKET
    const isForUs = env.WATCHDOG_PID === undefined || Number(env.WATCHDOG_PID) === pid
    const microseconds = Number(env.WATCHDOG_USEC)
    this.interval = isForUs && microseconds > 0 ? microseconds / 2_000 : undefined
  }

  ready(status: string): void {
    this.#send(`READY=1\nSTATUS=${status}`)
  }

  reloading(): void {
    this.#send(`RELOADING=1\nMONOTONIC_USEC=${microseconds(CLOCK_MONOTONIC)}`)
  }

  stopping(status: string): void {
    this.#send(`STOPPING=1\nSTATUS=${status}`)
  }

  status(status: string): void {
    this.#send(`STATUS=${status}`)
  }

  isAlive(): void {
    this.#send('WATCHDOG=1')
  }

  #send(text: string): void {
    if (this.#socket === undefined || this.#socket === '') return
    try {
      sendDatagram(this.#socket, text)
    } catch {
      // A service manager that takes no message, or is gone, must not keep calls from being served.
    }
  }
}
