// Rates that the chain plugin has set on a VF of vf-attach: CHECK tells them from what a stranger has set.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readAttachConfig } from '../../../src/attach/config/config.ts'
import type { VfFacts } from '../../../src/attach/device/facts.ts'
import { limitsOfChain } from '../../../src/attach/state/offload-limits.ts'
import { pfDifferences } from '../../../src/attach/verbs/check.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import { offloadNames } from '../../../src/offload/config/plugin-names.ts'
import { offloadJournal } from '../../../src/records/offload.ts'
import { recordStore } from '../../../src/records/store.ts'
import { requestOf } from '../../support/request.ts'

const device = '0000:3b:02.1'
let stateDir: string
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'limits-'))
})
afterEach(() => rmSync(stateDir, { recursive: true }))

/** A record as the chain plugin writes it, in which it has set the VF's rates so. */
function limited(folder: string, min: number, max: number, bootId = 'boot-1') {
  const owner = {
    ...{ containerID: 'container', ifname: 'net1', network: 'net', netns: '', netnsId: '4:1', bootId },
  }
  const set = { rate: { min, max } }
  const op = { do: 'vf.set', pf: 'pf0', vf: 3, set, was: { rate: { min: 0, max: 200 } } } as const
  const limits = [{ direction: 'fromPod' as const, rate: 1, burst: 1, ops: [op] }]
  const journal = { device, keys: [], ops: [], rules: [], notes: [], limits }
  const store = recordStore(stateDir, folder, offloadJournal)
  return store.write('net', { schema: 1, plugin: 'vf-offload', phase: 'attached', owner, journal })
}

/** The answer of CHECK for a VF that is to have 200 Mbit/s at most and at least `least`. */
function differences(now: { min: number; max: number }, least = 0): string[] {
  const request = requestOf({ deviceID: device, stateDir, max_tx_rate: 200, min_tx_rate: least })
  const vf = { index: 3, pfName: 'pf0', attributes: { rate: now } } as unknown as VfFacts
  const journal = { device: { id: device, pci: device, parents: [device] }, original: { vf: {} } }
  const others = () => limitsOfChain(stateDir, 'boot-1', request, device)
  return [...pfDifferences({} as Kernel, journal, readAttachConfig(request), vf, others)]
}

test('a MAC that its program has chosen is no difference where the PF trusts the VF', () => {
  const request = requestOf({ deviceID: device, mac: '02:00:00:00:00:01' })
  const journal = { device: { id: device, pci: device, parents: [device] }, original: { vf: {} } }
  const macs = (trust: boolean, userspace?: boolean) => {
    const vf = { index: 3, pfName: 'pf0', attributes: { mac: '02:00:00:00:00:02', trust } }
    const facts = vf as unknown as VfFacts
    return [...pfDifferences({} as Kernel, journal, readAttachConfig(request), facts, () => [], userspace)]
  }
  expect(macs(true, true)).toEqual([])
  for (const found of [macs(false, true), macs(true), macs(true, false)])
    expect(found).toEqual(['VF 3 of "pf0" has mac 02:00:00:00:00:02, not 02:00:00:00:00:01'])
})

test('without a record of a limit another rate is a difference', () => {
  expect(differences({ min: 0, max: 200 })).toEqual([])
  expect(differences({ min: 0, max: 99 })).toEqual([
    'VF 3 of "pf0" has rate {"min":0,"max":99}, not {"min":0,"max":200}',
  ])
})

test.each(['offload', 'bandwidth'])(
  'the rate that a record in %s explains is none, with its least rate',
  (folder) => {
    limited(folder, 0, 99)
    expect(differences({ min: 0, max: 99 })).toEqual([])
    // A guaranteed rate above the limit gives way to it.
    expect(differences({ min: 0, max: 99 }, 150)).toEqual([])
    expect(differences({ min: 0, max: 98 })).toHaveLength(1)
    expect(differences({ min: 5, max: 99 })).toHaveLength(1)
  },
)

test('a record of another boot, or one that can not be read, explains nothing', () => {
  const { path } = limited('offload', 0, 99, 'boot-0')
  expect(differences({ min: 0, max: 99 })).toHaveLength(1)
  writeFileSync(path, '{')
  expect(differences({ min: 0, max: 99 })).toHaveLength(1)
})

test('the folders are those in which the chain plugin keeps limits', () => {
  expect(offloadNames).toEqual(['vf-offload', 'portmap', 'bandwidth'])
})
