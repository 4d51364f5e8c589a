// A netlink socket whose other end is a function. The function sees each request and returns the kernel's answer.
import { extack, type Message, NLM_F, parseDatagram } from '../../src/netlink/message.ts'
import { NetlinkSocket } from '../../src/netlink/socket.ts'
import { ack, done, join, message } from '../netlink/script.ts'

/** Messages before the ACK or DONE, and the result. An empty answer is success. */
export interface Answer {
  readonly messages?: readonly { readonly type: number; readonly payload: Uint8Array }[]
  /** Positive errno. */
  readonly errno?: number
  /** The text of the extended ACK. */
  readonly text?: string
}

export interface Answering {
  readonly socket: NetlinkSocket
  /** The same socket as if newly opened: drops answers that nobody has read. */
  readonly open: () => NetlinkSocket
  /** Every request, in order. */
  readonly asked: readonly Message[]
  /** Number of datagrams with requests. */
  readonly datagrams: () => number
}

/** Makes a socket by `answer`. A dump is answered by one datagram for each message. */
export function answering(answer: (request: Message) => Answer): Answering {
  const asked: Message[] = []
  const waiting: Uint8Array[] = []
  let datagrams = 0
  const take = (request: Message): void => {
    const { type, flags, seq } = request
    asked.push(request)
    const { messages = [], errno = 0, text } = answer(request)
    const isDump = (type & 3) === 2 && (flags & NLM_F.NLM_F_DUMP) === NLM_F.NLM_F_DUMP
    const parts = messages.map((one) => message(one.type, isDump ? NLM_F.NLM_F_MULTI : 0, seq, one.payload))
    const words = text === undefined ? new Uint8Array() : extack.encode({ NLMSGERR_ATTR_MSG: text })
    if (isDump && errno === 0) waiting.push(...parts, done(request))
    else if (errno !== 0 || flags & NLM_F.NLM_F_ACK) waiting.push(join(...parts, ack(request, -errno, words)))
    else if (parts.length > 0) waiting.push(join(...parts))
  }
  const socket = new NetlinkSocket({
    send: (datagram) => {
      datagrams++
      for (const request of parseDatagram(datagram)) take(request)
    },
    recv: () => {
      const next = waiting.shift()
      if (next === undefined) throw new Error('nothing is on its way')
      return next
    },
    close: () => undefined,
  })
  const open = () => {
    waiting.length = 0
    return socket
  }
  return { socket, open, asked, datagrams: () => datagrams }
}

/** A socket whose requests reach the kernel, and whose answers are lost. */
export function deaf(): { readonly socket: NetlinkSocket; readonly sent: () => number } {
  let sent = 0
  const socket = new NetlinkSocket({
    send: () => {
      sent++
    },
    recv: () => {
      throw Object.assign(new Error('recv'), { errno: 105 })
    },
    close: () => undefined,
  })
  return { socket, sent: () => sent }
}
