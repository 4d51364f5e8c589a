/**
 * HTTP for those who look on: `/status` as JSON, `/metrics` for Prometheus, `/healthz`. One request to a connection. As small as it is,
 * because it runs inside of the supervisor's loop, and must neither wait nor grow.
 */
import { errorText } from '../../lib/error-text.ts'
import { close } from '../../sys/ffi.ts'
import { type Polled, pollBits } from '../../sys/poll.ts'
import { listenTcp, readSome, writeSome } from '../../sys/socket/stream.ts'
import { acceptAt } from '../../sys/unix-socket.ts'
import type { AgentStatus } from '../status.ts'
import { KeptListener } from './kept-listener.ts'
import { tell, tellOnce } from './log.ts'

/** Connections at one time. */
const most = 8
/** Bytes of a request. */
const longestRequest = 8 << 10
/** Milliseconds for a request to come in, and for its answer to be taken. */
const longestTime = 5_000

/** The answers of the server. */
export interface StatusOptions {
  readonly path: string
  status(): AgentStatus
  metrics(): string
}

interface Client {
  readonly fd: number
  readonly since: number
  request: string
  answer: Uint8Array | undefined
  sent: number
}

/** See the head of this file. */
export class StatusServer {
  readonly #options: StatusOptions
  readonly #listener: KeptListener
  #tcp: { readonly address: string; readonly fd: number } | undefined
  readonly #clients = new Set<Client>()

  constructor(options: StatusOptions) {
    this.#options = options
    this.#listener = new KeptListener(options.path, 'stream')
  }

  /** Listens at the path, and at a TCP address. What can't be had is told, and calls are served without it. */
  listen(address: string | undefined): void {
    try {
      this.#listener.listen()
    } catch (error) {
      tell(`Cannot serve the status: ${errorText(error)}`)
    }
    this.listenTcp(address)
  }

  /** Listens at another TCP address, ADDRESS:PORT or [ADDRESS]:PORT, or at none. */
  listenTcp(address: string | undefined): void {
    if (address === this.#tcp?.address) return
    if (this.#tcp !== undefined) close(this.#tcp.fd)
    this.#tcp = undefined
    if (address === undefined) return
    try {
      const colon = address.lastIndexOf(':')
      const fd = listenTcp(address.slice(0, colon).replace(/^\[|\]$/g, ''), Number(address.slice(colon + 1)))
      this.#tcp = { address, fd }
    } catch (error) {
      tell(`Cannot serve metrics at ${address}: ${errorText(error)}`)
    }
  }

  /** The descriptors to wait for. */
  watched(): readonly (Polled & { act(): void })[] {
    const listeners = [this.#listener.fd, this.#tcp?.fd].filter((fd) => fd !== undefined)
    return [
      ...listeners.map((fd) => ({ fd, events: pollBits.in, act: () => this.#accept(fd) })),
      ...[...this.#clients].map((one) => ({
        fd: one.fd,
        events: one.answer === undefined ? pollBits.in : pollBits.out,
        act: () => this.#serve(one),
      })),
    ]
  }

  /** Milliseconds until time alone changes something. */
  deadline(now: number): number | undefined {
    const moments = [...this.#clients].map(({ since }) => since + longestTime - now)
    const look = this.#listener.deadline(now)
    if (look !== undefined) moments.push(look)
    return moments.length === 0 ? undefined : Math.max(Math.min(...moments), 0)
  }

  /** Ends connections that are too slow, and makes the socket's file anew when somebody has removed it. */
  tick(now: number): void {
    // Another agent that has the path now is the loop's to notice, by the other socket.
    this.#listener.isTaken(now)
    for (const one of this.#clients) if (now - one.since >= longestTime) this.#end(one)
  }

  /** Ends all. */
  end(): void {
    for (const one of this.#clients) this.#end(one)
    this.#listener.end()
    this.listenTcp(undefined)
  }

  #accept(listener: number): void {
    try {
      const fd = acceptAt(listener)
      if (fd === undefined) return
      if (this.#clients.size >= most) close(fd)
      else this.#clients.add({ fd, since: performance.now(), request: '', answer: undefined, sent: 0 })
    } catch (error) {
      tellOnce(`Cannot accept a connection for the status: ${errorText(error)}`)
    }
  }

  #serve(one: Client): void {
    if (!this.#clients.has(one)) return
    try {
      if (one.answer === undefined) this.#read(one)
      if (one.answer === undefined) return
      one.sent += writeSome(one.fd, one.answer.subarray(one.sent))
      if (one.sent >= one.answer.length) this.#end(one)
    } catch {
      // The client is gone.
      this.#end(one)
    }
  }

  #read(one: Client): void {
    const bytes = readSome(one.fd, longestRequest)
    if (bytes === undefined) return
    one.request += new TextDecoder().decode(bytes)
    const isWhole = one.request.includes('\r\n\r\n')
    if (!isWhole && (bytes.length === 0 || one.request.length > longestRequest)) this.#end(one)
    else if (isWhole) one.answer = new TextEncoder().encode(this.#answer(one.request))
  }

  #end(one: Client): void {
    this.#clients.delete(one)
    close(one.fd)
  }

  #answer(request: string): string {
    const [method = '', target = ''] = request.split(' ', 2)
    const path = target.split('?', 1)[0]
    const plain = 'text/plain; charset=utf-8'
    if (method !== 'GET') return page(405, plain, 'only GET is served here\n')
    if (path === '/healthz') return page(200, plain, 'ok\n')
    if (path === '/status')
      return page(200, 'application/json', `${JSON.stringify(this.#options.status())}\n`)
    if (path === '/metrics')
      return page(200, 'text/plain; version=0.0.4; charset=utf-8', this.#options.metrics())
    return page(404, plain, 'not found: /metrics, /status and /healthz are served here\n')
  }
}

const reasons: Readonly<Record<number, string>> = { 200: 'OK', 404: 'Not Found', 405: 'Method Not Allowed' }

function page(status: number, type: string, text: string): string {
  const length = new TextEncoder().encode(text).length
  return `HTTP/1.1 ${status} ${reasons[status]}\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${text}`
}
