// A config chooses the place of the translation, and a NIC that cannot translate leaves it to the pod.
import { describe, expect, test } from 'vitest'
import type { OffloadConfig } from '../../../src/offload/config/config.ts'
import type { PortKind } from '../../../src/offload/port/kinds.ts'
import type { Port } from '../../../src/offload/port/port.ts'
import { translators } from '../../../src/offload/portmap/nat-choice.ts'
import type { PortKey, Proto, VfAttributes } from '../../../src/ops/op.ts'
import { refusalOf } from '../../support/request.ts'

const key = (port: number, toPort: number, proto: Proto = 'tcp'): PortKey => ({
  ...{ address: '10.1.0.1', proto, port, toAddress: '10.1.0.5', toPort },
})
const pf0 = { name: 'pf0', ifindex: 2 }
const rep = { name: 'pf0vf0', ifindex: 7 }

/** A port of which only the kind, and whether it has a representor, is known. */
function portOf(kind: PortKind | 'userspace legacy', vfs = new Map<number, VfAttributes>()): Port {
  const wire = {
    uplink: { ...pf0, vfs },
    representor: kind === 'representor' || kind === 'userspace' ? rep : undefined,
  }
  const base = {
    name: 'net1',
    vf: { pf: '', index: 0 },
    device: '0000:3b:02.1',
    wire: kind === 'veth' ? undefined : wire,
  }
  return { ...base, kind: kind === 'userspace legacy' ? 'userspace' : kind } as unknown as Port
}

/** The translators in order, or the code and words of the refusal. */
function cell(
  kind: PortKind | 'userspace legacy',
  nat: OffloadConfig['nat'],
  offload: OffloadConfig['offload'],
  {
    directSubnets = [] as string[],
    keys = [key(8080, 80)],
    vfs = new Map<number, VfAttributes>(),
    legacyOffload = 'off',
    driver = undefined as string | undefined,
  } = {},
): string {
  try {
    const config = { nat, offload, directSubnets, legacyOffload } as unknown as OffloadConfig
    return translators(config, portOf(kind, vfs), keys, driver).nat.join(' ')
  } catch (error) {
    const { code, message } = error as { code: number; message: string }
    return `${code}: ${message}`
  }
}

const subnets = { directSubnets: ['10.1.0.0/24'] }

test.each(['legacy', 'userspace legacy'] as const)(
  '%s, where another system manages the eSwitch: the errors say so',
  (kind) => {
    const { wire, ...port } = portOf(kind)
    const elsewhere = { ...port, wire: { ...wire, managedElsewhere: 'BlueField in DPU mode?' } } as Port
    const wishes =
      kind === 'legacy'
        ? ([
            ['nic', 'prefer'],
            ['pod', 'require'],
          ] as const)
        : ([['auto', 'prefer']] as const)
    for (const [nat, offload] of wishes) {
      const config = { nat, offload, directSubnets: [] } as unknown as OffloadConfig
      const { message } = refusalOf(() => translators(config, elsewhere, [key(8080, 80)]))
      expect(message).toContain(
        'this host does not manage the eSwitch of "pf0" (BlueField in DPU mode? devlink: EOPNOTSUPP)',
      )
      expect(message).not.toContain('legacy')
    }
  },
)

describe('what each kind of port can give', () => {
  test.each([
    ['representor', 'pod', ['pod', 'pod', 'pod']],
    ['representor', 'nic', [/^7: .*offload "off"/, 'nic', 'nic']],
    ['representor', 'auto', ['pod', 'pod', 'pod']],
    ['legacy', 'pod', ['pod', 'pod', /^101: .*offload "require".*legacy mode.* no card was seen/]],
    ['legacy', 'auto', ['pod', 'pod', /^101: .*legacy mode/]],
    ['legacy', 'nic', [/^7: /, /^7: .*nat "nic".*legacy mode/, /^7: .*legacy mode/]],
    ['nic', 'pod', ['pod', 'pod', /^101: .*NIC of its own.* no card was seen/]],
    ['nic', 'auto', ['pod', 'pod', /^101: .*NIC of its own/]],
    ['nic', 'nic', [/^7: /, /^7: .*nat "nic"/, /^7: /]],
    ['macvlan', 'auto', ['pod', 'pod', /^7: .*offload "require" .* macvlan of "pf0"/]],
    ['macvlan', 'pod', ['pod', 'pod', /^7: .*offload "require"/]],
    ['macvlan', 'nic', [/^7: /, /^7: .*nat "nic" .* macvlan of "pf0"/, /^7: /]],
    ['veth', 'auto', ['host', 'host', /^7: .*veth/]],
    ['veth', 'pod', ['host', 'host', /^7: .*veth/]],
    ['veth', 'nic', ['host', 'host', /^7: .*veth/]],
    ['userspace', 'auto', [/^7: .*offload "off"/, 'nic', 'nic']],
    ['userspace', 'nic', [/^7: .*offload "off"/, 'nic', 'nic']],
    ['userspace', 'pod', [/^7: /, /^7: .*nat "pod"/, /^7: .*nat "pod"/]],
    ['userspace legacy', 'auto', [/^7: .*legacy mode/, /^7: .*legacy mode/, /^7: .*legacy mode/]],
    ['userspace legacy', 'nic', [/^7: .*legacy mode/, /^7: .*legacy mode/, /^7: .*legacy mode/]],
  ] as const)('%s, nat %s: off, prefer, require', (kind, nat, cells) => {
    const found = (['off', 'prefer', 'require'] as const).map((offload) => cell(kind, nat, offload))
    for (const [at, wanted] of cells.entries())
      expect(found[at]).toEqual(typeof wanted === 'string' ? wanted : expect.stringMatching(wanted))
  })

  test.each([
    ['legacy', 'mlx5_core', 'try', 'pod'],
    ['nic', 'mlx5_core', 'try', 'pod'],
    ['nic', 'cxgb4', 'try', 'pod'],
    ['legacy', 'mlx5_core', 'off', /^101: .*"mlx5_core" takes .*mirred_nic.c\).*legacyOffload "try" offers/],
    ['legacy', 'cxgb4', 'try', /^101: .*legacyOffload "try" .*"cxgb4" is not known to take/],
    ['legacy', 'igb', 'off', /^101: .*no filter is offered/],
  ] as const)('offload "require", %s, driver %s, legacyOffload %s', (kind, driver, legacyOffload, wanted) => {
    const found = cell(kind, 'auto', 'require', { driver, legacyOffload })
    expect(found).toEqual(typeof wanted === 'string' ? wanted : expect.stringMatching(wanted))
    expect(cell(kind, 'nic', 'prefer', { driver, legacyOffload })).toMatch(/^7: .*nat "nic"/)
  })

  test('auto with direct networks: the NIC first, the pod where it refuses or can not', () => {
    expect(cell('representor', 'auto', 'prefer', subnets)).toBe('nic pod')
    expect(cell('representor', 'auto', 'require', subnets)).toBe('nic pod')
    expect(cell('representor', 'auto', 'off', subnets)).toBe('pod')
    const two = [key(8080, 80), key(81, 80)]
    expect(cell('representor', 'auto', 'prefer', { ...subnets, keys: two })).toBe('pod')
    expect(cell('representor', 'nic', 'prefer', { keys: two })).toMatch(/^7: .*can't tell apart/)
    expect(cell('userspace', 'auto', 'prefer', { keys: two })).toMatch(/^7: .*can't tell apart/)
  })

  test('a VF of the card whose MAC nobody has set: refused by name, or left to the pod', () => {
    const unset = { mac: '00:00:00:00:00:00' }
    const vfs = new Map<number, VfAttributes>([
      [0, unset],
      [1, { mac: '02:00:00:00:00:06' }],
      [2, unset],
      [5, {}],
    ])
    for (const kind of ['representor', 'userspace'] as const)
      expect(cell(kind, 'nic', 'prefer', { vfs })).toMatch(
        /^7: .*the MAC of VF 2 of "pf0" and of 1 more is not set, .*\(ip link set dev pf0 vf 2 mac \.\.\.\)$/,
      )
    expect(cell('representor', 'auto', 'prefer', { ...subnets, vfs })).toBe('pod')
    expect(cell('representor', 'pod', 'prefer', { vfs })).toBe('pod')
    const known = new Map<number, VfAttributes>([
      [0, unset],
      [1, { mac: '02:00:00:00:00:06' }],
    ])
    expect(cell('representor', 'nic', 'prefer', { vfs: known })).toBe('nic')
  })

  test('SCTP is never translated by a NIC: refused by name, or left to the pod', () => {
    const keys = [key(8080, 80), key(7000, 7000, 'sctp')]
    expect(cell('representor', 'nic', 'prefer', { keys })).toMatch(/^2: .*"sctp".*hostPort 7000/)
    expect(cell('userspace', 'auto', 'prefer', { keys })).toMatch(/^2: .*"sctp"/)
    expect(cell('representor', 'auto', 'prefer', { ...subnets, keys })).toBe('pod')
    for (const kind of ['legacy', 'nic', 'representor'] as const)
      expect(cell(kind, 'auto', 'prefer', { keys })).toBe('pod')
    expect(cell('veth', 'auto', 'prefer', { keys })).toBe('host')
  })
})
