// An attachment restores what another one of its container has left, under the lock of that device.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { attachPlugin } from '../../../src/attach/plugin.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import type { Machine } from '../../../src/kernel/api/machine.ts'
import { type AttachJournal, attachJournal } from '../../../src/records/attach.ts'
import { type RecordStore, recordStore } from '../../../src/records/store.ts'
import { refusalOf, requestOf } from '../../support/request.ts'
import { spawnInNode } from '../../support/spawn.ts'
import { factsOf } from '../model.ts'

const pod = '/var/run/netns/pod'
// No machine has this function: whatever it needs to be restored is nothing.
const left = 'ffff:ff:1f.7'

let stateDir: string
let store: RecordStore<AttachJournal>
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'attach-'))
  store = recordStore(stateDir, 'attach', attachJournal)
})
afterEach(() => rmSync(stateDir, { recursive: true }))

/** The attachment of the request has `left` by this record, made in the namespace at `netns`. */
function leave(netns: string) {
  const owner = { containerID: 'container', ifname: 'net1', network: 'net', netns, netnsId: '4:1' }
  const link = { name: 'eth9', altnames: [], mac: '02:00:00:00:00:09', mtu: 1500, up: false }
  const journal: AttachJournal = {
    device: { id: left, pci: left, parents: [left] },
    original: { link },
  }
  return store.write(left, {
    ...{ schema: 1, plugin: 'vf-attach', phase: 'attached', journal },
    owner: { ...owner, bootId: 'boot-1' },
  })
}

/** A node with the interface `dev0` and one living namespace; `meanwhile` happens while a lock is waited for. */
function nodeWith(record: string, meanwhile: (id: string) => void = () => undefined) {
  const events: string[] = []
  let side = 'host'
  const dev0 = { ...factsOf({ name: 'dev0', altnames: [], mac: '02:00:00:00:00:05', mtu: 1500, up: false }) }
  const link = { ...dev0, parent: undefined, parentBus: undefined, kind: 'veth' }
  const kernel: Partial<Kernel> = {
    run: (op) => {
      if (op.do === 'link.move') side = op.to
      return {}
    },
    link: (asked, by) => {
      const name = side === 'host' ? 'dev0' : 'net1'
      return asked === side && (by === name || by === link.ifindex) ? { ...link, name } : undefined
    },
    links: () => [],
    lookBeforeMove: () => ({ refusal: undefined, qdiscs: [], isBare: true }),
    settings: () => ({}),
    residue: () => ({ tcx: [] }),
    tuning: () => ({ ethtool: {}, files: {} }),
    tuningOps: () => [],
    podUppers: () => [],
    close: () => undefined,
  }
  const machine: Machine = {
    sharedDir: '/nowhere',
    openKernel: () => kernel as Kernel,
    openNetns: (path) => {
      if (path !== pod) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
      return { fd: 0, id: '4:1', path, close: () => undefined }
    },
    withLock: (path, _milliseconds, action) => {
      const id = path.slice(path.lastIndexOf('/') + 1)
      meanwhile(id)
      events.push(`lock ${id}`)
      try {
        return action()
      } finally {
        events.push(`unlock ${id}, ${existsSync(record) ? 'record' : 'no record'}`)
      }
    },
    startProgram: spawnInNode,
    bootId: () => 'boot-1',
    sha256: (text) => text,
    sleep: () => undefined,
  }
  const add = () => attachPlugin(machine).add(requestOf({ device: 'dev0', stateDir }))
  return { add, events }
}

test('what an attachment has left of another device is restored under the lock of that one, and no other', () => {
  const { path } = leave('/var/run/netns/gone')
  const { add, events } = nodeWith(path)
  expect(add().interfaces).toMatchObject([{ name: 'net1' }])
  // The IPAM plugin of its ADD holds the lock of its record as long as it runs.
  const file = path.slice(path.lastIndexOf('/') + 1)
  expect(events).toEqual([
    ...['lock netdev:dev0', 'unlock netdev:dev0, record'],
    `lock ${left}`,
    ...[`lock ${file}`, `unlock ${file}, record`],
    `unlock ${left}, no record`,
    ...['lock netdev:dev0', 'unlock netdev:dev0, no record'],
  ])
  expect(store.list().map(({ subject }) => subject)).toEqual(['netdev:dev0'])
})

test('it is looked at again there: one that lives by then is kept, and is in the way', () => {
  const { path } = leave('/var/run/netns/gone')
  const { add } = nodeWith(path, (id) => {
    if (id === left) leave(pod)
  })
  expect(refusalOf(add)).toMatchObject({
    code: 11,
    message: expect.stringContaining(`has "${left}" already and needs a DEL first`),
  })
  expect(store.list().map(({ subject }) => subject)).toEqual([left])
})

test('one that somebody else has restored by then is nothing to do', () => {
  const name = leave('/var/run/netns/gone')
  const { add } = nodeWith(name.path, (id) => {
    if (id === left) store.remove(name)
  })
  expect(add().interfaces).toMatchObject([{ name: 'net1' }])
})

test('an attachment that has a device by a record of a newer format gets no second one', () => {
  const { path } = leave('/var/run/netns/gone')
  writeFileSync(path, readFileSync(path, 'utf8').replace('"schema": 1', '"schema": 2'))
  const { add } = nodeWith(path)
  expect(refusalOf(add)).toMatchObject({
    code: 11,
    message: `Cannot attach "netdev:dev0": Cannot read record "${path}": schema 2 is newer than 1, the newest known here`,
  })
  expect(store.list().map(({ subject }) => subject)).toEqual([left])
})
