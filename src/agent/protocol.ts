/**
 * The messages between the shim and the agent, as bytes. src/agent/shim/protocol.h says who sends what, and has the same numbers
 * (test/agent/protocol.test.ts compares both).
 */

/** Path of the agent's socket. */
export const socketPath = '/run/vf-flower/agent.sock'

/** The only argument of vf-flower after a worker has died in a call. */
export const lostWorker = '--lost-worker'

/** Bytes of a message. */
export const messageBytes = 256

/** "vfa" and the version of the protocol. */
const magic = 0x01616676

/** Bytes of a text in a message. */
const textBytes = 224
const textOffset = messageBytes - textBytes

/** Kinds of messages. */
export const messageKinds = {
  hello: 1,
  call: 2,
  unwritten: 3,
  wait: 16,
  ready: 17,
  standalone: 18,
  refused: 19,
  answer: 20,
} as const

/** The kind of a message. */
export type MessageKind = keyof typeof messageKinds

/** Numbers of the verbs in a hello. */
export const verbNumbers = { ADD: 1, DEL: 2, CHECK: 3, GC: 4, STATUS: 5 } as const

/** One message. */
export interface Message {
  readonly kind: MessageKind
  /** Verb (hello), exit code (answer) or errno (unwritten). */
  readonly value?: number
  /** Bytes of the first part of the memfd that comes with a call or an answer. */
  readonly first?: number
  /** Bytes of the second part. */
  readonly second?: number
  /** Build id or reason; what does not fit is cut off. */
  readonly text?: string
}

/** A message as bytes. */
export function encodeMessage({ kind, value = 0, first = 0, second = 0, text = '' }: Message): Uint8Array {
  const bytes = new Uint8Array(messageBytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, magic, true)
  view.setUint32(4, messageKinds[kind], true)
  view.setUint32(8, value, true)
  view.setBigUint64(16, BigInt(first), true)
  view.setBigUint64(24, BigInt(second), true)
  new TextEncoder().encodeInto(text, bytes.subarray(textOffset))
  return bytes
}

/** Reads a packet; undefined for one that is no message of this version. */
export function decodeMessage(bytes: Uint8Array): Required<Message> | undefined {
  if (bytes.length !== messageBytes) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  if (view.getUint32(0, true) !== magic) return undefined
  const number = view.getUint32(4, true)
  const kind = (Object.keys(messageKinds) as MessageKind[]).find((name) => messageKinds[name] === number)
  if (kind === undefined) return undefined
  const text = bytes.subarray(textOffset)
  const end = text.indexOf(0)
  return {
    kind,
    value: view.getUint32(8, true),
    first: Number(view.getBigUint64(16, true)),
    second: Number(view.getBigUint64(24, true)),
    text: new TextDecoder().decode(end < 0 ? text : text.subarray(0, end)),
  }
}
