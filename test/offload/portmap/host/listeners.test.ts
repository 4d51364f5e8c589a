// A host port on which a program listens is refused with the program's name, as far as the address is the same.
import { expect, test } from 'vitest'
import type { Kernel } from '../../../../src/kernel/api/kernel.ts'
import type { Listener } from '../../../../src/kernel/api/port-users.ts'
import type { PortMapping } from '../../../../src/offload/config/config.ts'
import {
  hears,
  listenersOf,
  refuseListened,
  servedLocally,
} from '../../../../src/offload/portmap/host/listeners.ts'
import type { PortKey } from '../../../../src/ops/op.ts'
import { refusalOf } from '../../../support/request.ts'

const on = (address: string, port = 80, v6only = false): Listener => ({
  ...{ proto: 'tcp', address, port, v6only, inode: 7 },
})

test.each([
  ['0.0.0.0', false, true, false],
  ['::', false, true, true],
  ['::', true, false, true],
  ['10.1.0.1', false, true, false],
  ['::ffff:10.1.0.1', false, true, false],
  ['10.1.0.2', false, false, false],
  ['2001:db8::1', false, false, true],
  ['127.0.0.1', false, false, false],
])('a socket on %s (IPv6 only: %s) hears IPv4: %s, IPv6: %s', (address, v6only, v4, v6) => {
  const listener = on(address, 80, v6only)
  expect([hears(listener, '10.1.0.1'), hears(listener, '2001:db8::1')]).toEqual([v4, v6])
})

test('only protocols and ports that are mapped are asked for, and the first clash is named', () => {
  const asked: string[] = []
  const kernel = {
    listeners: (proto: string, ports: readonly number[]) => {
      asked.push(`${proto} ${ports.join(' ')}`)
      return proto === 'tcp' ? [on('127.0.0.1', 8080), on('0.0.0.0', 8080), on('::', 443)] : []
    },
    programWith: () => undefined,
  } as unknown as Kernel
  const key = (port: number, proto: PortKey['proto'] = 'tcp'): PortKey => ({
    ...{ address: '10.1.0.1', proto, port, toAddress: '10.1.0.5', toPort: 80 },
  })
  const listeners = listenersOf(kernel, [
    { proto: 'tcp', hostPort: 8080 },
    { proto: 'udp', hostPort: 8080 },
    { proto: 'tcp', hostPort: 8081 },
    { proto: 'tcp', hostPort: 8080 },
  ])
  refuseListened(kernel, listeners, [key(8080, 'udp'), key(7000, 'sctp')])
  expect(asked).toEqual(['udp 8080'])
  refuseListened(kernel, listeners, [key(8081)])
  expect(asked).toEqual(['udp 8080', 'tcp 8080 8081'])
  expect(refusalOf(() => refuseListened(kernel, listeners, [key(8081), key(8080)]))).toMatchObject({
    code: 100,
    message:
      'Cannot map tcp 10.1.0.1 port 8080: a program of the node listens on 0.0.0.0 port 8080; allowListening true maps it all the same',
  })
})

test('a program that listens at 127.0.0.1 alone keeps a port of which nobody has said that address', () => {
  const kernel = {
    listeners: (proto: string) =>
      proto === 'tcp' ? [on('127.0.0.1', 8080), on('::ffff:127.0.0.1', 8081), on('0.0.0.0', 8082)] : [],
    programWith: (inode: number) => `program ${inode}`,
  } as unknown as Kernel
  const mapping = (hostPort: number, hostIP?: string): PortMapping => ({
    ...{ proto: 'tcp', hostPort, containerPort: 80, hostIP },
  })
  const kept = [mapping(8080), mapping(8080, '0.0.0.0'), mapping(8081)]
  const others = [mapping(8082), mapping(8083), mapping(8080, '127.0.0.1'), mapping(8080, '::')]
  const all = [...kept, ...others]
  const found = servedLocally(kernel, listenersOf(kernel, all), all)
  expect([...found]).toEqual(kept.map((one) => [one, 'program 7']))
})
