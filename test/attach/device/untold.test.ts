// What a restore leaves alone: programs of which nothing tells whose they are, and the part of an address that a driver chooses.

import { expect, test } from 'vitest'
import type { LiveState } from '../../../src/attach/device/live-state.ts'
import { dirtOf, untoldPrograms } from '../../../src/attach/device/residue.ts'
import { planRestore } from '../../../src/attach/plan/restore.ts'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { AttachJournal } from '../../../src/records/attach.ts'
import { factsOf } from '../model.ts'

const link = { name: 'nic0', altnames: [], mac: '02:00:00:00:00:33', mtu: 1500, up: false }
const at = (more: Partial<LinkFacts>): LiveState => ({
  ...{ vf: undefined, representor: undefined, taken: new Set() },
  link: { side: 'host', facts: { ...factsOf(link), ...more } },
})
const software: AttachJournal = {
  device: { id: 'netdev:nic0', parents: [], kind: 'veth' },
  original: { link },
}
const id = '0000:3b:02.3'
const hardware: AttachJournal = { device: { id, pci: id, parents: [id] }, original: { link } }

test('programs stay on software where the record does not tell which were there before', () => {
  const state = at({ xdp: [7], xdpIn: [{ mode: 'skb', program: 7 }] })
  expect(planRestore(software, state, false)).toEqual([])
  expect(dirtOf(software, state)).toEqual([])
  expect(untoldPrograms(software, state)).toEqual(['XDP program 7'])
  const told = { ...software, original: { link: { ...link, traits: {} } } }
  expect(planRestore(told, state, false)).toMatchObject([{ do: 'program.detach', program: 7 }])
  expect(untoldPrograms(told, state)).toEqual([])
  // The driver of hardware begins anew before the next pod has it.
  expect(planRestore(hardware, state, false)).toMatchObject([{ do: 'program.detach', program: 7 }])
})

test('IPoIB has another queue pair after its driver has begun anew: that is no other address', () => {
  const port = 'fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:00:01'
  const journal = { ...hardware, original: { link: { ...link, mac: `80:00:02:08:${port}` } } }
  expect(planRestore(journal, at({ mac: `80:00:00:4a:${port}` }), false)).toEqual([])
})

test('a PF that reports the MAC that its VF has chosen is told by the VF first, and set only where that does not help', () => {
  const { mac } = link
  const journal = { ...hardware, original: { link, vf: { mac } } }
  const state = (own: string, reported: string): LiveState => ({
    ...at({ mac: own }),
    vf: { pfName: 'pf0', index: 3, attributes: { mac: reported }, switchdev: false },
  })
  const other = '02:00:00:00:00:99'
  const telling = { do: 'link.set', set: { mac } }
  const setting = { do: 'vf.set', set: { mac } }
  expect(planRestore(journal, state(other, other), true)).toMatchObject([telling])
  expect(planRestore(journal, state(mac, mac), false)).toEqual([])
  expect(planRestore(journal, state(mac, other), false)).toMatchObject([setting])
  expect(planRestore({ ...journal, macSet: true }, state(other, other), true)).toMatchObject([
    setting,
    telling,
  ])
})

test('an administrative MAC that the VF did not use is lifted where a driver that was bound anew has taken it, too', () => {
  const { mac } = link
  const given = '02:00:00:00:00:77'
  const journal = { ...hardware, original: { link, vf: { mac: given } } }
  const state = (own: string): LiveState => ({
    ...at({ mac: own }),
    vf: { pfName: 'pf0', index: 3, attributes: { mac: given }, switchdev: false },
  })
  expect(planRestore(journal, state(mac), true)).toEqual([])
  expect(planRestore(journal, state(given), true)).toMatchObject([
    { do: 'vf.set', set: { mac: '00:00:00:00:00:00' } },
    { do: 'link.set', set: { mac } },
    { do: 'vf.set', set: { mac: given } },
  ])
})
