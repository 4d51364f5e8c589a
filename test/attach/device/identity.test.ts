// A device is told from its look-alikes, in the pod and on the host, by marks that no pod chooses.
import { describe, expect, test } from 'vitest'
import { isAtHome, isInPod, isSoftware, isSole } from '../../../src/attach/device/identity.ts'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { AttachJournal } from '../../../src/records/attach.ts'
import { factsOf } from '../model.ts'

const mac = '02:00:00:00:00:01'
const other = '02:00:00:00:00:02'
const base = factsOf({ name: 'hd0', altnames: [], mac, mtu: 1500, up: false })
/** A software interface, number 7 unless told. */
const soft = (more: Partial<LinkFacts> = {}): LinkFacts => ({
  ...base,
  parent: undefined,
  kind: 'dummy',
  ...more,
})
/** One of several interfaces of a PCI function. */
const port = (more: Partial<LinkFacts> = {}): LinkFacts => ({ ...base, parent: '0000:3b:00.0', ...more })

const link = { name: 'hd0', altnames: ['wire'], mac, mtu: 1500, up: false }
const journal = (device: Partial<AttachJournal['device']> = {}): AttachJournal => ({
  device: { id: 'netdev:hd0', parents: [], kind: 'dummy', ifindex: 7, podIfindex: 8, ...device },
  original: { link },
})
const ofFunction = (device: Partial<AttachJournal['device']> = {}) =>
  journal({ parents: ['0000:3b:00.0'], pci: '0000:3b:00.0', kind: undefined, ...device })

describe('in the pod a software interface is known', () => {
  test('by the number that ADD gave it there, whatever its name and MAC are now', () => {
    expect(isInPod(soft({ ifindex: 8, name: 'x', mac: other }), journal(), 'net1', true)).toBe(true)
    expect(isInPod(soft({ ifindex: 7, name: 'net1' }), journal(), 'net1', true)).toBe(false)
  })

  test('not without its kind, nor on another lower interface', () => {
    expect(isInPod(soft({ ifindex: 8, kind: 'ifb' }), journal(), 'net1', true)).toBe(false)
    const macvlan = journal({ kind: 'macvlan', lower: 3 })
    expect(isInPod(soft({ ifindex: 8, kind: 'macvlan', lower: 3 }), macvlan, 'net1', true)).toBe(true)
    expect(isInPod(soft({ ifindex: 8, kind: 'macvlan', lower: 4 }), macvlan, 'net1', true)).toBe(false)
    // The peer of a veth may have been moved since.
    const veth = journal({ kind: 'veth', lower: 3 })
    expect(isInPod(soft({ ifindex: 8, kind: 'veth', lower: 4 }), veth, 'net1', true)).toBe(true)
  })

  test('after an ADD that was killed by a second mark: the number may be that of whoever came', () => {
    expect(isInPod(soft({ ifindex: 8, name: 'x', mac: other }), journal(), 'net1', undefined)).toBe(false)
    expect(isInPod(soft({ ifindex: 8, name: 'net1', mac: other }), journal(), 'net1', undefined)).toBe(true)
  })

  test('in a record of a former version by two marks', () => {
    const old = journal({ podIfindex: undefined })
    expect(isInPod(soft({ name: 'eth0', mac: other }), old, 'net1', true)).toBe(false)
    expect(isInPod(soft({ ifindex: 9, name: 'net1', mac: other }), old, 'net1', true)).toBe(false)
    expect(isInPod(soft({ ifindex: 9, name: 'net1' }), old, 'net1', true)).toBe(true)
    expect(isInPod(soft({ name: 'net1', mac: other }), old, 'net1', true)).toBe(true)
  })
})

describe('on the host a software interface is known', () => {
  test('by its number, and name or MAC, as long as it was not away', () => {
    for (const moved of [false, undefined]) {
      expect(isAtHome(soft(), journal(), moved, true)).toBe(true)
      expect(isAtHome(soft({ name: 'x' }), journal(), moved, true)).toBe(true)
      expect(isAtHome(soft({ name: 'x', mac: other }), journal(), moved, true)).toBe(false)
      expect(isAtHome(soft({ ifindex: 9 }), journal(), moved, true)).toBe(false)
    }
  })

  test('by the number that a DEL gave it there', () => {
    const home = journal({ homeIfindex: 12 })
    expect(isAtHome(soft({ ifindex: 12, name: 'vf-if7', mac: other }), home, true, true)).toBe(true)
    expect(isAtHome(soft({ ifindex: 12, name: 'vf-if7-1', mac: other }), home, true, true)).toBe(true)
    // The move never came, and somebody else has the number.
    expect(isAtHome(soft({ ifindex: 12, name: 'x', mac: other }), home, true, true)).toBe(false)
    expect(isAtHome(soft({ ifindex: 12, kind: 'ifb' }), home, true, true)).toBe(false)
  })

  test('by name and MAC where somebody else took it home; nobody has what has died with its namespace', () => {
    expect(isAtHome(soft({ ifindex: 9 }), journal(), true, true)).toBe(true)
    expect(isAtHome(soft({ ifindex: 9, mac: other }), journal(), true, true)).toBe(false)
    expect(isAtHome(soft(), journal(), true, false)).toBe(false)
  })
})

describe('one of several interfaces of a function is known', () => {
  test('by its number beside the parent', () => {
    expect(isInPod(port({ ifindex: 8 }), ofFunction(), 'net1', true)).toBe(true)
    expect(isInPod(port({ ifindex: 9 }), ofFunction(), 'net1', true)).toBe(false)
    expect(isInPod(port({ ifindex: 8, parent: '0000:3b:00.1' }), ofFunction(), 'net1', true)).toBe(false)
  })

  test('by its permanent MAC or port name, on either side and under any number', () => {
    for (const [device, mark] of [
      [ofFunction({ permanentMac: mac }), { permanentMac: mac }],
      [ofFunction({ portName: 'p1' }), { physPortName: 'p1' }],
    ] as const) {
      expect(isAtHome(port({ ...mark, ifindex: 30, name: 'x' }), device, true, false)).toBe(true)
      const sibling = { permanentMac: other, physPortName: 'p0', ifindex: 7 }
      expect(isAtHome(port(sibling), device, true, false)).toBe(false)
      expect(isInPod(port({ ...sibling, ifindex: 8 }), device, 'net1', true)).toBe(false)
    }
  })
})

test('ports of a function with one permanent MAC are told apart by their port names', () => {
  const device = ofFunction({ permanentMac: mac, portName: 'p0' })
  expect(isAtHome(port({ permanentMac: mac, physPortName: 'p1' }), device, true, false)).toBe(false)
  expect(isAtHome(port({ permanentMac: mac, physPortName: 'p0' }), device, true, false)).toBe(true)
})

test('the only interface of a function is known by its parent alone', () => {
  const sole = ofFunction({ id: '0000:3b:00.0' })
  expect(isSole(sole)).toBe(true)
  expect(isInPod(port({ ifindex: 99, name: 'x', mac: other }), sole, 'net1', true)).toBe(true)
  expect(isAtHome(port({ ifindex: 99, name: 'x', mac: other }), sole, undefined, false)).toBe(true)
  expect(isAtHome(soft(), sole, undefined, false)).toBe(false)
})

test('software ends with its namespace, what has no kind does not', () => {
  expect(isSoftware(journal())).toBe(true)
  expect(isSoftware(journal({ kind: undefined }))).toBe(false)
  expect(isSoftware(ofFunction())).toBe(false)
})
