// Filters of one form are made from one encoded filter: each request is the one that encoding it by itself makes, and an answer is taken
// without decoding only when every byte of it is as it was asked for.
import { describe, expect, test } from 'vitest'
import { FilterMold, moldsOf } from '../../../src/kernel/tc/filter-mold.ts'
import {
  flowFilterDifferences,
  flowFilterOptions,
  flowFilterPlace,
} from '../../../src/kernel/tc/flow-filter-spec.ts'
import { addFlowFilters } from '../../../src/kernel/tc/flow-filters.ts'
import { leavesOf } from '../../../src/netlink/leaves.ts'
import { newFlower } from '../../../src/netlink/tc/filter.ts'
import { tcMessage } from '../../../src/netlink/tc/msg.ts'
import type { FlowFilter } from '../../../src/ops/op.ts'
import { change, pf, spec, withClsact } from '../flow-filter.ts'
import { type Sched, skipSw } from '../sched.ts'

const encode = (one: FlowFilter) => newFlower(flowFilterPlace(pf, one), flowFilterOptions(pf, one, true))
const v6 = { address: 'fd00:1::1', prio: 11 }
const forms: Readonly<Record<string, FlowFilter>> = {
  'a request to the pod': spec,
  'a reply by another interface': {
    ...spec,
    side: 'src',
    out: { link: 'rep0', ifindex: 9 },
    fragments: 'none',
  },
  'UDP over IPv6 in a VLAN': { ...spec, ...v6, proto: 'udp', vlan: 7, pop: true },
  'a translated request': { ...spec, to: { address: '10.1.0.5', port: 80 } },
  'a translated reply over IPv6': {
    ...spec,
    ...v6,
    side: 'src',
    to: { address: 'fd00:1::5', port: 80 },
    push: 7,
  },
  'a filter of some peers': { ...spec, peer: '10.2.0.0/16' },
  'a limited filter': { ...spec, limiter: 17 },
}
/** Ports of one byte, of two equal bytes, and the extremes. */
const ports = [1, 80, 255, 256, 8080, 0x1f1f, 65535]

describe.each(Object.entries(forms))('the mold of %s', (_, form) => {
  const other = (port: number): FlowFilter =>
    form.to === undefined ? { ...form, port } : { ...form, port, to: { ...form.to, port: port ^ 0x0102 } }

  test('makes the bytes that encoding makes', () => {
    const mold = FilterMold.of(form, encode)
    for (const one of ports.map(other)) {
      expect(mold?.request(one)).toEqual(encode(one))
    }
  })

  test('knows an answer that the kernel gave as asked, and no other one', () => {
    const mold = FilterMold.of(form, encode) as FilterMold
    mold.learn(echoOf(form), form)
    const one = other(4711)
    const echo = echoOf(one)
    expect(mold.handleIn(echo, one)).toBe(77)
    expect(mold.handleIn(echo, other(4712))).toBeUndefined()
    for (let at = 0; at < echo.length; at++) {
      const changed = echo.slice()
      changed[at] = (changed[at] as number) ^ 1
      if (mold.handleIn(changed, one) === undefined) continue
      expect(flowFilterDifferences(pf, one, true, tcMessage.decode(changed)), `byte ${at}`).toEqual([])
    }
  })
})

/** A kernel's answer: the request with a handle, its flags, and indexes of actions that are not asked for by index. */
function echoOf(one: FlowFilter): Uint8Array {
  const stored = tcMessage.decode(encode(one).payload)
  const echo = tcMessage.encode({
    ...change(stored, { TCA_FLOWER_FLAGS: skipSw | 4 }),
    tcm_handle: 77,
  })
  for (const [path, { start }] of leavesOf(tcMessage, echo))
    if (path.endsWith('_PARMS') || path.endsWith('_PARMS_EX')) echo[start] = one.port ?? 1
  return echo
}

describe('filters in one call', () => {
  const wanted = [1, 2, 3, 4, 5].map((port) => ({
    ifindex: pf,
    spec: { ...spec, port },
    offload: 'require' as const,
  }))
  const spoilt = (sched: Sched, flags: number) => {
    let count = 0
    sched.spoil = (filter) => (++count === 4 ? change(filter, { TCA_FLOWER_FLAGS: flags }) : filter)
    return addFlowFilters(sched.socket, wanted)
  }

  test('have a mold for a form that several have', () => {
    const of = (list: readonly FlowFilter[]) =>
      moldsOf(
        list.map((one) => ({ ifindex: pf, spec: one, inHardware: true })),
        (one) => encode(one.spec),
      )
    const many = wanted.map((one) => one.spec)
    expect(new Set(of(many)).size).toBe(1)
    expect(of(many)[0]).toBeInstanceOf(FilterMold)
    expect(of([...many, { ...spec, ...v6 }]).at(-1)).toBeUndefined()
    expect(of(many.slice(0, 3))).toEqual([undefined, undefined, undefined])
  })

  test('lose the one that the kernel has stored otherwise, whatever it did with those before', () => {
    const sched = withClsact(true)
    const results = spoilt(sched, skipSw)
    expect(results[3]).toMatchObject({ name: 'OffloadRefused', message: /in_hw: missing/ })
    expect(results.filter((one) => !(one instanceof Error))).toHaveLength(4)
    expect(sched.filters).toHaveLength(4)
  })

  test('lose none where the kernel has shown one in another way', () => {
    const sched = withClsact(true)
    const results = spoilt(sched, skipSw | 4 | 16)
    expect(results).toEqual([1, 2, 3, 4, 5].map((handle) => ({ where: 'nic', handle })))
  })
})
