// A process that lives keeps one socket of each protocol, gives it to one user at a time, and none on which an answer is under way.
import { beforeEach, expect, test } from 'vitest'
import { SocketPool } from '../../../../src/kernel/linux/kept/pool.ts'
import type { NetlinkSocket } from '../../../../src/netlink/socket.ts'

const opened: { readonly protocol: number; isIdle: boolean; isOpen: boolean; close(): void }[] = []
const open = (protocol: number) => {
  const socket = {
    protocol,
    isIdle: true,
    isOpen: true,
    close: () => {
      socket.isOpen = false
    },
  }
  opened.push(socket)
  return socket as unknown as NetlinkSocket
}
let pool: SocketPool

beforeEach(() => {
  opened.length = 0
  pool = new SocketPool(open)
})

test('without being filled it keeps nothing', () => {
  pool.give(12, pool.take(12))
  expect(opened).toMatchObject([{ isOpen: false }])
  pool.take(12)
  expect(opened).toHaveLength(2)
})

test('a filled one gives the same socket again, and another one while the first is in use', () => {
  pool.fill([0, 12], (protocol) => (protocol === 0 ? undefined : open(protocol)))
  expect(opened).toHaveLength(1)
  const first = pool.take(12)
  const second = pool.take(12)
  expect(second).not.toBe(first)
  pool.give(12, first)
  pool.give(12, second)
  expect(opened.map(({ isOpen }) => isOpen)).toEqual([true, false])
  expect(pool.take(12)).toBe(first)
  // Of this protocol there was none.
  pool.take(0)
  expect(opened).toHaveLength(3)
})

test('the one that was kept first stays, in whichever order two come back', () => {
  pool.fill([12], open)
  const first = pool.take(12)
  const second = pool.take(12)
  pool.give(12, second)
  pool.give(12, first)
  expect(opened.map(({ isOpen }) => isOpen)).toEqual([true, false])
  expect(pool.take(12)).toBe(first)
})

test('a socket with an answer under way is closed', () => {
  pool.fill([12], open)
  const socket = pool.take(12)
  Object.assign(socket, { isIdle: false })
  pool.give(12, socket)
  expect(opened).toMatchObject([{ isOpen: false }])
  expect(pool.take(12)).not.toBe(socket)
})
