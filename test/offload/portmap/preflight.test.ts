// Conflicts on an uplink are found before the first change: filters, programs and modes of others.
import { expect, describe as group, test } from 'vitest'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { Conflict } from '../../../src/kernel/api/filters.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import type { PortKind } from '../../../src/offload/port/kinds.ts'
import type { Port } from '../../../src/offload/port/port.ts'
import type { OffloadPlan } from '../../../src/offload/portmap/plan.ts'
import { refuseTaken, runPreflight } from '../../../src/offload/portmap/preflight.ts'
import type { FlowFilter } from '../../../src/ops/op.ts'
import { refusalOf } from '../../support/request.ts'

const link = (name: string, ifindex: number, more: Partial<LinkFacts> = {}) =>
  ({ name, ifindex, xdp: [], slaveKind: undefined, ...more }) as unknown as LinkFacts
const rule = (ifindex: number): FlowFilter => ({
  ...{ link: 'x', ifindex, prio: 10, address: '10.1.0.1', proto: 'tcp', port: 80, cookie: '7666' },
})
const plans = [{ groups: [{ mapping: 'm', rules: [rule(2), rule(3)] }] }] as unknown as OffloadPlan[]
const conflict = (name: string, more: Partial<Conflict> = {}): Conflict => ({
  ...{ name, hook: 'filter', software: true, hardware: false, certain: true },
  ...more,
})

/** A kernel with rivals by interface; notes for which rules each was asked. */
function kernelWith(conflicts: Record<number, Conflict[]>, more: Partial<Kernel> = {}) {
  const asked: [number, number][] = []
  const kernel = {
    isVepa: () => false,
    tcOffload: () => 'on',
    conflicts: ({ ifindex }: LinkFacts, specs: readonly FlowFilter[]) => {
      asked.push([ifindex, specs.length])
      return conflicts[ifindex] ?? []
    },
    ...more,
  } as unknown as Kernel
  return { kernel, asked }
}

function portOf(kind: PortKind, uplink = link('pf0', 2), representor?: LinkFacts): Port {
  const wire = { uplink, representor, vlan: 0, uplinkHasIngress: true, representorHasIngress: true }
  return { kind, wire: kind === 'veth' ? undefined : wire } as unknown as Port
}
const representor = portOf('representor', link('pf0', 2), link('rep0', 3))
const prefer = { offload: 'prefer' } as const

group('what stands in the way', () => {
  test('nothing: each interface is asked about its own rules', () => {
    const { kernel, asked } = kernelWith({})
    expect(runPreflight(kernel, prefer, representor, plans)).toMatchObject({
      notes: [],
      software: undefined,
    })
    expect(asked).toEqual([
      [2, 1],
      [3, 1],
    ])
  })

  test('a veth has no uplink to look at', () => {
    const { kernel, asked } = kernelWith({})
    expect(runPreflight(kernel, prefer, portOf('veth'), [])).toMatchObject({ notes: [] })
    expect(asked).toEqual([])
  })

  test('in software, where nothing else is possible: refused before anything is done', () => {
    const { kernel } = kernelWith({ 2: [conflict('tcx program 7 "x"')] })
    for (const [port, config] of [
      [portOf('legacy'), prefer],
      [portOf('nic'), prefer],
      [representor, { offload: 'off' }],
    ] as const) {
      const error = refusalOf(() => runPreflight(kernel, config, port, plans))
      expect(error.code).toBe(106)
      expect(error.message).toContain('on "pf0": tcx program 7 "x"')
    }
  })

  test('in software, where the NIC may take the rules: it decides', () => {
    const { kernel } = kernelWith({ 3: [conflict('a filter')] })
    const hairpin = plans.map((plan): OffloadPlan => ({ ...plan, way: 'hairpin' }))
    const { kernel: other } = kernelWith({ 2: [conflict('a filter')] })
    expect(runPreflight(other, prefer, portOf('legacy'), hairpin).software).toContain('a filter')
    expect(() => runPreflight(other, { offload: 'off' }, portOf('legacy'), hairpin)).toThrow('a filter')
    const preflight = runPreflight(kernel, prefer, representor, plans)
    expect(preflight).toMatchObject({
      hardware: undefined,
      software: expect.stringContaining('on "rep0": a filter'),
    })
    expect(refusalOf(() => refuseTaken(preflight, 'ENOSPC: full')).message).toContain('said "ENOSPC: full"')
  })

  test('in the NIC, and what nobody can tell', () => {
    const hardware = conflict('its filter', { software: false, hardware: true })
    const { kernel } = kernelWith({ 2: [hardware, conflict('XDP program 9 "y"', { certain: false })] })
    const preflight = runPreflight(kernel, prefer, representor, plans)
    expect(preflight).toMatchObject({ software: undefined, hardware: 'on "pf0": its filter' })
    expect(preflight.notes).toEqual(['may take frames on "pf0" before our rules do: XDP program 9 "y"'])
    expect(() => refuseTaken(preflight, undefined)).not.toThrow()
  })

  test('a port of Open vSwitch; VEPA, which hinders in legacy mode only', () => {
    const ovs = portOf('representor', link('pf0', 2, { slaveKind: 'openvswitch' }), link('rep0', 3))
    expect(refusalOf(() => runPreflight(kernelWith({}).kernel, prefer, ovs, plans))).toMatchObject({
      code: 106,
      message: expect.stringContaining('Open vSwitch'),
    })
    const { kernel } = kernelWith({}, { isVepa: () => true })
    expect(refusalOf(() => runPreflight(kernel, prefer, portOf('legacy'), plans))).toMatchObject({
      code: 106,
      message: expect.stringContaining('must be VEB'),
    })
    expect(() => runPreflight(kernel, prefer, representor, plans)).not.toThrow()
  })

  test('a refusal with hw-tc-offload off says so', () => {
    const off = kernelWith({}, { tcOffload: (ifindex) => (ifindex === 2 ? 'off' : 'on') })
    expect(runPreflight(off.kernel, prefer, representor, plans).explain('EOPNOTSUPP')).toBe(
      'EOPNOTSUPP (hw-tc-offload of "pf0" is off)',
    )
    expect(runPreflight(kernelWith({}).kernel, prefer, representor, plans).explain('EINVAL')).toBe('EINVAL')
  })
  test('a bare EINVAL of ice has the reason that it may have, with the command; words of the driver are enough', () => {
    const known = plans.map((plan): OffloadPlan => ({ ...plan, driver: 'ice' }))
    const { explain } = runPreflight(kernelWith({}).kernel, prefer, representor, known)
    const hint =
      'driver "ice" refuses every filter without a text while the firmware\'s LLDP agent runs (ice_add_cls_flower() of intel/ice/ice_tc_lib.c): if it does, "ethtool --set-priv-flags pf0 fw-lldp-agent off" ends that'
    expect(explain('EINVAL')).toBe(`EINVAL (${hint})`)
    for (const words of ['EINVAL: ice: Unsupported action in switchdev mode', 'EOPNOTSUPP', 'EBUSY'])
      expect(explain(words)).toBe(words)
    const off = kernelWith({}, { tcOffload: () => 'off' })
    expect(runPreflight(off.kernel, prefer, representor, known).explain('EINVAL')).toBe(
      `EINVAL (hw-tc-offload of "pf0" and "rep0" is off; ${hint})`,
    )
  })
})
