// A transaction of netfilter asks for one answer, its last; refusals and echoes of all its requests are found all the same, and the socket
// says whether anything is still under way.
import { expect, test } from 'vitest'
import { NetlinkError } from '../../src/netlink/error.ts'
import { type Message, NLM_F } from '../../src/netlink/message.ts'
import { batchEnds } from '../../src/netlink/nf/nfnetlink.ts'
import { NetlinkSocket } from '../../src/netlink/socket.ts'
import { ack, join, message, script } from './script.ts'

const byte = (value: number) => Uint8Array.of(value, 0, 0, 0)
const at = (requests: readonly Message[], index: number) => requests[index] as Message
const request = (name: string) => ({ name, type: 2560, flags: 0, payload: byte(1) })
const three = ['first', 'second', 'third'].map(request)

test('the last request alone asks for an ACK', () => {
  const transport = script((sent) => ack(at(sent, 3)))
  const socket = new NetlinkSocket(transport)
  expect(socket.transaction(batchEnds(), three)).toEqual([
    { messages: [] },
    { messages: [] },
    { messages: [] },
  ])
  const asking = transport.sent.map(({ flags }) => (flags & NLM_F.NLM_F_ACK) !== 0)
  expect(asking).toEqual([false, false, false, true, false])
  expect(socket.isIdle).toBe(true)
})

test('an echo before that ACK belongs to its request', () => {
  const socket = new NetlinkSocket(
    script((sent) => join(message(2560, 0, at(sent, 1).seq, byte(7)), ack(at(sent, 3)))),
  )
  const [first, second] = socket.transaction(batchEnds(), three)
  expect(first?.echo?.payload).toEqual(byte(7))
  expect(second).toEqual({ messages: [] })
})

test('the first refusal is thrown, and the answer to the last request is read behind it', () => {
  const transport = script(
    (sent) => ack(at(sent, 2), -17),
    (sent) => ack(at(sent, 3)),
  )
  const socket = new NetlinkSocket(transport)
  expect(() => socket.transaction(batchEnds(), three)).toThrow(
    expect.objectContaining({ operation: 'second', code: 'EEXIST' }),
  )
  expect([transport.left(), socket.isIdle]).toEqual([0, true])
})

test('a refusal of the whole, which comes at its beginning, leaves answers under way', () => {
  const socket = new NetlinkSocket(script((sent) => ack(at(sent, 0), -12)))
  expect(() => socket.transaction(batchEnds(), three)).toThrow(NetlinkError)
  expect(socket.isIdle).toBe(false)
})

test('so does a dump that nobody reads to its end', () => {
  const socket = new NetlinkSocket(script((sent) => message(2560, 2, at(sent, 0).seq, byte(1))))
  expect(socket.first(request('dump'), 1).isWhole).toBe(false)
  expect(socket.isIdle).toBe(false)
})
