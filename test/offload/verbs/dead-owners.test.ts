// Attachments whose namespace is gone hold nothing that another one wants.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { log } from '../../../src/lib/log/log.ts'
import { NetlinkError } from '../../../src/netlink/socket.ts'
import type { OffloadName } from '../../../src/offload/config/plugin-names.ts'
import { everyFeature } from '../../../src/offload/features.ts'
import { offloadPlugin } from '../../../src/offload/plugin.ts'
import type { Port } from '../../../src/offload/port/port.ts'
import { clearTheWay, isHeldByDead } from '../../../src/offload/verbs/dead-owners.ts'
import { ApplyError } from '../../../src/ops/apply.ts'
import { anyJournal, type OffloadJournal, offloadJournal } from '../../../src/records/offload.ts'
import { recordStore } from '../../../src/records/store.ts'
import { refusalOf, requestOf } from '../../support/request.ts'
import { attached } from '../attached.ts'
import { bandwidth, path, portMappings, prevResult, VethNode } from '../veth-node.ts'

const old = '/var/run/netns/old'

let stateDir: string
let node: VethNode
let said: string[]

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'dead-'))
  node = new VethNode(join(stateDir, 'shared'))
  node.namespaces.set(path, '4:1')
  node.namespaces.set(old, '4:2')
  said = []
  vi.spyOn(log, 'warn').mockImplementation((...words: unknown[]) => {
    said.push(String(words[1]))
  })
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(stateDir, { recursive: true })
})

const add = (runtimeConfig: object, name: OffloadName, env: Record<string, string>) =>
  offloadPlugin(node, name).add(requestOf({ stateDir, prevResult, runtimeConfig }, env))
const before = (runtimeConfig: object, name: OffloadName = 'vf-offload', containerID = 'old') =>
  add(runtimeConfig, name, { CNI_CONTAINERID: containerID, CNI_NETNS: old })
const now = (runtimeConfig: object) => add(runtimeConfig, 'vf-offload', { CNI_NETNS: path })
const dies = () => node.namespaces.delete(old)

const stores = () =>
  ['offload', 'portmap', 'bandwidth'].map((folder) => recordStore(stateDir, folder, offloadJournal))
const owners = () => stores().map((store) => store.list().map(({ containerID }) => containerID))
const records = () => {
  const [store, ...otherStores] = stores()
  if (store === undefined) throw new TypeError('no store')
  return { machine: node, store, otherStores, attachStore: recordStore(stateDir, 'attach', anyJournal) }
}

test.each(['vf-offload', 'portmap'] as const)(
  'host ports of a dead one, made under the name %s, are the next one’s',
  (name) => {
    before({ portMappings }, name)
    dies()
    now({ portMappings })
    expect(owners()).toEqual([['container'], [], []])
    expect(node.ports.size).toBe(1)
    expect(said).toEqual([
      expect.stringContaining('the namespace of container "old", interface "net1", network "net" is gone'),
    ])
    expect(node.open).toBe(0)
  },
)

test('a living one’s are not', () => {
  before({ portMappings })
  expect(refusalOf(() => now({ portMappings }))).toMatchObject({
    code: 100,
    message: expect.stringContaining('is taken by container/interface "old/net1"'),
  })
  expect(owners()).toEqual([['old'], [], []])
})

test.each([
  ['can not be read', 'there', (file: string) => writeFileSync(file, '{')],
  ['is lost', 'of which there is no record here: only its DEL, or GC, frees the port', rmSync],
] as const)('nor are those of one whose record %s: nobody can tell whether it lives', (_, words, spoil) => {
  before({ portMappings })
  dies()
  for (const { path: file } of stores().flatMap((store) => store.list())) spoil(file)
  const { code, message } = refusalOf(() => now({ portMappings }))
  expect(code).toBe(100)
  if (words !== 'there') expect(message).toContain(words)
  expect(node.ports.size).toBe(1)
  expect(said).toEqual([])
})

test('an attachment that comes back in a new namespace is served, whatever names its first ADD had', () => {
  before({ portMappings }, 'vf-offload', 'container')
  before({ bandwidth }, 'bandwidth', 'container')
  expect(refusalOf(() => now({ portMappings })).code).toBe(11)
  dies()
  now({ portMappings, bandwidth })
  expect(owners()).toEqual([['container'], [], []])
  expect([node.ports.size, node.filters.length]).toEqual([1, 1])
  // While it lives it needs a DEL.
  expect(refusalOf(() => now({ portMappings })).code).toBe(11)
})

/** An attachment of a VF whose uplink is interface 2, and which lives or not. */
function onVf(containerID: string, isAlive: boolean, more: Partial<OffloadJournal> = {}): void {
  attached(node, records().store, { containerID, network: 'net', netnsId: '4:9' }, more)
  if (!isAlive) node.namespaces.delete(path)
}

const exists = new NetlinkError({ operation: 'RTM_NEWTFILTER', errno: 17 })
const op = { do: 'clsact.add', side: 'host', link: 'pf0' } as const
const heir = { network: 'net', containerID: 'heir', ifname: 'net1' }
const portOn = (device: string, ifindex: number) =>
  ({ device, wire: { uplink: { ifindex } } }) as unknown as Port

test('what has the place of a filter, by no name, is looked for along the port: its device and its uplink', () => {
  const clear = (port: Port, cause: unknown = exists) =>
    clearTheWay({ ...records(), everyFeature }, heir, port, new ApplyError(op, cause, []))
  onVf('dead', false)
  const elsewhere = portOn('0000:3b:02.9', 77)
  expect([isHeldByDead(records(), elsewhere), clear(elsewhere)]).toEqual([false, false])
  expect(clear(portOn('0000:3b:02.9', 2), new NetlinkError({ operation: 'RTM_NEWTFILTER', errno: 22 }))).toBe(
    false,
  )
  expect(owners()).toEqual([['dead'], [], []])
  for (const port of [portOn('0000:3b:02.1', 77), portOn('0000:3b:02.9', 2)]) {
    onVf('dead', false)
    expect([isHeldByDead(records(), port), clear(port), clear(port)]).toEqual([true, true, false])
    expect(owners()).toEqual([[], [], []])
  }
  // Numbers and settings of a boot before this one mean nothing.
  onVf('dead', false)
  node.boot = 'boot-2'
  expect(clear(portOn('0000:3b:02.1', 2))).toBe(false)
  onVf('alive', true)
  const port = portOn('0000:3b:02.1', 2)
  expect([isHeldByDead(records(), port), clear(port)]).toEqual([false, false])
})
