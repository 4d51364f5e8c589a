// Attachments are found by device from the records of vf-attach: alive, pending, with the pod that a report of vf-offload names.
// Records are read again only when their files change, and no record makes a call fail.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { attachmentsByDevice } from '../../../device-plugin/allocations/attachments.ts'
import { type AttachJournal, attachRecords } from '../../../src/records/attach.ts'
import { offloadRecords } from '../../../src/records/offload.ts'

let top = ''
let state = ''
/** Namespaces are files here, and their content is their identity. */
const machine = {
  opened: 0,
  bootId: () => 'boot',
  openNetns: (path: string) => {
    machine.opened++
    return { id: readFileSync(path, 'utf8'), isHost: false, close: () => undefined }
  },
}

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'attachments-'))
  state = join(top, 'state')
  mkdirSync(join(top, 'netns'))
  machine.opened = 0
})
afterEach(() => rmSync(top, { recursive: true, force: true }))

const netns = (name: string) => join(top, 'netns', name)

function attach(device: string, containerID: string, change: Partial<AttachJournal> = {}, bootId = 'boot') {
  const owner = { containerID, ifname: 'net1', network: 'n', netns: netns(containerID), bootId }
  return attachRecords(state).write(device, {
    ...{ schema: 1, plugin: 'vf-attach', phase: 'attached' },
    owner: { ...owner, netnsId: `4:${containerID.length}` },
    journal: { device: { id: device, parents: [] }, original: {}, ...change },
  })
}
const live = (containerID: string, id = `4:${containerID.length}`) => writeFileSync(netns(containerID), id)
const expected = (device: string, containerID: string) => ({
  ...{ device, containerID, ifname: 'net1', network: 'n' },
  ...{ alive: true, pendingClose: false, pod: undefined },
})

test('nothing is there before the first attachment, and nothing is made', () => {
  expect(attachmentsByDevice(state, machine)()).toEqual(new Map())
  expect(() => readFileSync(state)).toThrow('ENOENT')
})

test('each device with its attachment: alive, dead, and to be restored; a record of another boot is none', () => {
  attach('0000:3b:02.1', 'one')
  live('one')
  attach('0000:3b:02.2', 'gone')
  attach('0000:3b:02.3', 'other')
  live('other', '4:999')
  attach('0000:3b:02.4', 'earlier', {}, 'before')
  live('earlier')
  attach('mlx5_core.sf.2', 'open', { pendingClose: true })
  const found = attachmentsByDevice(state, machine)()
  expect([...found.values()]).toEqual([
    expected('0000:3b:02.1', 'one'),
    { ...expected('0000:3b:02.2', 'gone'), alive: false },
    { ...expected('0000:3b:02.3', 'other'), alive: false },
    { ...expected('mlx5_core.sf.2', 'open'), alive: false, pendingClose: true },
  ])
  expect(found.get('0000:3b:02.1')?.containerID).toBe('one')
})

test('records that can not be used are left out, and the others are there', () => {
  const broken = ['', '{', '[]', '{"schema":99}', 'x'.repeat(1_000)]
  attach('0000:3b:02.1', 'one')
  live('one')
  for (const [at, text] of broken.entries())
    writeFileSync(join(state, 'attach', `0000:3b:03.${at} broken@net1.json`), text)
  mkdirSync(join(state, 'attach', '0000:3b:04.0 folder@net1.json'))
  writeFileSync(join(state, 'attach', 'README'), '')
  const read = attachmentsByDevice(state, machine)
  expect([...read().keys()]).toEqual(['0000:3b:02.1'])
  expect([...read().keys()]).toEqual(['0000:3b:02.1'])
  rmSync(state, { recursive: true })
  writeFileSync(state, 'no folder')
  expect(read()).toEqual(new Map())
})

test('a record is read again when its file changes, and a namespace is opened again when its file does', () => {
  attach('0000:3b:02.1', 'one')
  live('one')
  const read = attachmentsByDevice(state, machine)
  read()
  const opened = machine.opened
  for (let count = 0; count < 5; count++) expect(read().get('0000:3b:02.1')?.alive).toBe(true)
  expect(machine.opened).toBe(opened)
  attach('0000:3b:02.1', 'one', { pendingClose: true })
  expect(read().get('0000:3b:02.1')?.pendingClose).toBe(true)
  rmSync(netns('one'))
  expect(read().get('0000:3b:02.1')?.alive).toBe(false)
  live('one')
  expect(read().get('0000:3b:02.1')?.alive).toBe(true)
  rmSync(netns('one'))
  live('one', '4:998')
  expect(read().get('0000:3b:02.1')?.alive).toBe(false)
})

test('a record that is removed is gone, and one that is new is there', () => {
  const name = attach('0000:3b:02.1', 'one')
  const read = attachmentsByDevice(state, machine)
  expect([...read().keys()]).toEqual(['0000:3b:02.1'])
  attachRecords(state).remove(name)
  attach('0000:3b:02.2', 'two')
  expect([...read().keys()]).toEqual(['0000:3b:02.2'])
})

test('of two records of one device the one whose pod is there counts', () => {
  for (const containerID of ['a-dead', 'living', 'z-dead']) attach('0000:3b:02.1', containerID)
  live('living')
  expect(attachmentsByDevice(state, machine)().get('0000:3b:02.1')?.containerID).toBe('living')
})

test('where the folder of namespaces is not to be seen, a pod of this boot counts as living', () => {
  attach('0000:3b:02.1', 'one')
  rmSync(join(top, 'netns'), { recursive: true })
  const found = attachmentsByDevice(state, machine)()
  expect([...found.values()].map(({ alive }) => alive)).toEqual([true])
})

test('the pod is the one that a report of the same container names', () => {
  attach('0000:3b:02.1', 'one')
  attach('0000:3b:02.2', 'two')
  attach('0000:3b:02.3', 'six')
  const store = offloadRecords(state, 'offload')
  const report = (containerID: string, text: string) =>
    store.writeReport(store.nameOf('n', containerID, 'net1'), text)
  report('one', JSON.stringify({ schema: 1, containerID: 'one', pod: 'default/web', mappings: [] }))
  report('two', '{')
  report('six', JSON.stringify({ schema: 1, containerID: 'six' }))
  const read = attachmentsByDevice(state, machine)
  const pods = () => [...read().values()].map(({ pod }) => pod)
  expect(pods()).toEqual([{ namespace: 'default', name: 'web' }, undefined, undefined])
  report('two', JSON.stringify({ schema: 1, containerID: 'two', pod: 'kube-system/dns-1' }))
  expect(pods()[1]).toEqual({ namespace: 'kube-system', name: 'dns-1' })
})

test('a thousand records: the second look opens no namespace and reads no record', () => {
  for (let at = 0; at < 1_000; at++) {
    attach(`0000:3b:${(at >> 3).toString(16).padStart(2, '0')}.${at & 7}`, `c${at}`)
    live(`c${at}`)
  }
  const read = attachmentsByDevice(state, machine)
  expect(read().size).toBe(1_000)
  const opened = machine.opened
  expect(read().size).toBe(1_000)
  expect(machine.opened).toBe(opened)
})
