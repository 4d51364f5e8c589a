// A note remembers hardware that was in a pod, and tells which settings DEL may put back once the driver has started anew.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AttachFacts } from '../../../src/attach/device/facts.ts'
import {
  formerOf,
  noteAnew,
  noteHome,
  noteReturn,
  noteUse,
  podNotePrefix,
  wasInPod,
  withFormerNumber,
  withoutPods,
  withoutResidue,
} from '../../../src/attach/device/pod-had-note.ts'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import type { Machine } from '../../../src/kernel/api/machine.ts'
import type { PciAddress } from '../../../src/lib/pci-address.ts'
import type { PciFunction } from '../../../src/nic/pci.ts'
import type { AttachJournal } from '../../../src/records/attach.ts'
import { factsOf } from '../model.ts'

/** No machine has a domain of that number. */
const id = 'fffe:ff:02.3' as PciAddress
const mac = '02:00:00:00:00:01'
const pci: PciFunction = {
  ...{ address: id, driver: 'igbvf', userspace: false, netdevs: ['eth9'], parents: [id] },
  vf: { pf: 'fffe:ff:00.0' as PciAddress, index: 3 },
}
const link = factsOf({ name: 'eth9', altnames: ['evil'], mac, mtu: 1500, up: false })
const occupied = 'a macvlan in another namespace lies on it'
const factsWith = (more: Partial<PciFunction> = {}, its: Partial<LinkFacts> = {}): AttachFacts => ({
  device: { id, pci: { ...pci, ...more }, parents: [id], netdevs: ['eth9'] },
  vf: undefined,
  port: { link: { ...link, ...its }, master: undefined, residue: { tcx: [], occupied } },
})
const facts = factsWith()
const own = { name: 'eth9', mac, mtu: 1500, up: false }
const tuning = { ethtool: { features: '00000000' }, files: {} }
const journal: AttachJournal = {
  device: { id, pci: id, parents: [id], driver: 'igbvf', ifindex: 7 },
  original: {
    link: {
      ...own,
      altnames: ['evil'],
      alias: 'bad',
      promisc: true,
      traits: { flags: 0x80 },
      promiscuity: 1,
    },
  },
  tuning,
}

let folder: string
let machine: Machine
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'note-'))
  machine = { sharedDir: folder } as Partial<Machine> as Machine
})
afterEach(() => rmSync(folder, { recursive: true }))

test('wasInPod is true from the first use until the driver begins anew, and fails nobody', () => {
  expect(wasInPod(folder, id)).toBe(false)
  noteUse(machine, facts)
  expect(wasInPod(folder, id)).toBe(true)
  noteHome(machine, journal, true)
  expect(wasInPod(folder, id)).toBe(true)
  noteAnew(machine, id, 7)
  expect(wasInPod(folder, id)).toBe(false)
  expect(wasInPod('/dev/null', id)).toBe(false)
})

describe('hardware that was in a pod', () => {
  test('and of which no record tells all: what it has is a pod’s', () => {
    expect(formerOf(machine, facts)).toBeUndefined()
    noteUse(machine, facts)
    expect(formerOf(machine, facts)).toBe('used')
    expect(withoutResidue(machine, facts).port).not.toHaveProperty('residue')
    const bare = withoutPods(journal, 'used')
    expect(bare).toEqual({ device: journal.device, original: { link: { ...own, altnames: [] } } })
    // sriov-cni and former versions wrote nothing down of traits.
    noteHome(machine, bare, true)
    expect(formerOf(machine, facts)).toBe('used')
  })

  test('and came home as before: what it has is its own, and what lies on it is somebody else’s', () => {
    noteReturn(machine, journal, pci)
    noteHome(machine, journal, true)
    expect(formerOf(machine, facts)).toBe('home')
    expect(withoutResidue(machine, facts).port?.residue?.occupied).toBe(occupied)
    expect(withoutPods({ ...journal, macSet: true }, 'home')).toEqual(journal)
  })

  test('and came home with rings or features of the pod: these alone are not put back', () => {
    noteUse(machine, facts)
    noteHome(machine, journal, false)
    expect(formerOf(machine, facts)).toBe('untuned')
    expect(withoutPods(journal, 'untuned')).toEqual({ device: journal.device, original: journal.original })
    expect(withoutResidue(machine, facts).port?.residue?.occupied).toBe(occupied)
  })

  test('and has started anew since is new; its former number counts as long as its driver has not begun again', () => {
    const free = { link: () => undefined } as Partial<Kernel> as Kernel
    const number = () => withFormerNumber(machine, free, facts, journal).device.ifindex
    noteUse(machine, facts)
    noteAnew(machine, id, 31)
    noteHome(machine, journal, true)
    expect(formerOf(machine, facts)).toBeUndefined()
    expect(number()).toBe(31)
    writeFileSync(join(folder, `${podNotePrefix}${id}`), 'anew 31 4711')
    expect(number()).toBe(7)
  })
})

describe('not started anew, so that nothing is noted', () => {
  const infiniband = Array.from({ length: 20 }, () => '80').join(':')
  test.each([
    [
      'a function with an RDMA device, whose number the pod may have been promised',
      factsWith({ rdma: true }),
    ],
    ['IPoIB, which would get another address', factsWith({}, { mac: infiniband })],
    ['a PF that has VFs', factsWith({ sriovNumvfs: 2 })],
    ['one of several interfaces', { ...facts, device: { ...facts.device, id: 'netdev:eth9' } }],
  ])('%s', (_, one) => {
    noteUse(machine, one)
    expect(formerOf(machine, one)).toBeUndefined()
    expect(withoutResidue(machine, one)).toBe(one)
  })
})
