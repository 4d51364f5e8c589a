// The model of random sequences of vf-attach finds each kind of violation.
import { describe, expect, test } from 'vitest'
import type { JobAnswer, LookAnswer, Place } from './script.ts'
import { seedOf } from './seed.ts'
import { vethKind, vethPlaces, vfKind } from './sequence-devices.ts'
import { judgeSequence } from './sequence-model.ts'
import { type Act, type Container, jobOf, planSequence, type Sequence } from './sequence-plan.ts'

const pci = '0000:01:10.0'
const place: Place = { pf: 'eth1', vfs: [{ index: 0, pci }], devices: [], network: 'soak-0' }
const [one, two]: [Container, Container] = [
  { id: 'one', pod: 'pod-one', config: {} },
  { id: 'two', pod: 'pod-two', config: {} },
]
const netdev = { ifname: 'eth2', flags: ['BROADCAST'], address: '02:00:00:00:00:01', parentdev: pci }
const clean: LookAnswer = {
  do: 'look',
  vfinfo: { 0: { vf: 0, address: '00:00:00:00:00:00', trust: false } },
  host: [netdev],
  pods: { 'pod-one': { id: '4:1', links: [] }, 'pod-two': { id: '4:2', links: [] } },
  records: {},
  addresses: {},
  text: '',
}
const owned: LookAnswer = {
  ...clean,
  host: [],
  pods: { ...clean.pods, 'pod-one': { id: '4:1', links: [{ ...netdev, ifname: 'net1' }] } },
  records: record(one, '4:1'),
}
const success = { do: 'call', code: 0, signal: null, stderr: '' } as const
const add: Act = { do: 'ADD', container: one, device: pci, hurt: undefined }

function record(container: Container, netnsCookie: string, subject = pci): Record<string, string> {
  const owner = { network: 'soak-0', netns: `/run/netns/${container.pod}`, netnsCookie }
  return { [`${subject} ${container.id}@net1.json`]: JSON.stringify({ phase: 'attached', owner }) }
}

function judge(acts: readonly Act[], steps: readonly JobAnswer['answers'][number][], last = clean) {
  const sequence: Sequence = { seed: 1, place, kind: vfKind, acts, containers: [one, two], end: 'DEL' }
  const answers = [{ do: 'sh', stdout: '' } as const, clean, ...steps, success, last]
  return judgeSequence(sequence, { id: '1', answers, ms: 1 })
}

describe('the model of sequences', () => {
  test('has nothing against an ADD that owns, and an end that is clean', () => {
    const { violations, left, ended } = judge([add], [success, owned])
    expect(violations).toEqual([])
    expect(left).toEqual({ devices: 0, addresses: 0, records: 0 })
    expect(ended).toEqual({ succeeded: 2, failed: 0, killed: 0 })
  })

  test('has something against a pod whose own interface was taken for the device', () => {
    const alike = { ifname: 'alike', ifindex: 7, flags: [] }
    const before = { ...clean, pods: { ...clean.pods, 'pod-one': { id: '4:1', links: [alike] } } }
    const acts: Act[] = [
      { do: 'alike', container: one, device: pci },
      { ...add, do: 'DEL' },
    ]
    const sh = { do: 'sh', stdout: '' } as const
    expect(judge(acts, [sh, before, success, before]).violations).toEqual([])
    const { violations } = judge(acts, [sh, before, success, clean])
    expect(violations).toEqual([expect.stringContaining('its own alike became undefined')])
  })

  test('lets CHECK complain of a config that asks for another VF than the attachment has', () => {
    const refused = { ...success, code: 1, object: { code: 11 } }
    const check: Act = { do: 'CHECK', container: one, device: pci, hurt: undefined }
    const complaint = { ...success, code: 1, object: { code: 104 } }
    const acts: Act[] = [add, { ...add, device: '0000:01:10.2' }, check]
    expect(judge(acts, [success, owned, refused, owned, complaint, owned]).violations).toEqual([])
  })

  const second: Act = { do: 'ADD', container: two, device: pci, hurt: undefined }
  const twice = { ...owned, records: { ...owned.records, ...record(two, '4:2') } }
  const robbed = { ...owned, pods: clean.pods, host: [{ ...netdev, ifname: 'net1' }] }
  const changed = { ...clean, vfinfo: { 0: { ...clean.vfinfo[0], trust: true } } }
  test.each<[string, RegExp, readonly Act[], Parameters<typeof judge>[1], LookAnswer?]>([
    ['two owners', /has several records/, [add, second], [success, owned, success, twice]],
    [
      'a VF that is given away twice',
      /succeeded though somebody owns/,
      [add, second],
      [success, owned, success, owned],
    ],
    [
      'a pod that is robbed by another one',
      /one, which owns/,
      [add, second],
      [success, owned, { ...success, code: 1, object: { code: 11 } }, robbed],
    ],
    [
      'a lost record',
      /lost its record/,
      [add, { do: 'GC', valid: [], hurt: undefined }],
      [success, owned, { ...success, code: 1, object: { code: 103 } }, clean],
    ],
    [
      'a GC that is silent about a pod that lives',
      /is silent/,
      [add, { do: 'GC', valid: [], hurt: undefined }],
      [success, owned, success, owned],
    ],
    ['a refusal without reason', /: failed/, [add], [{ ...success, code: 1, object: { code: 102 } }, clean]],
    [
      "nobody's VF that is not as before",
      /nobody's/,
      [add],
      [{ ...success, code: 1, object: { code: 11 } }, changed],
    ],
    [
      'a CHECK that fails without reason',
      /failed though nothing/,
      [add, { do: 'CHECK', container: one, device: pci, hurt: undefined }],
      [success, owned, { ...success, code: 1, object: { code: 104 } }, owned],
    ],
    ['a record that is left', /in the end: record left/, [add], [success, owned], owned],
    ['a VF that is left', /in the end: .*trust/, [add], [success, owned], changed],
    [
      'an address that is left',
      /in the end: address left/,
      [add],
      [success, owned],
      { ...clean, addresses: { '10.77.0.2': 'one\r\nnet1' } },
    ],
  ])('finds %s', (_, words, acts, steps, last) => {
    expect(judge(acts, steps, last).violations.join('\n')).toMatch(words)
  })
})

describe('the model of sequences, of software interfaces', () => {
  const [own] = vethPlaces(1, 1)
  if (own === undefined) throw new Error('no place')
  const [device = ''] = vethKind.devices(own)
  const veth = { ...netdev, ifname: device, ifalias: device, parentdev: '' }
  const before: LookAnswer = { ...clean, vfinfo: {}, host: [veth] }
  const after: LookAnswer = {
    ...before,
    host: [],
    pods: { ...before.pods, 'pod-one': { id: '4:1', links: [{ ...veth, ifname: 'net1' }] } },
    records: record(one, '4:1', `netdev:${device}`),
  }
  const lost = { ...after, pods: before.pods }
  const next: Container = { ...two, pod: 'pod-two' }
  const added: Act = { do: 'ADD', container: one, device, hurt: undefined }
  const dies: Act = { do: 'die', container: one, next }
  const judgeOwn = (acts: readonly Act[], steps: Parameters<typeof judge>[1], last = before) => {
    const containers = [one, next]
    const sequence: Sequence = { seed: 1, place: own, kind: vethKind, acts, containers, end: 'DEL' }
    const answers = [{ do: 'sh', stdout: '' } as const, before, ...steps, success, last]
    return judgeSequence(sequence, { id: '1', answers, ms: 1 })
  }
  const died: LookAnswer = {
    ...before,
    pods: { 'pod-two': { id: '4:2', links: [] } },
    records: after.records,
  }
  const told = { do: 'sh', stdout: '' } as const

  test('has nothing against an interface that died with its namespace and was made anew', () => {
    const steps = [success, after, told, died]
    expect(judgeOwn([added, dies], steps)).toMatchObject({ violations: [], left: { devices: 0 } })
  })

  test.each<[string, RegExp, readonly Act[], Parameters<typeof judge>[1], LookAnswer?]>([
    ['an interface that a pod has not got', /the pod has no interface/, [added], [success, lost]],
    [
      'an interface in a pod without a record',
      /has "net1" and no record/,
      [added],
      [success, { ...after, records: {} }],
    ],
    [
      'an interface that is gone',
      /in the end: /,
      [added, dies],
      [success, after, told, died],
      { ...before, host: [] },
    ],
    [
      "nobody's interface that is not as before",
      /nobody's soakq0n0/,
      [{ do: 'DEL', container: one, device, hurt: undefined }],
      [success, { ...before, host: [{ ...veth, mtu: 1400 }] }],
    ],
  ])('finds %s', (_, words, acts, steps, last) => {
    expect(judgeOwn(acts, steps, last).violations.join('\n')).toMatch(words)
  })
})

describe('planSequence', () => {
  test('makes the same sequence of the same seed, and another one of the next', () => {
    const text = (seed: number) => JSON.stringify(jobOf(planSequence(seed, place, vfKind)))
    expect(text(7)).toBe(text(7))
    expect(text(7)).not.toBe(text(8))
  })

  test('makes all kinds of acts', () => {
    const kinds = Array.from({ length: 50 }, (_, seed) => planSequence(seed, place, vfKind).acts).flat()
    for (const kind of ['ADD', 'DEL', 'CHECK', 'GC', 'alike', 'die'])
      expect(kinds.some((act) => act.do === kind)).toBe(true)
    expect(kinds.some((act) => 'hurt' in act && act.hurt !== undefined)).toBe(true)
    expect(kinds.some((act) => act.do === 'DEL' && act.atHost === true)).toBe(true)
  })
})

describe('seedOf', () => {
  test('takes VF_SOAK_SEED, else a seed of its own, and refuses what is none', () => {
    expect(seedOf({ VF_SOAK_SEED: '42' })).toBe(42)
    expect(seedOf({})).toBeGreaterThanOrEqual(0)
    expect(() => seedOf({ VF_SOAK_SEED: '-1' })).toThrow('Cannot use VF_SOAK_SEED "-1"')
  })
})
