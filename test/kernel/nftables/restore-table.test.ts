// Restores reservations that the kernel refuses again and again. test/native/portmap/kept-off.test.ts does so with real tables.
import { expect, test } from 'vitest'
import type { Reservation } from '../../../src/kernel/nftables/host-keys.ts'
import { completeTable } from '../../../src/kernel/nftables/restore-table.ts'
import type { Request } from '../../../src/netlink/message.ts'
import { createTable } from '../../../src/netlink/nf/rules.ts'
import { NetlinkError, type NetlinkSocket } from '../../../src/netlink/socket.ts'

const [EEXIST, table] = [17, 'vf-flower']

/** 10.1.0.1:PORT/tcp */
const owner = (name: string, ...ports: number[]): Reservation => ({
  keys: ports.map((port) => ({
    ...({ address: '10.1.0.1', proto: 'tcp', toAddress: '10.0.0.2', toPort: 80 } as const),
    port,
  })),
  masquerade: [],
  owner: `${name.repeat(32)} ${name}/net1`,
})

/** A kernel whose dumps show nothing, and which refuses the element of `hidden` as existing. */
function kernel(hidden?: Reservation) {
  const sent: string[][] = []
  const socket = {
    request: () => ({ echo: { ...createTable(table), type: 0, flags: 0, seq: 0, pid: 0 } }),
    dump: () => [],
    transaction: (_: unknown, requests: readonly Request[]) => {
      const texts = requests
        .filter(({ name }) => name === 'NFT_MSG_NEWSETELEM')
        .map(({ payload }) => Buffer.from(payload).toString('latin1'))
      if (hidden !== undefined && texts.some((text) => text.includes(hidden.owner)))
        throw new NetlinkError({ operation: 'NFT_MSG_NEWSETELEM', errno: EEXIST })
      sent.push(texts)
      return []
    },
  }
  return { socket: socket as unknown as NetlinkSocket, sent }
}

test('an element that no dump shows is refused to its owner in the end, and to no other owner', () => {
  const [a, b] = [owner('a', 80), owner('b', 81)]
  const { restored, refused } = completeTable(kernel(a).socket, [a, b])
  expect(restored).toEqual([b.owner])
  expect(refused).toEqual([{ owner: a.owner, reason: expect.stringContaining('EEXIST') }])
})

test('the first of two owners gets a key that both want, and the second gets no key', () => {
  const [a, b, c] = [owner('a', 80), owner('b', 81, 80), owner('c', 81)]
  const { socket, sent } = kernel()
  const { restored, refused } = completeTable(socket, [a, b, c])
  expect(restored).toEqual([a.owner, c.owner])
  expect(refused.map((one) => one.owner)).toEqual([b.owner])
  expect(sent.flat().join()).not.toContain(b.owner)
})

test('one owner may be in the list twice, as with two records', () => {
  const a = owner('a', 80)
  const { socket, sent } = kernel()
  expect(completeTable(socket, [a, a])).toMatchObject({ restored: [a.owner], refused: [] })
  expect(sent.flat()).toHaveLength(1)
})
