// The verbs of vf-attach on a node of one interface: what is written down, locked and freed beside the changes themselves.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { attachPlugin } from '../../src/attach/plugin.ts'
import type { Kernel } from '../../src/kernel/api/kernel.ts'
import type { Machine } from '../../src/kernel/api/machine.ts'
import { attachJournal } from '../../src/records/attach.ts'
import { recordStore } from '../../src/records/store.ts'
import { refusalOf, requestOf } from '../support/request.ts'
import { spawnInNode } from '../support/spawn.ts'
import { factsOf, Model } from './model.ts'

let stateDir: string
let model: Model
/** Called before each change, and before and after what is done under a lock. */
let look: (where: string) => void
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'attach-'))
  const link = { name: 'dev0', altnames: [], mac: '02:00:00:00:00:05', mtu: 1500, up: true }
  model = new Model({ vf: {}, link: { side: 'host', ...link } })
  look = () => undefined
})
afterEach(() => rmSync(stateDir, { recursive: true }))

const pod = '/var/run/netns/pod'
const records = () => recordStore(stateDir, 'attach', attachJournal)

function machine(): Machine {
  const linksOn = (asked: string) => {
    const { side, ...link } = model.state.link
    return asked === side ? [{ ...factsOf(link), parent: undefined, parentBus: undefined, kind: 'veth' }] : []
  }
  const kernel: Partial<Kernel> = {
    run: (op) => {
      look(op.do)
      return model.run(op)
    },
    link: (side, by) => linksOn(side).find((link) => link.name === by || link.ifindex === by),
    links: linksOn,
    lookBeforeMove: () => ({ refusal: undefined, qdiscs: [], isBare: true }),
    settings: () => ({}),
    residue: () => ({ tcx: [] }),
    tuning: () => ({ ethtool: {}, files: {} }),
    tuningOps: () => [],
    podUppers: () => [],
    close: () => undefined,
  }
  return {
    sharedDir: '/nowhere',
    openKernel: () => kernel as Kernel,
    openNetns: (path) => ({ fd: 0, id: '4:1', path, close: () => undefined }),
    withLock: (path, _milliseconds, action) => {
      const name = path.slice(path.lastIndexOf('/') + 1)
      look(`lock ${name}`)
      try {
        return action()
      } finally {
        look(`unlock ${name}`)
      }
    },
    startProgram: spawnInNode,
    bootId: () => 'boot-1',
    sha256: (text) => text,
    sleep: () => undefined,
  }
}

const call = (command: 'ADD' | 'DEL', config: object = {}, variables: Record<string, string> = {}) => {
  const request = requestOf({ device: 'dev0', stateDir, ...config }, { CNI_COMMAND: command, ...variables })
  const plugin = attachPlugin(machine())
  return command === 'ADD' ? plugin.add(request) : plugin.del(request)
}

test('ADD writes the record before it changes anything', () => {
  const phases: unknown[] = []
  look = (where) => {
    if (/lock/.test(where)) return
    const [name] = records().list()
    phases.push(name && records().read(name)?.phase)
  }
  call('ADD')
  expect(phases.length).toBeGreaterThan(1)
  expect(new Set(phases)).toEqual(new Set(['applying']))
  expect(model.state.link).toMatchObject({ side: 'pod', name: 'net1' })
})

test('DEL works under the lock of the device', () => {
  call('ADD')
  const seen: unknown[] = []
  look = (where) => {
    if (/lock/.test(where)) seen.push([where, model.state.link.side, records().list().length])
  }
  call('DEL')
  expect(seen).toEqual([
    ['lock netdev:dev0', 'pod', 1],
    ['unlock netdev:dev0', 'host', 0],
  ])
  expect(model.state.link).toMatchObject({ name: 'dev0', up: true })
})

test('DEL frees the addresses although the device could not be restored', () => {
  call('ADD')
  const [log, ledger] = [join(stateDir, 'log'), join(stateDir, 'ledger')]
  writeFileSync(ledger, `#!/bin/sh\ncat >/dev/null\necho $CNI_COMMAND >>${log}\n`)
  chmodSync(ledger, 0o755)
  writeFileSync(log, '')
  look = (where) => {
    if (where === 'link.move') throw new Error('no')
  }
  const refusal = refusalOf(() =>
    call('DEL', { ipam: { type: 'ledger' } }, { CNI_PATH: stateDir, CNI_NETNS: pod }),
  )
  expect(refusal.code).toBe(103)
  expect(readFileSync(log, 'utf8')).toBe('DEL\n')
  expect(records().list()).toHaveLength(1)
})
