// An interface that host-device has moved is found in the pod and goes home under its alias.
import { describe, expect, test } from 'vitest'
import {
  type HostDeviceLink,
  type HostDeviceWish,
  hostDeviceJournal,
} from '../../../src/attach/foreign/host-device.ts'
import { attachJournal } from '../../../src/records/attach.ts'

const pci = '0000:3b:02.1'
const link: HostDeviceLink = {
  ifindex: 7,
  name: 'net1',
  altnames: ['enp59s0f0v1', 'ens1f0', 'net1'],
  alias: 'ens1f0',
  mac: '02:00:00:00:00:42',
  permanentMac: '02:00:00:00:00:01',
  mtu: 1400,
  parent: pci,
  kind: undefined,
  lower: undefined,
}
const none: HostDeviceWish = { devices: [] }
const device = (address: string) => ({ id: address, pci: address, parents: [address] })

describe('an interface that host-device moved', () => {
  test('goes home under its alias, down, and loses the alias; what nobody wrote down stays', () => {
    const journal = hostDeviceJournal(link, { devices: [device(pci)] })
    expect(journal).toEqual({
      device: { id: pci, pci, parents: [pci], podIfindex: 7, permanentMac: link.permanentMac },
      original: {
        link: { name: 'ens1f0', altnames: ['enp59s0f0v1'], mac: link.mac, mtu: 1400, up: false, alias: '' },
      },
    })
    expect(attachJournal.read(journal)).toEqual(journal)
  })

  test.each<[string, HostDeviceWish]>([
    ['its bus address', { devices: [device(pci)] }],
    ['the name that it had', { devices: [], device: 'ens1f0' }],
    ['its MAC', { devices: [], hwaddr: '02:00:00:00:00:42' }],
    ['its permanent MAC', { devices: [], hwaddr: '02:00:00:00:00:01' }],
    ['one of several keys', { devices: [device('0000:3b:02.2')], device: 'ens1f0' }],
  ])('is selected by %s', (_, wish) => {
    expect(hostDeviceJournal(link, wish)).toBeDefined()
  })

  test.each<[string, HostDeviceWish]>([
    ['no key', none],
    ['the address of another device', { devices: [device('0000:3b:02.2')] }],
    ['the name that it has in the pod', { devices: [], device: 'net1' }],
    ['another MAC', { devices: [], hwaddr: '02:00:00:00:00:43' }],
  ])('stays in the pod with %s', (_, wish) => {
    expect(hostDeviceJournal(link, wish)).toBeUndefined()
  })

  test.each(['', '.', 'a/b', 'a b', 'eth%d', '1234567890123456'])('stays with %j for an alias', (alias) => {
    const wish = { devices: [device(pci)], device: alias }
    expect(hostDeviceJournal({ ...link, alias }, wish)).toBeUndefined()
  })

  test('of virtio is known by the PCI function that carries it', () => {
    const virtio = { id: pci, pci, parents: ['virtio3'] }
    const journal = hostDeviceJournal({ ...link, parent: 'virtio3' }, { devices: [virtio] })
    expect(journal?.device).toMatchObject(virtio)
  })

  test('that the config does not name by its bus is what its parent says', () => {
    const wish = { devices: [], device: 'ens1f0' }
    expect(hostDeviceJournal(link, wish)?.device).toMatchObject({ id: pci, pci, parents: [pci] })
    expect(hostDeviceJournal({ ...link, parent: '1-1:1.0' }, wish)?.device).toMatchObject({
      id: 'netdev:ens1f0',
      parents: ['1-1:1.0'],
    })
  })

  test('without a bus device is known by its name, and no absent parent matches', () => {
    const veth = { ...link, parent: undefined, permanentMac: undefined, kind: 'veth' }
    expect(hostDeviceJournal(veth, none)).toBeUndefined()
    expect(hostDeviceJournal(veth, { devices: [], device: 'ens1f0' })?.device).toEqual({
      id: 'netdev:ens1f0',
      parents: [],
      podIfindex: 7,
      kind: 'veth',
    })
  })
  test('whose other end is in the pod was never the host’s', () => {
    const wish = { devices: [], device: 'ens1f0' }
    const veth = { ...link, parent: undefined, permanentMac: undefined, kind: 'veth', lower: 9 }
    expect(hostDeviceJournal(veth, wish)).toBeUndefined()
    expect(hostDeviceJournal({ ...veth, lowerNetns: 0 }, wish)).toBeDefined()
  })
})
