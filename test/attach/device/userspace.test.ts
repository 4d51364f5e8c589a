// What is to be done to cut a VF's program off, and what ADD says of a PF that is down. That it is done: test/lab/attach/open.test.ts.

import { expect, test } from 'vitest'
import type { AttachFacts } from '../../../src/attach/device/facts.ts'
import type { LiveState } from '../../../src/attach/device/live-state.ts'
import { holderWords, pfDownWarnings, planCutOff } from '../../../src/attach/device/userspace.ts'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { VfAttributes } from '../../../src/ops/op.ts'
import { factsOf } from '../model.ts'

const rep = (up: boolean): LinkFacts => factsOf({ name: 'pf0vf3', altnames: [], mac: '', mtu: 1500, up })

const live = (attributes: VfAttributes, representor?: LinkFacts): LiveState => ({
  vf: { pfName: 'pf0', index: 3, attributes, switchdev: representor !== undefined },
  representor: representor === undefined ? undefined : { link: representor, master: undefined },
  ...{ link: undefined, taken: new Set<string>() },
})

const disable = {
  ...{ do: 'vf.set', pf: 'pf0', vf: 3 },
  ...{ set: { linkState: 'disable' }, was: { linkState: 'auto' } },
}

test('a program is cut off by the link of its VF, and by its representor', () => {
  expect(planCutOff(live({ linkState: 'auto', vlan: { id: 9, qos: 0, proto: 0x8100 } }))).toEqual([disable])
  expect(planCutOff(live({ linkState: 'auto' }, rep(true)))).toEqual([
    disable,
    { do: 'link.set', side: 'host', name: 'pf0vf3', ifindex: 7, set: { up: false }, was: { up: true } },
  ])
})

test('nothing is left to do where it is cut off, where its PF reports no link state, and without its PF', () => {
  expect(planCutOff(live({ linkState: 'disable' }, rep(false)))).toEqual([])
  expect(planCutOff(live({ mac: '02:00:00:00:00:01' }))).toEqual([])
  expect(planCutOff({ ...live({}), vf: undefined })).toEqual([])
})

test('a PF that is down is named to those whose VF a program drives', () => {
  const vf = { pfName: 'pf0', pfUp: false } as NonNullable<AttachFacts['vf']>
  const facts = { device: { id: '0000:3b:02.3' }, vf, port: undefined } as AttachFacts
  expect(pfDownWarnings(facts)).toEqual([
    'PF "pf0" is down: until it is up, the program of "0000:3b:02.3" is not told its MAC address and may use any',
  ])
  expect(pfDownWarnings({ ...facts, vf: { ...vf, pfUp: true } })).toEqual([])
  expect(pfDownWarnings({ ...facts, port: { link: rep(true), master: undefined } })).toEqual([])
  expect(pfDownWarnings({ ...facts, vf: undefined })).toEqual([])
})

test('who has it open is named, or that nobody can be seen', () => {
  const sign = 'its device is enabled'
  expect(holderWords({ sign, process: { pid: 812, comm: 'dpdk-testpmd' } })).toBe(
    'process 812 (dpdk-testpmd) has it open',
  )
  expect(holderWords({ sign, process: undefined })).toContain(`(${sign})`)
})
