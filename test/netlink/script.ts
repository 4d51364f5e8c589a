// A Transport that plays a script: each step sees the requests sent since the last one and says what to receive.

import { s32 } from '../../src/netlink/codec/wire.ts'
import { type Message, NLM_F, NLMSG, nlmsghdr, parseDatagram } from '../../src/netlink/message.ts'
import type { Transport } from '../../src/netlink/socket.ts'

/** Returns one datagram to receive, or throws what recv() throws. */
export type Step = (requests: readonly Message[]) => Uint8Array

export interface Script extends Transport {
  /** Every request sent, in order. */
  readonly sent: Message[]
  /** Number of datagrams sent. */
  readonly datagrams: () => number
  /** Steps that nobody has asked for yet. */
  readonly left: () => number
  readonly closed: () => boolean
}

export function script(...steps: Step[]): Script {
  const sent: Message[] = []
  let datagrams = 0
  let closed = false
  return {
    sent,
    datagrams: () => datagrams,
    left: () => steps.length,
    closed: () => closed,
    send: (datagram) => {
      datagrams++
      sent.push(...parseDatagram(datagram))
    },
    recv: () => {
      const step = steps.shift()
      if (step === undefined) throw new Error('the script has ended')
      return step(sent)
    },
    close: () => {
      closed = true
    },
  }
}

/** One message of a datagram. */
export function message(
  type: number,
  flags: number,
  seq: number,
  payload: Uint8Array = new Uint8Array(),
): Uint8Array {
  const length = nlmsghdr.size + payload.length
  const header = { nlmsg_len: length, nlmsg_type: type, nlmsg_flags: flags, nlmsg_seq: seq, nlmsg_pid: 1 }
  return join(nlmsghdr.encode(header), payload, new Uint8Array(-length & 3))
}

/** NLMSG_ERROR as the kernel sends it with NETLINK_CAP_ACK: error, the request's header, attributes. */
export function ack(request: Message, error = 0, attributes: Uint8Array = new Uint8Array()): Uint8Array {
  const flags = NLM_F.NLM_F_CAPPED | (attributes.length > 0 ? NLM_F.NLM_F_ACK_TLVS : 0)
  const header = {
    nlmsg_len: 16 + request.payload.length,
    nlmsg_type: request.type,
    nlmsg_flags: request.flags,
  }
  const about = nlmsghdr.encode({ ...header, nlmsg_seq: request.seq, nlmsg_pid: 0 })
  return message(NLMSG.NLMSG_ERROR, flags, request.seq, join(s32.encode(error), about, attributes))
}

/** NLMSG_DONE */
export function done(request: Message, error = 0, flags = 0): Uint8Array {
  return message(NLMSG.NLMSG_DONE, NLM_F.NLM_F_MULTI | flags, request.seq, s32.encode(error))
}

export function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** An error as a transport throws it. */
export function errno(number: number): Error {
  return Object.assign(new Error(`recv: errno ${number}`), { errno: number })
}
