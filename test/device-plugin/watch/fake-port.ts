// A door to a kernel of the tests: sockets whose notifications a test sends, with the contract of src/sys: nothing comes after close() or
// lost(). Answers to requests are those of the test.
import type { Subscription, WatchPort } from '../../../device-plugin/inventory/watch/source.ts'
import { encodeRequest, type Message, NLMSG, parseDatagram } from '../../../src/netlink/message.ts'

/** One open socket of notifications. */
export interface FakeSocket {
  readonly protocol: number
  readonly groups: readonly number[]
  send(...messages: readonly (Message | Uint8Array)[]): void
  lose(error: unknown): void
}

/** See the head of this file. `answer` gets a request's protocol and type; it throws to refuse. */
export class FakePort implements WatchPort {
  readonly open: FakeSocket[] = []
  /** Opening fails with this error. */
  refusal: unknown
  answer: (protocol: number, type: number) => readonly Message[] = () => []

  socket(protocol: number): FakeSocket {
    const found = this.open.find((one) => one.protocol === protocol)
    if (found === undefined) throw new RangeError(`no socket of protocol ${protocol} is open`)
    return found
  }

  subscribe(
    protocol: number,
    groups: readonly number[],
    handler: Parameters<WatchPort['subscribe']>[2],
  ): Subscription {
    if (this.refusal !== undefined) throw this.refusal
    const joined = [...groups]
    const close = () => {
      if (this.open.includes(one)) this.open.splice(this.open.indexOf(one), 1)
    }
    const one: FakeSocket = {
      protocol,
      groups: joined,
      send: (...messages) => {
        if (this.open.includes(one)) handler.take(new Uint8Array(Buffer.concat(messages.map(bytesOf))))
      },
      lose: (error) => {
        if (!this.open.includes(one)) return
        close()
        handler.lost(error)
      },
    }
    this.open.push(one)
    return { join: (group) => joined.push(group), close }
  }

  connect(protocol: number): ReturnType<WatchPort['connect']> {
    const answers: Uint8Array[] = []
    return {
      send: (bytes) => {
        const [request] = parseDatagram(bytes)
        if (request === undefined) throw new RangeError('an empty request')
        const { seq } = request
        for (const message of this.answer(protocol, request.type)) answers.push(bytesOf({ ...message, seq }))
        // An ACK for a request, and the end of a dump.
        answers.push(bytesOf({ ...request, type: NLMSG.NLMSG_ERROR, flags: 0, payload: new Uint8Array(20) }))
      },
      recv: () => answers.shift() ?? new Uint8Array(),
      close: () => undefined,
    }
  }
}

function bytesOf(message: Message | Uint8Array): Uint8Array {
  if (message instanceof Uint8Array) return message
  const { type, flags, seq, payload } = message
  return encodeRequest({ name: '', type, flags: 0, payload }, flags, seq)
}
