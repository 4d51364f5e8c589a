// Requests that another thread sends: one at a time is under way, and its outcome is told once: done, refused, or never sent.
import { beforeEach, expect, test } from 'vitest'
import { BackgroundSocket } from '../../src/netlink/background.ts'
import { parseDatagram, type Request } from '../../src/netlink/message.ts'
import { deleteLink } from '../../src/netlink/rtnl/link.ts'
import { ack } from './script.ts'

const request: Request = deleteLink(7)
let sent: Uint8Array[]
let answers: Uint8Array[]
let waits: number[]
let canSend: boolean
let errno: number | undefined
let socket: BackgroundSocket

beforeEach(() => {
  sent = []
  answers = []
  waits = []
  canSend = true
  errno = undefined
  socket = new BackgroundSocket({
    send: (message) => {
      if (canSend) sent.push(message)
      return canSend
    },
    error: () => errno,
    recv: (milliseconds) => {
      waits.push(milliseconds)
      return answers.shift()
    },
  })
})

/** The kernel answers the last request. */
function answer(error = 0): void {
  const [message] = parseDatagram(sent.at(-1) ?? new Uint8Array())
  if (message === undefined) throw new Error('nothing was sent')
  answers.push(ack(message, error))
}

test('is done when the kernel has answered, and not before', () => {
  expect(socket.begin(request)).toBe(true)
  expect(socket.isDone(3)).toBe(false)
  answer()
  expect(socket.isDone(3)).toBe(true)
  expect(waits).toEqual([3, 3])
  expect(socket.isDone(3)).toBe(true)
})

test('a second request waits for the outcome of the first, which nobody need have asked for', () => {
  expect(socket.begin(request)).toBe(true)
  expect(socket.begin(request)).toBe(false)
  answer(-19)
  expect(socket.begin(request)).toBe(true)
  expect(sent).toHaveLength(2)
  // The answer to the first one is no answer to the second one.
  const [first] = parseDatagram(sent[0] ?? new Uint8Array())
  if (first !== undefined) answers.push(ack(first))
  expect(socket.isDone(0)).toBe(false)
})

test('a refusal is thrown with the kernel’s errno', () => {
  socket.begin(request)
  answer(-1)
  expect(() => socket.isDone(0)).toThrow(/RTM_DELLINK.*EPERM/)
  expect(socket.isDone(0)).toBe(true)
})

test('a request that was not sent is no request', () => {
  canSend = false
  expect(socket.begin(request)).toBe(false)
  canSend = true
  socket.begin(request)
  errno = 105
  expect(() => socket.isDone(0)).toThrow('ENOBUFS')
  errno = 0
  expect(socket.begin(request)).toBe(true)
})
