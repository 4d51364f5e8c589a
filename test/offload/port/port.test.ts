// The kind of a port is told from the pod's interface.
import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import { hostNetns } from '../../../src/lib/host-netns.ts'
import { readOffloadConfig } from '../../../src/offload/config/config.ts'
import { readPort } from '../../../src/offload/port/port.ts'
import { refusalOf, requestOf } from '../../support/request.ts'

const address = '0000:3b:02.1'
let ports: readonly string[]
let driver: string
let eswitch: ReturnType<Kernel['eswitch']>
/** All interfaces of the host; reading them is counted. */
let links: readonly object[]
let linkReads: number
vi.mock('../../../src/nic/pci.ts', () => ({
  readPciFunction: () => ({
    address: '0000:3b:02.1',
    vf: { pf: '0000:3b:00.0', index: 3 },
    userspace: false,
  }),
  portsOf: () => ports,
  driverOf: () => driver,
}))
beforeEach(() => {
  ports = ['pf0']
  driver = 'igb'
  eswitch = 'legacy'
  links = []
  linkReads = 0
})

/** A VF in a VLAN of some protocol; `pf0` has the altname `wire`. */
function read(proto: number, runtimeConfig: object, more: object = {}) {
  const link = { name: 'net1', ifindex: 3, mac: '02:00:00:00:00:05', parent: address, parentBus: 'pci' }
  const vfs = new Map([[3, { vlan: { id: 7, qos: 0, proto } }]])
  const names: Readonly<Record<string, string>> = { wire: 'pf0', pf0: 'pf0', pf1: 'pf1', eth0: 'eth0' }
  const kernel = {
    link: (side: string, by: string | number) => {
      if (side === 'pod') return link
      if (typeof by === 'number') return links.find((one) => 'ifindex' in one && one.ifindex === by)
      const name = names[by]
      return name === undefined ? undefined : { name, ifindex: 2, up: true, vfs, physPortId: '0200' }
    },
    eswitch: () => eswitch,
    eswitchPorts: () => {
      linkReads++
      return links
    },
    hasIngress: () => false,
  } as unknown as Kernel
  const request = requestOf({ runtimeConfig, ...more })
  return readPort(kernel, request, readOffloadConfig(request))
}
const portMappings = [{ hostPort: 8080, containerPort: 80 }]

test('a VF in a VLAN', () => {
  expect(read(0x8100, { portMappings })).toMatchObject({ kind: 'legacy', device: address, wire: { vlan: 7 } })
})

test('a VF whose tag is a service tag (802.1ad) can be limited, and not steered to', () => {
  const { code, message } = refusalOf(() => read(0x88a8, { portMappings }))
  expect(message).toBe(
    'Cannot map ports to "net1": VF 3 of "pf0" is in VLAN 7 with tags of 802.1ad; must be 802.1Q',
  )
  expect(code).toBe(7)
  const bandwidth = { ingressRate: 8_000_000, ingressBurst: 80_000 }
  expect(read(0x88a8, { bandwidth })).toMatchObject({ kind: 'legacy' })
})

describe('a PF with several ports', () => {
  const uplink = (name?: string) => () =>
    read(0x8100, { portMappings }, name === undefined ? {} : { uplink: name })
  beforeEach(() => {
    ports = ['pf0', 'pf1']
  })

  test('is served by the one that the key "uplink" names, by any of its names', () => {
    expect(uplink('pf1')()).toMatchObject({ kind: 'legacy', wire: { uplink: { name: 'pf1' } } })
    expect(uplink('wire')()).toMatchObject({ wire: { uplink: { name: 'pf0' } } })
  })

  test('without the key the error names the ports', () => {
    expect(refusalOf(uplink())).toMatchObject({
      code: 7,
      message:
        'Cannot serve "net1": the PF "0000:3b:00.0" has ports "pf0", "pf1"; the key "uplink" must name the one that the pod\'s network is on',
    })
  })

  test.each(['eth0', 'gone'])('is not served by uplink "%s", which is none of them', (name) => {
    expect(refusalOf(uplink(name))).toMatchObject({
      code: 7,
      message: `Cannot serve "net1": uplink "${name}" is no port of the PF "0000:3b:00.0"; must be one of "pf0", "pf1"`,
    })
    ports = ['pf0']
    expect(refusalOf(uplink(name)).message).toMatch(/must be "pf0"$/)
    ports = []
    expect(refusalOf(uplink(name)).message).toMatch(/has no network interface on the host$/)
  })
})

test.each([
  ['mlx5_core', 'unsupported', 'BlueField in DPU mode?'],
  ['mlx5_core', 'legacy', undefined],
  ['mlx5_core', 'untold', undefined],
  ['igb', 'unsupported', undefined],
] as const)('with %s and an eSwitch that is %s, the manager elsewhere is %s', (name, state, manager) => {
  driver = name
  eswitch = state
  const port = read(0x8100, { portMappings })
  expect(port.kind).toBe('legacy')
  expect(port.wire?.managedElsewhere).toBe(manager)
})

describe('a card whose mode devlink never tells (sfc_ef100)', () => {
  const representor = (vf: number, up: boolean) => ({
    ...{ name: `rep${vf}`, ifindex: 40 + vf, up, physSwitchId: '0200', physPortName: `p0pf0vf${vf}` },
  })
  beforeEach(() => {
    driver = 'sfc_ef100'
    eswitch = 'untold'
  })

  test('is in switchdev mode where there are representors, and the VF is served by its own', () => {
    links = [representor(2, true), representor(3, true)]
    const port = read(0x8100, { portMappings })
    expect(port).toMatchObject({ kind: 'representor', wire: { representor: { name: 'rep3' } } })
    expect(linkReads).toBe(1)
  })

  test('is in legacy mode without any: its firmware has no eSwitch', () => {
    links = [{ name: 'eth9', ifindex: 9, up: true }]
    expect(read(0x8100, { portMappings }).kind).toBe('legacy')
  })

  test.each([
    ['was not found', [representor(2, true)]],
    ['"rep3" is down', [representor(2, true), representor(3, false)]],
  ])('serves no VF whose representor %s', (words, there) => {
    links = there
    expect(refusalOf(() => read(0x8100, { portMappings }))).toMatchObject({
      code: 7,
      message: `Cannot serve a pod: the representor of VF 3 of "pf0" ${words}`,
    })
  })

  test.each(['igb', 'i40e', 'mlx5_core'])('costs %s no question: its interfaces are not read', (name) => {
    driver = name
    links = [representor(3, true)]
    expect(read(0x8100, { portMappings }).kind).toBe('legacy')
    expect(linkReads).toBe(0)
  })
})

describe('a macvlan', () => {
  const below = { name: 'pf0', ifindex: 2, up: true }
  /** Reads a macvlan of interface 2 of the namespace `netns`; `pf0` is interface 2 of the host, `pf1` is interface 4. */
  function macvlan(
    config: object,
    runtimeConfig: object = { portMappings },
    netns: number | 'pod' = hostNetns,
  ) {
    const link = {
      name: 'net1',
      ifindex: 3,
      mac: '02:00:00:00:00:05',
      kind: 'macvlan',
      lower: 2,
      lowerNetns: 0,
    }
    const onHost: Readonly<Record<string, object>> = {
      pf0: below,
      pf1: { ...below, name: 'pf1', ifindex: 4 },
    }
    const kernel = {
      link: (side: string, by: string) => (side === 'pod' ? link : onHost[by]),
      lowerNetns: () => netns,
      hasIngress: () => true,
    } as unknown as Kernel
    const request = requestOf({ runtimeConfig, ...config })
    return () => readPort(kernel, request, readOffloadConfig(request))
  }

  test('of the uplink that the config names serves mapped ports', () => {
    expect(macvlan({ uplink: 'pf0' })()).toMatchObject({
      ...{ kind: 'macvlan', mac: '02:00:00:00:00:05', device: undefined, vf: undefined },
      wire: { uplink: below, vlan: 0, uplinkHasIngress: true, representor: undefined },
    })
  })

  test.each([
    ['another interface of the node', 'pf1', hostNetns],
    ['an interface of the pod', 'pf0', 'pod'],
    ['an interface of a third namespace', 'pf0', 7],
  ] as const)('of %s is refused: no frame would come back to it', (_, uplink, netns) => {
    expect(refusalOf(macvlan({ uplink }, { portMappings }, netns))).toMatchObject({
      code: 7,
      message: `Cannot map ports of "net1": it is a macvlan of another interface than the uplink "${uplink}"; the key "uplink" must name the interface below the macvlan`,
    })
  })

  test('needs no uplink for limits alone, and with ports the way out is named', () => {
    const bandwidth = { ingressRate: 8_000_000, ingressBurst: 80_000 }
    for (const config of [{}, { uplink: 'pf0' }])
      expect(macvlan(config, { bandwidth })()).toMatchObject({ kind: 'other', wire: undefined })
    expect(refusalOf(macvlan({})).message).toMatch(
      /^Cannot map ports of "net1": it is macvlan; must be .*, or a macvlan of the interface that the key "uplink" names \(/,
    )
    expect(refusalOf(macvlan({ uplink: 'gone' })).message).toBe(
      'Cannot use uplink "gone": the host has no such interface',
    )
  })
})
