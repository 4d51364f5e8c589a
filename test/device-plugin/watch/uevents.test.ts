// Uevents: joined datagrams come apart as they were sent, and those that the inventory can not show are no changes.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { changeOfUevent } from '../../../device-plugin/inventory/watch/uevents.ts'
import { parseUevents } from '../../../src/netlink/uevent.ts'
import { pciUevent, renameUevent, vethUevents } from './captured.ts'

const encode = (...texts: readonly string[]) =>
  new TextEncoder().encode(texts.map((text) => `${text}\0`).join(''))
const join = (parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts))

describe('parseUevents', () => {
  test('takes the captured datagrams apart', () => {
    const events = parseUevents(vethUevents)
    expect(events).toHaveLength(14)
    expect(events.map(({ action }) => action)).toEqual([
      ...Array.from({ length: 10 }, () => 'add'),
      ...Array.from({ length: 4 }, () => 'remove'),
    ])
    expect(events.map((event) => event.get('SEQNUM'))).toEqual(
      Array.from({ length: 14 }, (_, at) => String(9871 + at)),
    )
    expect(events[5]).toMatchObject({ path: '/devices/virtual/net/v0' })
    expect(events[5]?.get('INTERFACE')).toBe('v0')
    const [pci] = parseUevents(pciUevent)
    expect(pci?.path).toBe('/devices/pci0000:00/0000:00:01.0')
    expect(pci?.get('PCI_CLASS')).toBe('FFFF00')
    expect(pci?.get('PCI')).toBeUndefined()
  })

  test('has the same events, however datagrams are joined', () => {
    const word = fc.stringMatching(/^[A-Z_]{1,8}$/)
    const value = fc.stringMatching(/^[a-z0-9@=/:.]{0,12}$/)
    const event = fc.record({
      action: fc.constantFrom('add', 'remove', 'change', 'bind', 'unbind', 'move'),
      path: fc.stringMatching(/^\/[a-z0-9@=/:.]{0,20}$/),
      fields: fc.dictionary(word, value, { maxKeys: 5 }),
    })
    const property = fc.property(fc.array(event), fc.func(fc.boolean()), (events, isSplit) => {
      const datagrams = events.map(({ action, path, fields }) =>
        encode(`${action}@${path}`, ...Object.entries(fields).map(([key, text]) => `${key}=${text}`)),
      )
      const chunks: Uint8Array[][] = [[]]
      datagrams.forEach((datagram, at) => {
        if (isSplit(at)) chunks.push([])
        chunks.at(-1)?.push(datagram)
      })
      const found = chunks.flatMap((parts) => parseUevents(join(parts)))
      expect(found.map(({ action, path }) => ({ action, path }))).toEqual(
        events.map(({ action, path }) => ({ action, path })),
      )
      found.forEach((one, at) => {
        for (const [key, text] of Object.entries(events[at]?.fields ?? {})) expect(one.get(key)).toBe(text)
      })
    })
    fc.assert(property)
  })

  test('refuses uevents of udev and texts without an end, and nothing else goes wrong', () => {
    expect(() => parseUevents(encode('libudev', 'ACTION=add'))).toThrow(RangeError)
    expect(() => parseUevents(vethUevents.subarray(0, 100))).toThrow(RangeError)
    expect(parseUevents(new Uint8Array())).toEqual([])
    const property = fc.property(fc.uint8Array(), (bytes) => {
      try {
        parseUevents(bytes)
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError)
      }
    })
    fc.assert(property)
  })
})

describe('changeOfUevent', () => {
  const change = (path: string, fields: Readonly<Record<string, string>>, action = 'add') =>
    changeOfUevent({ action, path, get: (key) => fields[key] })

  test.each([
    ['pci', '/devices/pci0000:00/0000:01:10.0', { SUBSYSTEM: 'pci', PCI_CLASS: '20000' }],
    ['pci', '/devices/pci0000:00/0000:01:10.0', { SUBSYSTEM: 'pci', PCI_CLASS: '120000' }],
    ['pci', '/devices/pci0000:00/0000:01:10.0', { SUBSYSTEM: 'pci' }],
    ['net', '/devices/pci0000:00/0000:01:10.0/net/eth0', { SUBSYSTEM: 'net' }],
    ['auxiliary', '/devices/pci0000:00/0000:01:00.0/mlx5_core.sf.2', { SUBSYSTEM: 'auxiliary' }],
    ['vdpa', '/devices/pci0000:00/0000:01:10.0/vdpa0', { SUBSYSTEM: 'vdpa' }],
    ['infiniband', '/devices/pci0000:00/0000:01:10.0/infiniband/mlx5_0', { SUBSYSTEM: 'infiniband' }],
    ['infiniband', '/devices/x/uverbs0', { SUBSYSTEM: 'infiniband_verbs' }],
    ['uio', '/devices/x/uio/uio0', { SUBSYSTEM: 'uio' }],
    ['vfio', '/devices/virtual/vfio/12', { SUBSYSTEM: 'vfio' }],
    ['vfio', '/devices/x/vfio-dev/vfio0', { SUBSYSTEM: 'vfio-dev' }],
    ['driver', '/bus/pci/drivers/vfio-pci', { SUBSYSTEM: 'drivers' }],
  ])('%s: %s %j is a change', (kind, path, fields) => {
    expect(change(path, fields)).toEqual({ kind, subject: `add ${path.split('/').at(-1)}` })
  })

  test.each([
    ['/devices/pci0000:00/0000:00:03.0', { SUBSYSTEM: 'pci', PCI_CLASS: '10802' }],
    ['/devices/pci0000:00/0000:00:00.0', { SUBSYSTEM: 'pci', PCI_CLASS: '60000' }],
    ['/devices/virtual/net/veth0', { SUBSYSTEM: 'net' }],
    ['/devices/pci0000:00/0000:01:10.0/net/eth0/queues/rx-0', { SUBSYSTEM: 'queues' }],
    ['/bus/usb/drivers/hub', { SUBSYSTEM: 'drivers' }],
    ['/module/igb', { SUBSYSTEM: 'module' }],
    ['/devices/x', {}],
    ['/devices/x', { SUBSYSTEM: 'constructor' }],
  ])('%s %j is none', (path, fields) => {
    expect(change(path, fields)).toBeUndefined()
  })

  test('a pod with a veth is none at all', () => {
    expect([...parseUevents(vethUevents), ...parseUevents(renameUevent)].map(changeOfUevent)).toEqual(
      Array.from({ length: 15 }, () => undefined),
    )
  })
})
