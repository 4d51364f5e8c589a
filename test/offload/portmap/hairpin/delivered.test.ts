// CHECK says when a card takes frames by hairpin filters and the pod does not get them.
import { expect, test } from 'vitest'
import type { Kernel } from '../../../../src/kernel/api/kernel.ts'
import type { LinkCounters } from '../../../../src/kernel/api/links.ts'
import type { Port } from '../../../../src/offload/port/port.ts'
import { receivedBy, undelivered } from '../../../../src/offload/portmap/hairpin/delivered.ts'
import type { FlowFilter } from '../../../../src/ops/op.ts'
import { emptyJournal, type OffloadJournal } from '../../../../src/records/offload.ts'

const rule: FlowFilter = { link: 'pf0', prio: 1, address: '10.1.0.1', proto: 'tcp', port: 80, cookie: '7666' }
const entry = { line: 'tc', where: 'nic', mapping: 'tcp 80 -> 80', prio: 1, handle: 1 } as const
const uplink = { name: 'pf0', ifindex: 2, vfs: new Map([[3, {}]]) }
const vfPort = {
  kind: 'legacy',
  name: 'net1',
  vf: { pf: 'p', index: 3 },
  wire: { uplink },
} as unknown as Port
const nicPort = { ...vfPort, kind: 'nic', vf: undefined } as Port

const counters = (packets: number | undefined, dropped = 0): LinkCounters | undefined =>
  packets === undefined
    ? undefined
    : {
        received: { packets: BigInt(packets), bytes: 0n },
        sent: { packets: 0n, bytes: 0n },
        dropped: BigInt(dropped),
      }

/** A kernel whose filters have taken so many frames each, with what the PF and the pod's interface count. */
const kernelOf = (taken: number, byPf: number | undefined, byPod: number | undefined, dropped = 0) =>
  ({
    filterCounters: (rules: readonly unknown[]) =>
      rules.map(() => ({
        inHw: true,
        hardware: { packets: BigInt(taken), bytes: 0n },
        software: { packets: 0n, bytes: 0n },
      })),
    vfCounters: () => counters(byPf, dropped),
    linkCounters: () => counters(byPod, dropped),
  }) as unknown as Kernel

const sentences = (kernel: Kernel, received: OffloadJournal['received'], port = vfPort, rules = [rule]) => [
  ...undelivered(
    { kernel },
    { ...emptyJournal, rules: rules.map((one) => ({ ...entry, rule: one })), ...(received && { received }) },
    port,
  ),
]

test('frames that the card took and the VF has not received', () => {
  expect(sentences(kernelOf(20, 105, 0), { byPf: 100, byPod: 0 })).toEqual([
    'filters in the NIC have taken 20 frames since ADD and VF 3 of "pf0" has received 5: the card does not deliver what it sends back by "pf0"; use legacyOffload "off"',
  ])
  expect(sentences(kernelOf(20, 105, 0), { byPf: 100, byPod: 0 }, vfPort, [rule, rule])[0]).toContain(
    '40 frames',
  )
})

test('frames that have come, or for which the VF had no room', () => {
  expect(sentences(kernelOf(20, 120, 0), { byPf: 100, byPod: 0 })).toEqual([])
  expect(sentences(kernelOf(20, 110, 0, 10), { byPf: 100, byPod: 0 })).toEqual([])
})

test('a PF that does not count for its VFs: the interface in the pod tells, as for a NIC of its own', () => {
  expect(sentences(kernelOf(20, undefined, 50), { byPod: 40 })[0]).toContain('VF 3 of "pf0" has received 10')
  expect(sentences(kernelOf(20, undefined, 60), { byPod: 40 })).toEqual([])
  expect(sentences(kernelOf(20, 1000, 50), { byPod: 40 }, nicPort)[0]).toContain(
    '"net1" in the pod has received 10',
  )
  // Counters of VFs that were all zero at ADD count from zero.
  expect(sentences(kernelOf(20, 10, 1000), { byPod: 40 })[0]).toContain('has received 10')
})

test('nothing to compare: no such filter, no counters at ADD, counters that have begun anew', () => {
  expect(sentences(kernelOf(20, 0, 0), undefined)).toEqual([])
  expect(sentences(kernelOf(20, undefined, 5), { byPod: 40 })).toEqual([])
  expect(sentences(kernelOf(20, undefined, undefined), { byPod: 40 })).toEqual([])
  const other = { ...rule, out: { link: 'rep', ifindex: 7 } }
  expect(sentences(kernelOf(20, 0, 0), { byPf: 0, byPod: 0 }, vfPort, [other])).toEqual([])
})

test('the counters at ADD: of PF and pod, without a VF of the pod alone', () => {
  expect(receivedBy(kernelOf(0, 7, 8, 2), vfPort)).toEqual({ byPf: 9, byPod: 10 })
  expect(receivedBy(kernelOf(0, undefined, 8), vfPort)).toEqual({ byPod: 8 })
  expect(receivedBy(kernelOf(0, 7, undefined), nicPort)).toEqual({})
})
