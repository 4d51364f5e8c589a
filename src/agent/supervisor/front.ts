/** The side of the supervisor that shims see: its socket, which another agent may take over, and the connections that come to it. */
import { errorText } from '../../lib/error-text.ts'
import { type Polled, pollBits } from '../../sys/poll.ts'
import { socketPath } from '../protocol.ts'
import { type Connection, Connections } from './connections.ts'
import type { Event } from './events.ts'
import { KeptListener } from './kept-listener.ts'
import { tellOnce } from './log.ts'
import type { Tally } from './tally.ts'

/** Pause after a connection that could not be accepted, in milliseconds: shims run their calls by themselves meanwhile. */
const acceptPause = 100

/** See the head of this file. */
export class Front {
  readonly connections = new Connections()
  readonly #tally: Tally
  readonly #happened: (event: Event) => void
  readonly #listener = new KeptListener(socketPath, 'packets')
  /** No connection is accepted before this time. */
  #acceptsFrom = 0

  constructor(tally: Tally, happened: (event: Event) => void) {
    this.#tally = tally
    this.#happened = happened
  }

  get isListening(): boolean {
    return this.#listener.fd !== undefined
  }

  /** Takes the socket's path. @throws SystemError, OpenFolder */
  listen(): void {
    this.#listener.listen()
  }

  /** The descriptors to wait for. */
  watched(now: number): readonly (Polled & { act(): void })[] {
    const all = [...this.connections.all].map((one) => ({
      fd: one.fd,
      events: one.isQueued ? pollBits.remoteClosed : pollBits.in,
      act: () => this.#stir(one),
    }))
    const { fd } = this.#listener
    if (fd === undefined || now < this.#acceptsFrom) return all
    return [...all, { fd, events: pollBits.in, act: () => this.#accept(fd) }]
  }

  /** Milliseconds until time alone changes something. */
  deadline(now: number): number | undefined {
    const moments = [
      this.connections.deadline(now),
      this.#listener.deadline(now),
      this.#acceptsFrom > now ? this.#acceptsFrom - now : undefined,
    ].filter((one) => one !== undefined)
    return moments.length === 0 ? undefined : Math.min(...moments)
  }

  /**
   * Drops shims that say nothing, and looks whose the socket's file is from time to time.
   * @returns true when another agent has taken it
   */
  isReplaced(now: number): boolean {
    for (const one of this.connections.silent(now)) this.connections.drop(one)
    return this.#listener.isTaken(now)
  }

  /** Accepts nothing more. */
  end(): void {
    const { fd } = this.#listener
    if (fd === undefined) return
    // Whoever has connected already has seen a living agent.
    this.#accept(fd)
    this.#listener.end()
  }

  #accept(listener: number): void {
    if (listener !== this.#listener.fd) return
    const tooMany = () => this.#tally.fellBack('too many connections')
    const now = performance.now()
    try {
      for (const one of this.connections.accept(listener, now, tooMany)) this.#greet(one)
    } catch (error) {
      this.#acceptsFrom = now + acceptPause
      tellOnce(`Cannot accept a connection: ${errorText(error)}`)
    }
  }

  #greet(one: Connection): void {
    const verb = this.connections.greeting(one)
    if (verb === 'another build') {
      this.connections.standalone(one, verb)
      this.#tally.fellBack(verb)
    } else if (verb === undefined) this.#tally.fellBack('the shim was gone')
    else if (verb !== 'nothing') this.#happened({ is: 'hello', connection: one.id, verb })
  }

  /** A connection may have gone to a worker since the wait, and its number to another file. */
  #stir(one: Connection): void {
    if (this.connections.get(one.id) === undefined) return
    if (!one.isQueued) {
      this.#greet(one)
      return
    }
    this.connections.drop(one)
    this.#tally.fellBack('the shim was gone')
    this.#happened({ is: 'left', connection: one.id })
  }
}
