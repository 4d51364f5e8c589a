// The file that sriov-cni wrote for its DEL is read, of each release that left one.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readCache, removeCache, sriovJournal } from '../../../src/attach/foreign/sriov-cache.ts'
import { failure } from '../../../src/cni/failure.ts'
import type { PciAddress } from '../../../src/lib/pci-address.ts'
import { attachJournal } from '../../../src/records/attach.ts'

const pci = '0000:3b:02.1'

let dir: string

beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'sriov-')), 'cni/sriov')
  mkdirSync(dir, { recursive: true })
})
afterEach(() => rmSync(join(dir, '../..'), { recursive: true }))

/** As release 2.10 writes it: the config and its own structure in one object, keys sorted. */
const written = {
  DPDKMode: false,
  MAC: '02:00:00:00:00:42',
  MTU: 1500,
  Master: 'ens1f0',
  OrigVfState: {
    AdminMAC: '00:00:00:00:00:00',
    EffectiveMAC: '8a:11:22:33:44:55',
    HostIFName: 'ens1f0v1',
    LinkState: 0,
    MTU: 1500,
    MaxTxRate: 1000,
    MinTxRate: 0,
    SpoofChk: true,
    Trust: true,
    Vlan: 5,
    VlanProto: 33024,
    VlanQoS: 2,
  },
  VFID: 1,
  cniVersion: '0.3.1',
  deviceID: pci,
  dns: {},
  ipam: { type: 'host-local' },
  link_state: 'enable',
  logLevel: 'info',
  max_tx_rate: 300,
  min_tx_rate: null,
  name: 'sriov-net',
  runtimeConfig: {},
  spoofchk: 'off',
  trust: 'off',
  type: 'sriov',
  vlan: 100,
  vlanProto: '802.1q',
  vlanQoS: 0,
}

describe('what sriov-cni wrote for DEL', () => {
  const file = () => join(dir, 'container-net1')
  const readBack = () => readCache('container', 'net1', dir)
  const put = (content: unknown) => {
    writeFileSync(file(), JSON.stringify(content))
    return readBack()
  }

  test('nothing', () => {
    expect(readBack()).toBeUndefined()
    removeCache('container', 'net1', dir)
  })

  test('by release 2.10, with everything configured', () => {
    const cache = put(written)
    expect(cache).toMatchObject({ path: file(), pci, network: 'sriov-net', ipamType: 'host-local' })
    const journal = cache && sriovJournal(cache, 'net1', undefined)
    expect(journal).toEqual({
      device: { id: pci, pci, parents: [pci], vfIndex: 1 },
      original: {
        vf: {
          mac: '00:00:00:00:00:00',
          vlan: { id: 5, qos: 2, proto: 0x8100 },
          rate: { min: 0, max: 1000 },
          spoofchk: true,
          trust: true,
          linkState: 'auto',
        },
        link: { name: 'ens1f0v1', altnames: [], mac: '8a:11:22:33:44:55', mtu: 1500, up: false },
      },
      macSet: true,
    })
    expect(attachJournal.read(journal)).toEqual(journal)
    // What only the VF itself knows: who has to wait for whom, and which driver may be bound anew.
    const vf = { pf: '0000:3b:00.0' as PciAddress, index: 1 }
    const known = cache && sriovJournal(cache, 'net1', undefined, { driver: 'iavf', vf })
    expect(known?.device).toEqual({ ...journal?.device, driver: 'iavf', pfPci: '0000:3b:00.0' })
    removeCache('container', 'net1', dir)
    expect(readBack()).toBeUndefined()
  })

  test('with nothing configured: only the MAC that the PF reported, whatever else stands there', () => {
    const { link_state, max_tx_rate, spoofchk, trust, ...rest } = written
    const cache = put({ ...rest, MAC: '', vlan: null, vlanQoS: null, vlanProto: null })
    expect(cache?.vf).toEqual({ mac: '00:00:00:00:00:00' })
    expect(cache?.macSet).toBe(false)
  })

  test.each([
    [0, 'auto'],
    [1, 'enable'],
    [2, 'disable'],
    [3, undefined],
  ])('link state %i is %s', (LinkState, linkState) => {
    const cache = put({ ...written, OrigVfState: { ...written.OrigVfState, LinkState } })
    expect(cache?.vf.linkState).toBe(linkState)
  })

  test.each([0x88a8, 0, undefined])('VLAN protocol %s', (VlanProto) => {
    const cache = put({ ...written, OrigVfState: { ...written.OrigVfState, VlanProto } })
    expect(cache?.vf.vlan?.proto).toBe(VlanProto || 0x8100)
  })

  test('one half of a rate is enough, as is VLAN 0', () => {
    const cache = put({ ...written, max_tx_rate: null, min_tx_rate: 0, vlan: 0 })
    expect(cache?.vf).toMatchObject({ rate: { min: 0, max: 1000 }, vlan: { id: 5 } })
  })

  test('by releases that knew neither MTU, nor VlanProto, nor Trust: the MTU stays as it is', () => {
    const { MTU, VlanProto, Trust, ...OrigVfState } = written.OrigVfState
    const cache = put({ ...written, OrigVfState, DPDKMode: false, ContIFNames: 'net1' })
    expect(cache?.link).toEqual({ name: 'ens1f0v1', mac: '8a:11:22:33:44:55' })
    expect(cache?.vf).toMatchObject({ trust: false, vlan: { proto: 0x8100 } })
    const now = { mac: '02:00:00:00:00:42', mtu: 9000, altnames: ['enp59s0f0v1', 'ens1f0v1', 'net1'] }
    expect(cache && sriovJournal(cache, 'net1', now).original.link).toMatchObject({
      mac: '8a:11:22:33:44:55',
      mtu: 9000,
      altnames: ['enp59s0f0v1'],
    })
    expect(cache && sriovJournal(cache, 'net1', undefined).original.link).toBeUndefined()
  })

  test('by releases without the original state: its fixed values', () => {
    const { OrigVfState: _, ...rest } = written
    const early = {
      ...rest,
      adminMAC: '02:00:00:00:00:07',
      effectiveMAC: '8a:11:22:33:44:55',
      HostIFNames: 'ens1f0v1',
    }
    expect(put(early)).toMatchObject({
      link: { name: 'ens1f0v1', mac: '8a:11:22:33:44:55' },
      vf: {
        mac: '02:00:00:00:00:07',
        vlan: { id: 0, qos: 0, proto: 0x8100 },
        rate: { min: 0, max: 0 },
        spoofchk: true,
        trust: false,
        linkState: 'auto',
      },
    })
    // A plain integer then: 0 was "not asked for".
    expect(put({ ...early, vlan: 0, MAC: '', adminMAC: '' })?.vf).not.toHaveProperty('vlan')
  })

  test('for a user space driver: no interface', () => {
    const cache = put({
      ...written,
      OrigVfState: { ...written.OrigVfState, HostIFName: '', EffectiveMAC: '' },
    })
    const now = { mac: '02:00:00:00:00:42', mtu: 9000, altnames: ['enp59s0f0v1', 'ens1f0v1', 'net1'] }
    expect(cache && sriovJournal(cache, 'net1', now).original).toEqual({ vf: cache?.vf })
  })

  test('without IPAM', () => {
    expect(put({ ...written, ipam: {} })?.ipamType).toBeUndefined()
    expect(put({ ...written, ipam: { type: '' } })?.ipamType).toBeUndefined()
  })

  test.each<[what: string, content: string, words: string]>([
    ['an empty file', '', 'it is not JSON'],
    ['a part', JSON.stringify(written).slice(0, 200), 'it is not JSON'],
    ['an array', '[]', 'it is no JSON object'],
    ['no device', '{}', 'deviceID has the wrong type'],
    ['a path', JSON.stringify({ ...written, deviceID: '../../etc' }), 'deviceID "../../etc"'],
    ['a text for a number', JSON.stringify({ ...written, vlan: '100' }), 'vlan has the wrong type'],
    ['a bad name', JSON.stringify({ ...written, OrigVfState: { HostIFName: 'a/b' } }), 'HostIFName "a/b"'],
    ['a bad MAC', JSON.stringify({ ...written, OrigVfState: { EffectiveMAC: 'x' } }), 'EffectiveMAC "x"'],
    ['half a MAC', JSON.stringify({ ...written, OrigVfState: { AdminMAC: '02:' } }), 'AdminMAC "02:"'],
  ])('%s is refused by its path', (_, content, words) => {
    writeFileSync(file(), content)
    let thrown: unknown
    try {
      readBack()
    } catch (error) {
      thrown = error
    }
    expect(failure(thrown)).toMatchObject({ code: 5, message: expect.stringContaining(words) })
    expect(String(thrown)).toContain(`"${file()}"`)
  })
})
