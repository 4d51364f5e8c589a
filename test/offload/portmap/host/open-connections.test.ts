// A port with open connections of the node is refused with both ends.
import { expect, test } from 'vitest'
import type { Kernel } from '../../../../src/kernel/api/kernel.ts'
import type { OpenConnection } from '../../../../src/kernel/api/port-users.ts'
import { refuseConnected } from '../../../../src/offload/portmap/host/open-connections.ts'
import type { PortKey } from '../../../../src/ops/op.ts'
import { refusalOf } from '../../../support/request.ts'

const key = (port: number, address = '10.1.0.1', proto: PortKey['proto'] = 'tcp'): PortKey => ({
  ...{ address, proto, port, toAddress: '10.1.0.5', toPort: 80 },
})
const peer = { address: '10.2.0.2', port: 443 }
const at = (port: number, address = '10.1.0.1') => ({ address, port })

function kernelWith(open: readonly OpenConnection[], asked: unknown[] = []): Kernel {
  return {
    openConnections: (keys: unknown) => {
      asked.push(keys)
      return open
    },
    addresses: () => [{ address: '10.1.0.1/24' }, { address: 'fd00:1::1/64' }],
    programWith: (inode: number) => (inode === 7 ? 'curl (process 12)' : undefined),
  } as unknown as Kernel
}

test.each<[string, OpenConnection, string | undefined]>([
  [
    'a program’s connection',
    { proto: 'tcp', local: at(50_050), peer, inode: 7 },
    'curl (process 12) has a connection from it to 10.2.0.2 port 443',
  ],
  [
    'one that no program has any more',
    { proto: 'tcp', local: at(50_050), peer, inode: 0 },
    'a program of the node has a connection from it to 10.2.0.2 port 443',
  ],
  [
    'a masqueraded one',
    { proto: 'tcp', local: at(50_050), peer, source: at(40_000, '10.88.0.5') },
    'a connection of 10.88.0.5 port 40000 to 10.2.0.2 port 443 is translated to it',
  ],
  [
    'one inside the node',
    { proto: 'tcp', local: at(50_050), peer: at(80, 'fd00:1::1'), inode: 7 },
    undefined,
  ],
  ['one of another protocol', { proto: 'udp', local: at(50_050), peer, inode: 7 }, undefined],
  ['one of another address', { proto: 'tcp', local: at(50_050, '10.1.0.2'), peer, inode: 7 }, undefined],
])('%s', (_, open, words) => {
  const look = () => refuseConnected(kernelWith([open]), [key(50_051), key(50_050)])
  if (words === undefined) return look()
  expect(refusalOf(look)).toMatchObject({
    code: 100,
    message: `Cannot map tcp 10.1.0.1 port 50050: ${words}; allowConnected true maps it all the same, and its replies are lost`,
  })
})

test.each([
  ['0.0.0.0', false, true, false],
  ['::', false, true, true],
  ['::', true, false, true],
  ['10.1.0.1', false, true, false],
])(
  'a UDP socket on %s (IPv6 only: %s) waits for answers of IPv4: %s, of IPv6: %s',
  (address, v6only, v4, v6) => {
    const open: OpenConnection = {
      proto: 'udp',
      local: at(50_050, address),
      peer: undefined,
      inode: 7,
      v6only,
    }
    const isRefused = (of: string) => {
      try {
        refuseConnected(kernelWith([open]), [key(50_050, of, 'udp')])
        return false
      } catch {
        return true
      }
    }
    expect([isRefused('10.1.0.1'), isRefused('fd00:1::1')]).toEqual([v4, v6])
  },
)

test('a kernel that does not tell is a reason to refuse, with its words and the key', () => {
  const kernel = {
    openConnections: () => {
      throw new Error('IPCTNL_MSG_CT_GET: EPERM')
    },
  } as unknown as Kernel
  expect(refusalOf(() => refuseConnected(kernel, [key(80)]))).toMatchObject({
    code: 102,
    message: expect.stringMatching(/: IPCTNL_MSG_CT_GET: EPERM; allowConnected true/),
  })
})

test('what is for the loopback address comes by no wire: nothing is asked', () => {
  const asked: unknown[] = []
  refuseConnected(kernelWith([], asked), [key(80, '127.0.0.1')])
  expect(asked).toEqual([])
  refuseConnected(kernelWith([], asked), [key(80, '127.0.0.1'), key(81)])
  expect(asked).toEqual([[key(81)]])
})
