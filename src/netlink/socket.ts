// Requests and answers over one netlink socket, synchronous. In come a family's Request and a Transport (src/sys over
// libc, a function in tests); out come the kernel's messages, or a NetlinkError with the kernel's own words.
import { errnoName } from '../lib/errno.ts'
import { log } from '../lib/log/log.ts'
import { attributeAt } from './inspect.ts'
import {
  type Ack,
  encodeRequest,
  lookOver,
  type Message,
  NLM_F,
  NLMSG,
  nlmsghdr,
  parseAck,
  parseDatagram,
  type Request,
} from './message.ts'
import { firstOf, sieve } from './sieve.ts'

/** A connected netlink socket with NETLINK_EXT_ACK and NETLINK_CAP_ACK. Errors that it throws have a positive `errno`. */
export interface Transport {
  send(message: Uint8Array): void
  /** One datagram, whole and never truncated: the implementer looks at its size first (MSG_PEEK | MSG_TRUNC). */
  recv(): Uint8Array
  /** As recv(), of a datagram of at most 64 KiB, in a buffer that the next call uses again; it begins at a multiple of four. */
  view?(): Uint8Array
  close(): void
}

/** What the kernel answered to a request that it accepted. */
export interface Reply {
  /** Messages before the ACK: the object asked for, or with NLM_F_ECHO what was made. */
  readonly messages: readonly Message[]
  /** The first of them: with NLM_F_ECHO the object as the kernel has stored it. */
  readonly echo?: Message
  /** A success can come with a text, as with TCA_CLS_FLAGS_VERBOSE the driver's reason for not offloading. */
  readonly warning?: string
}

/** What a look through a dump has shown. */
export interface Scanned {
  /** The messages that were looked for. */
  readonly found: readonly Message[]
  /** The first object of the dump, whatever it holds. */
  readonly first?: Message
  /** False when there is more. */
  readonly isWhole: boolean
}

/** What a NetlinkError is made from. */
export interface NetlinkErrorDetails {
  /** The request: `RTM_NEWTFILTER`. */
  readonly operation: string
  /** Positive. */
  readonly errno: number
  /** The kernel's explanation (NLMSGERR_ATTR_MSG), or ours where it is about the exchange itself. */
  readonly extack?: string
  /** Byte of the request that the kernel points at, from its nlmsghdr. */
  readonly offset?: number
  /** The attribute there or the missing one: `TCA_OPTIONS > TCA_FLOWER_KEY_ETH_TYPE`. */
  readonly attribute?: string
  /** Of a request that got no answer: what the transport threw. */
  readonly cause?: unknown
  /** What has become of the request is unknown, by default where there is such a cause. */
  readonly isLost?: boolean
}

/** A refused or unanswered request: `RTM_NEWTFILTER: EOPNOTSUPP: TC offload is disabled on net device`. */
export class NetlinkError extends Error {
  readonly operation: string
  readonly errno: number
  readonly errnoName: string
  /** The same as errnoName, where Node's own errors have it. */
  readonly code: string
  readonly extack?: string
  readonly offset?: number
  readonly attribute?: string
  /** The answer is lost, or says too little: what the kernel has made of the request is unknown. */
  readonly isLost: boolean

  constructor(details: NetlinkErrorDetails) {
    const { operation, errno, extack, offset, attribute, cause, isLost = cause !== undefined } = details
    const text = extack === undefined ? '' : `: ${extack}`
    const where = attribute === undefined ? '' : ` (${attribute})`
    super(`${operation}: ${errnoName(errno)}${text}${where}`, cause === undefined ? undefined : { cause })
    this.name = 'NetlinkError'
    this.operation = operation
    this.errno = errno
    this.errnoName = errnoName(errno)
    this.code = this.errnoName
    this.isLost = isLost
    if (extack !== undefined) this.extack = extack
    if (offset !== undefined) this.offset = offset
    if (attribute !== undefined) this.attribute = attribute
  }
}

const EINTR = 4
const ENOBUFS = 105
/** How often a dump is started before we give up: something changes the table all the time, or overruns the buffer. */
const dumpAttempts = 8
/** A batch is cut into datagrams of at most this size and number of messages, so that their ACKs fit into a receive buffer of 208 KiB. */
const batchBytes = 32 << 10
const batchMessages = 64
/** Echoes are larger than ACKs: the kernel allocates a page or more for each. */
const batchEchoes = 16

/** One conversation with the kernel over a transport: a request is answered before the next one is sent. Owns the transport. */
export class NetlinkSocket {
  readonly #transport: Transport
  #sequence = 0

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** Sends one request and waits for its ACK. Throws NetlinkError if the kernel refuses it or the answer is lost. */
  request(request: Request): Reply {
    const result = this.#exchange([request])[0] as Reply | NetlinkError
    if (result instanceof NetlinkError) throw result
    return result
  }

  /**
   * Sends several requests in few datagrams. The kernel takes them in order and goes on after one that fails, so the
   * result has a Reply or a NetlinkError for each request. Never throws for a refusal.
   */
  batch(requests: readonly Request[]): (Reply | NetlinkError)[] {
    const results: (Reply | NetlinkError)[] = []
    let from = 0
    while (from < requests.length) {
      let to = from
      let size = 0
      let most = batchMessages
      while (to < requests.length && to - from < most) {
        const { payload, flags } = requests[to] as Request
        size += nlmsghdr.size + payload.length
        if (flags & NLM_F.NLM_F_ECHO) most = batchEchoes
        if (to > from && (size > batchBytes || to - from >= most)) break
        to++
      }
      results.push(...this.#exchange(requests.slice(from, to)))
      from = to
    }
    return results
  }

  /**
   * Sends a transaction of a family that knows such a thing: between its two ends, all is done or nothing. Returns what the
   * kernel answered to each request; throws the first refusal.
   */
  transaction([begin, end]: readonly [begin: Request, end: Request], requests: readonly Request[]): Reply[] {
    return this.#exchange([begin, ...requests, end])
      .map((result) => {
        if (result instanceof NetlinkError) throw result
        return result
      })
      .slice(1, -1)
  }

  /**
   * All objects of a dump. One that the kernel marks as inconsistent (NLM_F_DUMP_INTR) or that overran the buffer is
   * repeated; after eight attempts the error is EINTR or ENOBUFS.
   *
   * A dump of tc filters proves presence, never absence: net/sched never sets NLM_F_DUMP_INTR, and a filter that
   * anybody removes between two parts of the dump can hide all that follow it (tcf_chain_dump resumes by index).
   */
  dump(request: Request): Message[] {
    return [...this.#dump(request, parseDatagram).found]
  }

  /**
   * The objects of a dump that hold one of `needles`, as {@link dump} has them; the others are not even decoded. Gives up after `most`
   * datagrams: if the result is not whole, the socket is of no use any more but to be closed, because the kernel goes on with
   * that dump and begins no other one on it.
   */
  scan(request: Request, needles: readonly Uint8Array[], most = Number.POSITIVE_INFINITY): Scanned {
    return this.#dump(request, (datagram) => sieve(datagram, needles), most)
  }

  /** The objects that the first `most` datagrams of a dump have. What {@link scan} says of one that is not whole goes for this too. */
  first(request: Request, most: number): Scanned {
    return this.#dump(request, parseDatagram, most)
  }

  #dump(request: Request, take: (datagram: Uint8Array) => Message[], most?: number): Scanned {
    return repeated(() => this.#dumpOnce(request, take, most))
  }

  /**
   * A dump that is too long to be decoded message by message: `look` finds what it wants in the bytes of each datagram, which are
   * gone after it, and returns that. Repeated as {@link dump} is.
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
          if (ack.error < 0) throw refusal(request, ack)
        }
        return interrupted ? interruption(request) : found
      }
    } catch (error) {
      const failure = unanswered(request, error)
      if (errnoOf(error) === ENOBUFS && failure instanceof NetlinkError && failure !== error) return failure
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
            if (ack.error < 0) throw refusal(request, ack)
            return interrupted ? interruption(request) : { found, ...first, isWhole: true }
          }
          if (message.type !== NLMSG.NLMSG_NOOP) found.push(message)
        }
        if (datagrams >= most) return { found, ...first, isWhole: false }
      }
    } catch (error) {
      const failure = unanswered(request, error)
      if (errnoOf(error) === ENOBUFS && failure instanceof NetlinkError && failure !== error) return failure
      throw failure
    }
  }

  /** Sends all requests in one datagram and collects the answers of each. */
  #exchange(requests: readonly Request[]): (Reply | NetlinkError)[] {
    const results: (Reply | NetlinkError | undefined)[] = requests.map(({ isUnanswered }) =>
      isUnanswered === true ? { messages: [] } : undefined,
    )
    const messages: Message[][] = requests.map(() => [])
    const first = this.#nextSequences(requests.length)
    let open = requests.filter(({ isUnanswered }) => isUnanswered !== true).length
    try {
      this.#transport.send(
        join(
          requests.map((request, i) =>
            encodeRequest(
              request,
              NLM_F.NLM_F_REQUEST | (request.isUnanswered === true ? 0 : NLM_F.NLM_F_ACK),
              first + i,
            ),
          ),
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
            open--
          } else if (message.type !== NLMSG.NLMSG_NOOP) (messages[i] as Message[]).push(message)
        }
      }
    } catch (error) {
      // Whether the kernel has carried out what is unanswered is unknown: the caller has to look.
      return results.map((result, i) => {
        if (result !== undefined) return result
        const failure = unanswered(requests[i] as Request, error)
        if (failure instanceof NetlinkError) return failure
        throw failure
      })
    }
    return results as (Reply | NetlinkError)[]
  }

  #receive(): Uint8Array {
    const datagram = this.#transport.recv()
    if (datagram.length === 0) throw new RangeError('Cannot decode netlink message: the datagram is empty')
    return datagram
  }

  /** Takes `count` consecutive sequence numbers and returns the first. Never 0: that is what notifications have. */
  #nextSequences(count: number): number {
    const first = this.#sequence > 0x7fff_0000 ? 1 : this.#sequence + 1
    this.#sequence = first + count - 1
    return first
  }
}

/** The first message of a dump, if it is an object. */
function firstObject(datagram: Uint8Array): { readonly first?: Message } {
  const first = firstOf(datagram)
  return first === undefined || first.type < NLMSG.NLMSG_MIN_TYPE ? {} : { first }
}

/** What a dump shows that nothing has interrupted. @throws the last interruption */
function repeated<T>(once: () => T | NetlinkError): T {
  let failure: NetlinkError | undefined
  for (let attempt = 0; attempt < dumpAttempts; attempt++) {
    const result = once()
    if (!(result instanceof NetlinkError)) return result
    failure = result
  }
  throw failure
}

function interruption({ name: operation }: Request): NetlinkError {
  return new NetlinkError({ operation, errno: EINTR, extack: 'changes interrupted the dump' })
}

/** NLMSG_OVERRUN: the same as ENOBUFS from recv. */
class Overrun extends Error {
  readonly errno = ENOBUFS
}

function reply(messages: readonly Message[], ack: Ack): Reply {
  const [echo] = messages
  const warning = ack.extack.NLMSGERR_ATTR_MSG
  return { messages, ...(echo === undefined ? {} : { echo }), ...(warning === undefined ? {} : { warning }) }
}

function refusal(request: Request, ack: Ack): NetlinkError {
  const {
    NLMSGERR_ATTR_MSG: text,
    NLMSGERR_ATTR_OFFS: offset,
    NLMSGERR_ATTR_MISS_TYPE: missing,
    NLMSGERR_ATTR_MISS_NEST: nest,
  } = ack.extack
  const attribute = attributeOf(request, missing === undefined ? offset : (nest ?? nlmsghdr.size), missing)
  const error = new NetlinkError({
    operation: request.name,
    errno: -ack.error,
    ...(text === undefined ? {} : { extack: text }),
    ...(offset === undefined ? {} : { offset }),
    ...(attribute === undefined
      ? {}
      : { attribute: missing === undefined ? attribute : `missing ${attribute}` }),
  })
  log.debug({ operation: request.name, errno: error.errnoName, extack: text }, `refused: ${error.message}`)
  return error
}

function attributeOf(
  request: Request,
  offset: number | undefined,
  missing: number | undefined,
): string | undefined {
  if (offset === undefined || request.codec === undefined) return undefined
  return attributeAt(request.codec, request.payload, offset - nlmsghdr.size, missing)
}

/** The transport's own failure as a NetlinkError of the request; other errors (a defect, bytes that are no message) as they are. */
function unanswered(request: Request, error: unknown): unknown {
  const errno = errnoOf(error)
  if (errno === undefined || error instanceof NetlinkError) return error
  const extack =
    errno === ENOBUFS ? 'the receive buffer overran, answers are lost' : 'no answer from the kernel'
  return new NetlinkError({ operation: request.name, errno, extack, cause: error })
}

function errnoOf(error: unknown): number | undefined {
  const errno = typeof error === 'object' && error !== null && 'errno' in error ? error.errno : undefined
  return typeof errno === 'number' ? errno : undefined
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0] as Uint8Array
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
