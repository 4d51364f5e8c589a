// The socket filter of uevents, run by a small interpreter of classic BPF: it drops those of interfaces without a device and no others.
// test/native/device-plugin/watch.test.ts shows that the kernel takes the program and does the same.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { changeOfUevent } from '../../../device-plugin/inventory/watch/uevents.ts'
import { parseUevents } from '../../../src/netlink/uevent.ts'
import { virtualNetworkFilter } from '../../../src/netlink/uevent-filter.ts'

const program = new DataView(virtualNetworkFilter().buffer)

/** The answer of the program for a datagram: 0 drops it, as does a load beyond its end. */
function run(datagram: Uint8Array): number {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length)
  let [a, x] = [0, 0]
  for (let at = 0; ; at++) {
    const [code, value] = [program.getUint16(8 * at, true), program.getUint32(8 * at + 4, true)]
    const branch = (isTrue: boolean) => program.getUint8(8 * at + (isTrue ? 2 : 3))
    const load = (from: number, size: number) => {
      if (from + size <= datagram.length) a = size === 1 ? view.getUint8(from) : view.getUint32(from)
      return from + size <= datagram.length
    }
    if (code === 0x80) a = datagram.length
    else if (code === 0x01) x = value
    else if (code === 0x05) at += value
    else if (code === 0x15) at += branch(a === value)
    else if (code === 0x35) at += branch(a >= value)
    else if (code === 0x06) return value
    else if (code === 0x30 ? !load(value, 1) : code === 0x50 ? !load(x + value, 1) : !load(x + value, 4))
      return 0
  }
}

const uevent = (action: string, path: string, ...texts: readonly string[]) =>
  new TextEncoder().encode(
    [`${action}@${path}`, `ACTION=${action}`, `DEVPATH=${path}`, ...texts]
      .map((text) => `${text}\0`)
      .join(''),
  )
const actions = ['add', 'remove', 'change', 'move', 'online', 'offline', 'bind', 'unbind']

test.each(actions)('"%s" of an interface without a device is dropped, of others it is not', (action) => {
  expect(run(uevent(action, '/devices/virtual/net/veth0'))).toBe(0)
  expect(run(uevent(action, '/devices/virtual/net/veth0/queues/rx-0'))).toBe(0)
  for (const path of ['/devices/pci0000:00/0000:00:01.0/net/eth0', '/devices/virtual/vfio/1', '/module/igb'])
    expect(run(uevent(action, path))).toBe(0xffffffff)
})

test('drops nothing that would be a change, and nothing because it is short', () => {
  const path = fc.oneof(
    fc.constantFrom(
      '/devices/virtual/net/x',
      '/devices/virtual/net',
      '/devices/virtual/nex/',
      '/a@/devices/virtual/net/x',
    ),
    fc.stringMatching(/^\/[a-z/@]{0,30}$/),
  )
  const subsystem = fc.constantFrom('pci', 'net', 'vdpa', 'uio', 'queues')
  const property = fc.property(fc.constantFrom(...actions), path, subsystem, (action, where, name) => {
    const bytes = uevent(action, where, `SUBSYSTEM=${name}`)
    expect(run(bytes) === 0).toBe(where.startsWith('/devices/virtual/net/'))
    const [event] = parseUevents(bytes)
    if (run(bytes) === 0 && name === 'net' && event !== undefined)
      expect(changeOfUevent(event)).toBeUndefined()
  })
  fc.assert(property, { numRuns: 500 })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 39 }), (bytes) => {
      expect(run(bytes)).toBe(0xffffffff)
    }),
  )
})
