/** A call as the shim sends it: one packet with descriptors, see src/agent/shim/protocol.h. */
import { fstatSync, readSync } from 'node:fs'
import { close } from '../../sys/ffi.ts'
import { poll, pollBits } from '../../sys/poll.ts'
import { receive } from '../../sys/unix-socket.ts'
import { decodeMessage, type Message, messageBytes } from '../protocol.ts'

/** A call, and what proves its surroundings. Whoever takes it closes the descriptors. */
export interface IncomingCall {
  /** The last part of argv[0]. */
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  readonly stdin: string
  /** The shim's root directory (O_PATH). */
  readonly root: number
  /** The network namespace that CNI_NETNS led to in the shim; undefined if it led to nothing. */
  readonly netns: number | undefined
  /** All descriptors that came with the call. */
  readonly descriptors: readonly number[]
}

/** Something else than a call came. The message is one of few texts: it goes to the counters. */
export class NoCall extends Error {
  override readonly name = 'NoCall'
}

/** Waits for a message; undefined when none comes in time, or the other end is closed. @throws SystemError */
export function nextMessage(
  connection: number,
  milliseconds: number,
): { readonly message: Required<Message>; readonly descriptors: readonly number[] } | undefined {
  const [bits] = poll([{ fd: connection, events: pollBits.in }], milliseconds)
  if (bits === 0) return undefined
  const packet = receive(connection, messageBytes)
  if (packet === 'nothing' || packet === 'closed') return undefined
  const message = decodeMessage(packet.bytes)
  if (message !== undefined) return { message, descriptors: packet.descriptors }
  for (const fd of packet.descriptors) close(fd)
  return undefined
}

/**
 * Reads the call of a message. The descriptors stay open, also after an error.
 * @throws NoCall for a message that the protocol does not allow; the errors of read(2)
 */
export function readCall(message: Required<Message>, descriptors: readonly number[]): IncomingCall {
  const [memory, root, netns] = descriptors
  if (message.kind !== 'call') throw new NoCall('the shim sent no call')
  if (memory === undefined || root === undefined || descriptors.length > 3)
    throw new NoCall('the call came with too few or too many descriptors')
  const { first, second } = message
  const { size } = fstatSync(memory)
  if (first + second > size) throw new NoCall('the call is shorter than it says')
  const bytes = new Uint8Array(first + second)
  for (let done = 0; done < bytes.length; ) {
    const length = readSync(memory, bytes, done, bytes.length - done, done)
    if (length === 0) throw new NoCall('the call is shorter than it says')
    done += length
  }
  // As standard input is read without an agent: a byte order mark is a part of the text.
  const decode = (part: Uint8Array) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(part)
  const [program = '', ...variables] = decode(bytes.subarray(first)).split('\0')
  const pairs = variables.flatMap((variable): [string, string][] => {
    const equals = variable.indexOf('=')
    return equals <= 0 ? [] : [[variable.slice(0, equals), variable.slice(equals + 1)]]
  })
  return {
    name: program.slice(program.lastIndexOf('/') + 1),
    // Of two variables of one name the second one counts, as in a process of its own.
    env: Object.fromEntries(pairs),
    stdin: decode(bytes.subarray(0, first)),
    ...{ root, netns, descriptors },
  }
}
