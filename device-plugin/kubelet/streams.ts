/** The ListAndWatch streams of one pool. Each stream has a queue of one: a newer list takes the place of one that still waits. */
import type { ServerWritableStream } from '@grpc/grpc-js'
import type { ListAndWatchResponse } from './types.ts'

type Call = ServerWritableStream<object, ListAndWatchResponse>

/** The pool, as its streams see it. */
export interface StreamEvents {
  opened(): void
  /** `milliseconds`: its life. */
  ended(milliseconds: number): void
  sent(): void
}

interface Stream {
  readonly call: Call
  readonly since: number
  /** A list is on its way to the reader. */
  isWriting: boolean
  /** The newest list that is not on its way yet. */
  next: ListAndWatchResponse | undefined
}

/** All streams of a pool. */
export class Streams {
  readonly #streams = new Set<Stream>()
  readonly #events: StreamEvents
  #list: ListAndWatchResponse

  constructor(list: ListAndWatchResponse, events: StreamEvents) {
    this.#list = list
    this.#events = events
  }

  get count(): number {
    return this.#streams.size
  }

  /** A reader has come: it gets the list as it is. */
  add(call: Call): void {
    const stream: Stream = { call, since: performance.now(), isWriting: false, next: this.#list }
    this.#streams.add(stream)
    // gRPC tells of a cancelled call and of a lost connection by the first event, of its own end by the second.
    call.once('cancelled', () => this.#over(stream))
    call.once('close', () => this.#over(stream))
    call.on('error', () => this.#over(stream))
    this.#events.opened()
    this.#write(stream)
  }

  /** All readers get a list; later ones too. */
  send(list: ListAndWatchResponse): void {
    this.#list = list
    for (const stream of this.#streams) {
      stream.next = this.#list
      this.#write(stream)
    }
  }

  /** Ends all streams, as a server does that leaves. */
  end(): void {
    for (const stream of [...this.#streams]) {
      stream.call.end()
      this.#over(stream)
    }
  }

  #write(stream: Stream): void {
    const { next } = stream
    if (next === undefined || stream.isWriting || !this.#streams.has(stream)) return
    stream.next = undefined
    stream.isWriting = true
    // The callback comes when the reader has room for more.
    stream.call.write(next, (error: Error | null | undefined) => {
      stream.isWriting = false
      if (error != null) return this.#over(stream)
      this.#events.sent()
      this.#write(stream)
    })
  }

  #over(stream: Stream): void {
    if (!this.#streams.delete(stream)) return
    stream.next = undefined
    this.#events.ended(performance.now() - stream.since)
  }
}
