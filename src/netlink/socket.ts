// Requests and answers over one netlink socket, synchronous. In: a family's Request and a Transport (src/sys over libc, a
// function in tests). Out: the kernel's messages, or a NetlinkError with the kernel's own words.

import {
  errnoOf,
  interruption,
  noBufferSpace,
  Overrun,
  type Reply,
  refusal,
  repeated,
  reply,
  unanswered,
} from './answers.ts'
import { datagramsOf } from './datagrams.ts'
import { NetlinkError } from './error.ts'
import {
  type Ack,
  encodeRequest,
  encodeRequests,
  lookOver,
  type Message,
  NLM_F,
  NLMSG,
  parseAck,
  parseDatagram,
  type Request,
} from './message.ts'
import { firstObject, sieve } from './sieve.ts'

export type { Reply } from './answers.ts'
export { NetlinkError } from './error.ts'

/** A connected netlink socket with NETLINK_EXT_ACK and NETLINK_CAP_ACK. Its errors have a positive `errno`. */
export interface Transport {
  send(message: Uint8Array): void
  /** Receives one whole datagram, never truncated: one that finds no room is an error (ENOBUFS), and has room from then on. */
  recv(): Uint8Array
  /** Like recv(), for a datagram of at most 64 KiB, in a buffer that the next call overwrites. The buffer begins at a multiple of four. */
  view?(): Uint8Array
  close(): void
}

/** The result of searching a dump. */
export interface Scanned {
  /** The messages that match. */
  readonly found: readonly Message[]
  /** The first object of the dump, even if it does not match. */
  readonly first?: Message
  /** False when the dump has more. */
  readonly isWhole: boolean
}

/** A conversation with the kernel over a transport: the answer comes before the next request is sent. Owns the transport. */
export class NetlinkSocket {
  readonly #transport: Transport
  #sequence = 0
  /** Conversations that have begun and not ended in order: afterwards answers may be under way that nobody waits for. */
  #open = 0

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** True while nothing is under way, so that somebody else may use the socket. */
  get isIdle(): boolean {
    return this.#open === 0
  }

  /** Sends one request and waits for its ACK. Throws NetlinkError if the kernel refuses it or the answer is lost. */
  request(request: Request): Reply {
    const result = this.#exchange([request])[0] as Reply | NetlinkError
    if (result instanceof NetlinkError) throw result
    return result
  }

  /**
   * Sends several requests in few datagrams. The kernel takes them in order and continues after a refusal, so the result has a
   * Reply or a NetlinkError for each request. Never throws for a refusal. Where all of a datagram ask for an echo, only the last one
   * asks for an ACK too, and only its reply has a warning.
   */
  batch(requests: readonly Request[]): (Reply | NetlinkError)[] {
    const results: (Reply | NetlinkError)[] = []
    for (const some of datagramsOf(requests)) {
      // An echo is an answer too. The kernel answers in the order of the requests, so all have come before the ACK of the last one.
      const isEchoed = some.every(({ flags }) => flags & NLM_F.NLM_F_ECHO)
      for (const result of this.#exchange(some, isEchoed ? some.length - 1 : 0, isEchoed))
        results.push(result)
    }
    return results
  }

  /**
   * Sends a transaction, in a family that has transactions: all requests between `begin` and `end` take effect, or none. Returns the
   * answer to each request; throws the first refusal. The last request alone asks for an ACK: the kernel answers in the order of the
   * requests (nfnl_err_deliver() of net/netfilter/nfnetlink.c), so all refusals and echoes have come before that ACK.
   */
  transaction([begin, end]: readonly [begin: Request, end: Request], requests: readonly Request[]): Reply[] {
    const results = this.#exchange([begin, ...requests, end], requests.length)
    for (const result of results) if (result instanceof NetlinkError) throw result
    return (results as Reply[]).slice(1, -1)
  }

  /**
   * All objects of a dump. A dump that the kernel marks as inconsistent (NLM_F_DUMP_INTR) or that overruns the buffer is
   * repeated; after eight attempts the error is EINTR or ENOBUFS.
   *
   * A dump of tc filters proves presence, never absence. net/sched never sets NLM_F_DUMP_INTR. If another program removes a filter
   * between two parts of the dump, the removal can hide all filters that follow (tcf_chain_dump resumes by index).
   */
  dump(request: Request): Message[] {
    return [...this.#dump(request, parseDatagram).found]
  }

  /**
   * The objects of a {@link dump} that hold one of `needles`; the others are not decoded. Stops after `most` datagrams. If the result
   * is not whole then, the socket can only be closed: the kernel continues that dump and begins no other one on the socket.
   */
  scan(request: Request, needles: readonly Uint8Array[], most = Number.POSITIVE_INFINITY): Scanned {
    return this.#dump(request, (datagram) => sieve(datagram, needles), most)
  }

  /** The objects in the first `most` datagrams of a dump. If the result is not whole, the socket can only be closed ({@link scan}). */
  first(request: Request, most: number): Scanned {
    return this.#dump(request, parseDatagram, most)
  }

  #dump(request: Request, take: (datagram: Uint8Array) => Message[], most?: number): Scanned {
    return repeated(() => this.#dumpOnce(request, take, most))
  }

  /**
   * Reads a dump that is too long for decoding message by message: `look` returns what it finds in the bytes of each datagram, which
   * the next datagram overwrites. Repeated like {@link dump}.
   */
  skim<T>(request: Request, look: (datagram: Uint8Array) => readonly T[]): T[] {
    return repeated(() => this.#skimOnce(request, look))
  }

  close(): void {
    this.#transport.close()
  }

  #skimOnce<T>(request: Request, look: (datagram: Uint8Array) => readonly T[]): T[] | NetlinkError {
    const sequence = this.#nextSequences(1)
    const found: T[] = []
    let interrupted = false
    this.#open++
    try {
      this.#transport.send(encodeRequest(request, NLM_F.NLM_F_REQUEST | NLM_F.NLM_F_DUMP, sequence))
      for (;;) {
        const datagram = this.#transport.view?.() ?? this.#transport.recv()
        const { flags, end } = lookOver(datagram, sequence)
        if (flags & NLM_F.NLM_F_DUMP_INTR) interrupted = true
        const messages = end === undefined ? datagram : datagram.subarray(0, end)
        if (messages.length > 0) for (const one of look(messages)) found.push(one)
        if (end === undefined) continue
        for (const message of parseDatagram(datagram.subarray(end))) {
          if (message.type === NLMSG.NLMSG_OVERRUN) throw new Overrun()
          const ack = parseAck(message)
          if (ack.error < 0) throw this.#over(refusal(request, ack))
        }
        return this.#over(interrupted ? interruption(request) : found)
      }
    } catch (error) {
      const failure = unanswered(request, error)
      if (errnoOf(error) === noBufferSpace && failure instanceof NetlinkError && failure !== error)
        return failure
      throw failure
    }
  }

  #dumpOnce(
    request: Request,
    take: (datagram: Uint8Array) => Message[],
    most = Number.POSITIVE_INFINITY,
  ): Scanned | NetlinkError {
    const sequence = this.#nextSequences(1)
    const found: Message[] = []
    let first: { readonly first?: Message } | undefined
    let interrupted = false
    this.#open++
    try {
      this.#transport.send(encodeRequest(request, NLM_F.NLM_F_REQUEST | NLM_F.NLM_F_DUMP, sequence))
      for (let datagrams = 1; ; datagrams++) {
        const datagram = this.#receive()
        first ??= firstObject(datagram)
        for (const message of take(datagram)) {
          if (message.type === NLMSG.NLMSG_OVERRUN) throw new Overrun()
          if (message.seq !== sequence) continue
          if (message.flags & NLM_F.NLM_F_DUMP_INTR) interrupted = true
          if (message.type === NLMSG.NLMSG_ERROR || message.type === NLMSG.NLMSG_DONE) {
            const ack = parseAck(message)
            if (ack.error < 0) throw this.#over(refusal(request, ack))
            return this.#over(interrupted ? interruption(request) : { found, ...first, isWhole: true })
          }
          if (message.type !== NLMSG.NLMSG_NOOP) found.push(message)
        }
        if (datagrams >= most) return { found, ...first, isWhole: false }
      }
    } catch (error) {
      const failure = unanswered(request, error)
      if (errnoOf(error) === noBufferSpace && failure instanceof NetlinkError && failure !== error)
        return failure
      throw failure
    }
  }

  /** The end of a conversation whose last answer has come. */
  #over<T>(result: T): T {
    this.#open--
    return result
  }

  /**
   * Sends all requests in one datagram and collects the answers of each. The ones before index `loud` ask for no ACK: each is done unless
   * the kernel says otherwise before it answers the one at `loud`. `isEchoed`: an echo proves that its request is done, even when later
   * answers are lost.
   */
  #exchange(requests: readonly Request[], loud = 0, isEchoed = false): (Reply | NetlinkError)[] {
    const results: (Reply | NetlinkError | undefined)[] = requests.map(({ isUnanswered }) =>
      isUnanswered === true ? { messages: [] } : undefined,
    )
    const messages: Message[][] = requests.map(() => [])
    const first = this.#nextSequences(requests.length)
    const asksAck = ({ isUnanswered }: Request, at: number) => isUnanswered !== true && at >= loud
    let open = requests.filter(asksAck).length
    this.#open++
    try {
      this.#transport.send(
        encodeRequests(
          requests,
          (at) => NLM_F.NLM_F_REQUEST | (asksAck(requests[at] as Request, at) ? NLM_F.NLM_F_ACK : 0),
          first,
        ),
      )
      while (open > 0) {
        for (const message of parseDatagram(this.#receive())) {
          if (message.type === NLMSG.NLMSG_OVERRUN) throw new Overrun()
          const i = message.seq - first
          const request = requests[i]
          if (request?.isUnanswered === true && message.type === NLMSG.NLMSG_ERROR) {
            const ack = parseAck(message)
            if (ack.error < 0) return results.map((result) => result ?? refusal(request, ack))
          }
          if (request === undefined || results[i] !== undefined) continue
          if (message.type === NLMSG.NLMSG_ERROR || message.type === NLMSG.NLMSG_DONE) {
            const ack = parseAck(message)
            results[i] = ack.error < 0 ? refusal(request, ack) : reply(messages[i] as Message[], ack)
            if (i >= loud) open--
          } else if (message.type !== NLMSG.NLMSG_NOOP) (messages[i] as Message[]).push(message)
        }
      }
    } catch (error) {
      // The result of the unanswered requests is unknown: the caller must read the kernel's state.
      return results.map((result, i) => {
        if (result !== undefined) return result
        if (isEchoed && messages[i]?.length) return reply(messages[i], done)
        const failure = unanswered(requests[i] as Request, error)
        if (failure instanceof NetlinkError) return failure
        throw failure
      })
    }
    this.#open--
    return results.map((result, i) => result ?? reply(messages[i] as Message[], done))
  }

  #receive(): Uint8Array {
    const datagram = this.#transport.recv()
    if (datagram.length === 0) throw new RangeError('Cannot decode netlink message: the datagram is empty')
    return datagram
  }

  /** Takes `count` consecutive sequence numbers and returns the first. Never 0, the number of notifications. */
  #nextSequences(count: number): number {
    const first = this.#sequence > 0x7fff_0000 ? 1 : this.#sequence + 1
    this.#sequence = first + count - 1
    return first
  }
}

/** The answer to a request that asks for none. */
const done: Ack = { error: 0, extack: {} }
