// Records that versions of the program have written, each as it is (test/fixtures/records/README.md). They are read, written again
// without a difference, and a DEL by them does the same as ever. The DEL of each is beside it; `npx vitest -u` makes that of a
// new one. What changes in a file that is there changes the DEL of living pods.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LiveState } from '../../src/attach/device/live-state.ts'
import { planRestore } from '../../src/attach/plan/restore.ts'
import { log } from '../../src/lib/log/log.ts'
import { offloadDel } from '../../src/offload/del.ts'
import { identityOf } from '../../src/offload/state/identity.ts'
import { commandLine } from '../../src/ops/command-line.ts'
import { invert } from '../../src/ops/invert.ts'
import type { Op, VfAttributes } from '../../src/ops/op.ts'
import { type AttachJournal, attachJournal } from '../../src/records/attach.ts'
import { type OffloadJournal, offloadJournal, offloadRecords } from '../../src/records/offload.ts'
import { operationKeys } from '../../src/records/ops/table.ts'
import { type PluginRecord, parseRecord, recordText } from '../../src/records/record.ts'
import { factsOf } from '../attach/model.ts'
import { Node } from '../offload/node.ts'
import { requestOf } from '../support/request.ts'

const fixtures = join(import.meta.dirname, '../fixtures/records')
const versions = readdirSync(fixtures, { withFileTypes: true }).flatMap((one) =>
  one.isDirectory() ? [one.name] : [],
)
const files = versions.flatMap((version) =>
  readdirSync(join(fixtures, version)).flatMap((name) =>
    name.endsWith('.json')
      ? [[`${version}/${basename(name, '.json')}`, join(fixtures, version, name)] as const]
      : [],
  ),
)

let stateDir: string
beforeAll(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'golden-'))
  log.warn = () => undefined
})
afterAll(() => rmSync(stateDir, { recursive: true }))

describe('a record of a version before', () => {
  test.each(files)('%s is read, and its DEL is what it was', async (_, file) => {
    const text = readFileSync(file, 'utf8')
    const lines = isOfAttach(file)
      ? restoreLines(attachRecord(file, text))
      : removalLines(offloadRecord(file, text))
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot(file.replace(/\.json$/, '.del'))
  })

  test.each(files)('%s is written as it was read', (_, file) => {
    const text = readFileSync(file, 'utf8')
    const again = isOfAttach(file)
      ? recordText(attachRecord(file, text), attachJournal)
      : recordText(offloadRecord(file, text), offloadJournal)
    expect(JSON.parse(again)).toEqual(JSON.parse(text))
  })

  test('all versions are there, with records of both plugins', () => {
    expect(versions).toContain('a41d2db')
    for (const version of versions) {
      const own = files.filter(([name]) => name.startsWith(version)).map(([, file]) => isOfAttach(file))
      expect([version, own.includes(true), own.includes(false)]).toEqual([version, true, true])
    }
  })
})

test('keys on the disk are those that they were', async () => {
  const keys = [
    ...attachJournal.keys().map((key) => `attach ${key}`),
    ...offloadJournal.keys().map((key) => `offload ${key}`),
    ...[...operationKeys()].flatMap(([name, own]) => [name, ...own.map((key) => `${name} ${key}`)]),
  ]
  await expect(`${keys.toSorted().join('\n')}\n`).toMatchFileSnapshot(join(fixtures, 'keys.txt'))
})

const isOfAttach = (file: string) => basename(file).startsWith('attach-')
const attachRecord = (path: string, text: string) => parseRecord(path, text, attachJournal)
const offloadRecord = (path: string, text: string) => parseRecord(path, text, offloadJournal)

/** A device in the pod, nothing of which is as any record has it. */
function restoreLines({ journal }: PluginRecord<AttachJournal>): string[] {
  const { original, device } = journal
  const changed: VfAttributes = {
    ...{ mac: '02:00:00:00:99:99', vlan: { id: 77, qos: 1, proto: 0x88a8 }, rate: { min: 3, max: 33 } },
    ...{
      spoofchk: original.vf?.spoofchk === false,
      trust: original.vf?.trust === false,
      linkState: 'disable',
    },
  }
  const facts = factsOf({ name: 'net1', altnames: [], mac: '02:00:00:00:99:98', mtu: 1280, up: true })
  const representor = factsOf({ name: 'rep', altnames: [], mac: '02:00:00:00:99:97', mtu: 1281, up: true })
  const live: LiveState = {
    vf:
      original.vf === undefined
        ? undefined
        : {
            ...{ pfName: 'pf0', index: device.vfIndex ?? 0, attributes: changed },
            switchdev: original.switchdev ?? false,
          },
    link: original.link === undefined ? undefined : { side: 'pod', facts: { ...facts, txqlen: 7 } },
    representor: original.representor === undefined ? undefined : { link: representor, master: 'br9' },
    ...{ taken: new Set(), homeIfindex: 44 },
  }
  const { carried, tuning, settings, ...rest } = journal
  return [
    ...planRestore(journal, live, true).map(commandLine),
    // What a give-back goes by, beside the operations above.
    ...(carried?.items ?? []).map(({ what, words }) => `${what} ${words}`),
    ...(carried?.vlans ?? []).map((vlan) => `vlan ${JSON.stringify(vlan)}`),
    ...Object.entries({ ...tuning?.ethtool, ...tuning?.files, ...settings }).map((pair) => pair.join(' ')),
    ...Object.keys(rest.original.link?.traits ?? {}).map((name) => `trait ${name}`),
  ]
}

/** The way back of each operation of the record, and what a DEL does on a node that has its reservation. */
function removalLines(record: PluginRecord<OffloadJournal>): string[] {
  const { journal, owner } = record
  const filters = journal.rules.map(({ rule, handle }): Op => {
    return { do: 'steer.add', rule, offload: 'prefer', ...(handle === undefined ? {} : { handle }) }
  })
  const done = [...journal.ops, ...filters, ...(journal.limits ?? []).flatMap(({ ops }) => ops)]
  const lines = done.flatMap((op) => {
    const back = invert(op)
    return back === undefined ? [] : [commandLine(back)]
  })
  const folder = mkdtempSync(join(stateDir, 'node-'))
  const node = new Node(join(folder, 'shared'))
  node.boot = owner.bootId
  node.ports.add(identityOf(owner, (text) => node.sha256(text)).cookie)
  const store = offloadRecords(folder, 'offload')
  store.write(owner.network, record)
  const variables = {
    CNI_COMMAND: 'DEL',
    CNI_NETNS: '',
    CNI_CONTAINERID: owner.containerID,
    CNI_IFNAME: owner.ifname,
  }
  // The node knows no card: what is set on one is in the lines above alone.
  try {
    offloadDel(node, 'vf-offload')(requestOf({ stateDir: folder, name: owner.network }, variables))
  } catch (error) {
    expect(error).toMatchObject({ code: 103 })
  }
  return [...lines, `DEL takes from a node that has the reservation alone: ${node.steps.join(', ')}`]
}
