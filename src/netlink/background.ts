/**
 * Requests that another thread sends. The kernel carries a request out before the system call returns, and for some requests it waits long
 * after everybody can see the result.
 */
import { refusal } from './answers.ts'
import { NetlinkError } from './error.ts'
import { encodeRequest, NLM_F, NLMSG, parseAck, parseDatagram, type Request } from './message.ts'

/** A netlink socket that another thread writes to. */
export interface BackgroundTransport {
  /** Begins to send; false if that is not possible now. */
  send(message: Uint8Array): boolean
  /** The errno of the last send; 0 when it succeeded, undefined while it is not over. */
  error(): number | undefined
  /** The next datagram; undefined when none comes in so many milliseconds. */
  recv(milliseconds: number): Uint8Array | undefined
}

/** A conversation of single requests, of which one at a time is under way. Owns the transport. */
export class BackgroundSocket {
  readonly #transport: BackgroundTransport
  #open: Request | undefined
  #sequence = 0

  constructor(transport: BackgroundTransport) {
    this.#transport = transport
  }

  /** Begins a request; false while another one is under way, or when there can be no thread: nothing was sent then. */
  begin(request: Request): boolean {
    if (this.#open !== undefined && !this.#isOver()) return false
    this.#sequence = (this.#sequence + 1) >>> 0
    const message = encodeRequest(request, NLM_F.NLM_F_REQUEST | NLM_F.NLM_F_ACK, this.#sequence)
    if (!this.#transport.send(message)) return false
    this.#open = request
    return true
  }

  /**
   * True once the kernel is done with the request; waits for that at most so many milliseconds.
   * @throws NetlinkError when the kernel refuses the request, or the request could not be sent
   */
  isDone(milliseconds: number): boolean {
    const request = this.#open
    if (request === undefined) return true
    const datagram = this.#transport.recv(milliseconds)
    if (datagram === undefined) {
      const errno = this.#transport.error() ?? 0
      if (errno === 0) return false
      this.#open = undefined
      throw new NetlinkError({ operation: request.name, errno, extack: 'the request could not be sent' })
    }
    for (const message of parseDatagram(datagram)) {
      if (message.type !== NLMSG.NLMSG_ERROR || message.seq !== this.#sequence) continue
      this.#open = undefined
      const ack = parseAck(message)
      if (ack.error < 0) throw refusal(request, ack)
      return true
    }
    return false
  }

  /** As {@link isDone}, for a request whose outcome nobody asks for any more. */
  #isOver(): boolean {
    try {
      return this.isDone(0)
    } catch (error) {
      if (error instanceof NetlinkError) return true
      throw error
    }
  }
}
