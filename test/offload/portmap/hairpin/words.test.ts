// A port without a representor is offered to a NIC where the user asks for it and the driver is known to take it; else it is said why not.
import { expect, test } from 'vitest'
import type { Port } from '../../../../src/offload/port/port.ts'
import { hairpinNote, unaskedWhy, unprovenNote } from '../../../../src/offload/portmap/hairpin/words.ts'

const portOf = (kind: Port['kind']) =>
  ({ kind, name: 'net1', wire: { uplink: { name: 'pf0', ifindex: 2 } } }) as unknown as Port
const why = (kind: Port['kind'], driver: string | undefined, legacyOffload: 'off' | 'try') =>
  unaskedWhy({ legacyOffload }, portOf(kind), driver)

test.each([
  ['legacy', 'mlx5_core'],
  ['nic', 'mlx5_core'],
  ['nic', 'cxgb4'],
] as const)('%s, driver %s: asked with "try", which is said without', (kind, driver) => {
  expect(why(kind, driver, 'try')).toBeUndefined()
  expect(why(kind, driver, 'off')).toMatch(
    new RegExp(
      `^${kind === 'nic' ? '"net1" is a NIC of its own' : 'the eSwitch of "pf0" is in legacy mode'}, where driver "${driver}" takes .*\\(\\w+\\(\\) of .*\\).* no card was seen to deliver .*: legacyOffload "try" offers such filters$`,
    ),
  )
})

test.each([
  ['legacy', 'cxgb4', '"cxgb4"'],
  ['legacy', 'igb', '"igb"'],
  ['nic', 'ice', '"ice"'],
  ['nic', undefined, 'none'],
] as const)('%s, driver %s: never asked, and with "try" the driver is named', (kind, driver, named) => {
  expect(why(kind, driver, 'off')).toMatch(
    /, where no filter is offered to the NIC: .* no card was seen to deliver/,
  )
  expect(why(kind, driver, 'try')).toContain(
    `legacyOffload "try" offers nothing to its driver: ${named} is not known to take a filter that sends a frame back`,
  )
})

test('never asked where another system manages the eSwitch, whatever its driver is known to take', () => {
  const { wire, ...port } = portOf('legacy')
  const elsewhere = { ...port, wire: { ...wire, managedElsewhere: 'a DPU?' } } as Port
  for (const legacyOffload of ['off', 'try'] as const)
    expect(unaskedWhy({ legacyOffload }, elsewhere, 'mlx5_core')).toBe(
      'this host does not manage the eSwitch of "pf0" (a DPU? devlink: EOPNOTSUPP), so the NIC is offered no filter',
    )
})

test.each(['off', 'try'] as const)('never asked for a macvlan, legacyOffload "%s"', (legacyOffload) => {
  expect(why('macvlan', 'mlx5_core', legacyOffload)).toBe(
    '"net1" is a macvlan of "pf0", whose frames the kernel takes to the pod, so the NIC is offered no filter',
  )
})

test('notes: why the rules are in software, and that those in the NIC are unproven', () => {
  expect(hairpinNote({ legacyOffload: 'try' }, portOf('legacy'), 'mlx5_core')).toEqual([])
  expect(hairpinNote({ legacyOffload: 'off' }, portOf('legacy'), 'igb')).toEqual([
    expect.stringMatching(/^in software: the eSwitch of "pf0" is in legacy mode, /),
  ])
  expect(unprovenNote('pf0')).toMatch(/^hairpin, unproven: .*"pf0"/)
})
