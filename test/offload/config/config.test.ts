// The config of vf-offload: mappings and keys are read as portmap reads them, and a value that is wrong is refused with
// key and value.
import { describe, expect, test } from 'vitest'
import { readOffloadConfig } from '../../../src/offload/config/config.ts'
import { refuseConditions } from '../../../src/offload/config/portmap-compat.ts'
import { readTeardown } from '../../../src/offload/config/teardown.ts'
import { refusalOf, requestOf } from '../../support/request.ts'

const read = (config: Record<string, unknown>) => readOffloadConfig(requestOf(config))
const mappings = (...portMappings: unknown[]) => read({ runtimeConfig: { portMappings } }).mappings
const http = { hostPort: 8080, containerPort: 80 }
const pci = '0000:3b:02.1'

test('a config without mappings wants nothing', () => {
  expect(read({})).toEqual({
    mappings: [],
    rates: { outside: false },
    servesPorts: false,
    limited: 'none',
    offload: 'prefer',
    nat: 'auto',
    legacyOffload: 'off',
    directSubnets: [],
    device: undefined,
    uplink: undefined,
    ...{ snat: true, masqAll: false, localhost: undefined, allowListening: false },
    ...{ allowServicePorts: false, allowConnected: false },
    conditions: new Map(),
    allowedHostPorts: [{ first: 1, last: 65535 }],
    stateDir: '/var/lib/cni/vf-flower',
    warnings: [],
  })
})

test('directSubnets are networks, in canonical form', () => {
  expect(read({ directSubnets: ['10.1.0.9/24', '2001:DB8::1/64'] }).directSubnets).toEqual([
    '10.1.0.0/24',
    '2001:db8::/64',
  ])
  for (const value of ['10.1.0.0/24', ['10.1.0.0'], [5], {}]) {
    const { code, message } = refusalOf(() => read({ directSubnets: value }))
    expect(message).toContain(
      `Cannot use directSubnets ${JSON.stringify(value)}: must be an array of networks`,
    )
    expect(code).toBe(7)
  }
})

describe('mappings', () => {
  test.each([
    [http, { ...http, proto: 'tcp', hostIP: undefined }],
    [
      { ...http, protocol: 'udp' },
      { ...http, proto: 'udp', hostIP: undefined },
    ],
    [
      { ...http, hostIP: '::ffff:192.0.2.1' },
      { ...http, proto: 'tcp', hostIP: '192.0.2.1' },
    ],
    [
      { ...http, hostIP: '::FFFF:c000:201' },
      { ...http, proto: 'tcp', hostIP: '192.0.2.1' },
    ],
    [
      { ...http, protocol: 'TCP', hostIP: '10.1.0.1' },
      { ...http, proto: 'tcp', hostIP: '10.1.0.1' },
    ],
    [
      { ...http, protocol: '', hostIP: '' },
      { ...http, proto: 'tcp', hostIP: undefined },
    ],
    [
      { ...http, protocol: null, hostIP: null },
      { ...http, proto: 'tcp', hostIP: undefined },
    ],
    [
      { ...http, hostIP: '0.0.0.0' },
      { ...http, proto: 'tcp', hostIP: '0.0.0.0' },
    ],
    [
      { ...http, hostIP: '2001:DB8:0::1' },
      { ...http, proto: 'tcp', hostIP: '2001:db8::1' },
    ],
    [
      { HOSTPORT: 1, containerport: 65535, Protocol: 'Udp' },
      { hostPort: 1, containerPort: 65535, proto: 'udp', hostIP: undefined },
    ],
    [
      { ...http, name: 'web' },
      { ...http, proto: 'tcp', hostIP: undefined },
    ],
  ])('%j', (written, mapping) => {
    expect(mappings(written)).toEqual([mapping])
  })

  test('keep their order, and null is none', () => {
    expect(
      mappings({ ...http, hostPort: 2 }, { ...http, hostPort: 1 }).map(({ hostPort }) => hostPort),
    ).toEqual([2, 1])
    expect(read({ runtimeConfig: { portMappings: null } }).mappings).toEqual([])
    expect(read({ RuntimeConfig: { PortMappings: [http] } }).mappings).toHaveLength(1)
  })

  const at = 'runtimeConfig.portMappings[1]'
  test.each([
    [{ hostPort: 0, containerPort: 80 }, `${at}.hostPort 0: must be an integer from 1 to 65535`],
    [{ hostPort: 65536, containerPort: 80 }, `${at}.hostPort 65536: must be an integer from 1 to 65535`],
    [{ hostPort: '80', containerPort: 80 }, `${at}.hostPort "80": must be an integer from 1 to 65535`],
    [{ containerPort: 80 }, `${at}.hostPort null: must be an integer from 1 to 65535`],
    [{ hostPort: 80 }, `${at}.containerPort null: must be an integer from 1 to 65535`],
    [{ hostPort: 80, containerPort: 1.5 }, `${at}.containerPort 1.5: must be an integer from 1 to 65535`],
    [{ hostPort: 80, containerPort: -1 }, `${at}.containerPort -1: must be an integer from 1 to 65535`],
    [{ ...http, protocol: 'icmp' }, `${at}.protocol "icmp": must be "tcp", "udp" or "sctp"`],
    [{ ...http, protocol: 6 }, `${at}.protocol 6: must be "tcp", "udp" or "sctp"`],
    [{ ...http, hostIP: 'localhost' }, `${at}.hostIP "localhost": must be an IPv4 or IPv6 address`],
    [{ ...http, hostIP: '10.1.0.1/24' }, `${at}.hostIP "10.1.0.1/24": must be an IPv4 or IPv6 address`],
    [{ ...http, hostIP: 'fe80::1%eth0' }, `${at}.hostIP "fe80::1%eth0": must be an IPv4 or IPv6 address`],
    [{ ...http, hostIP: 7 }, `${at}.hostIP 7: must be an IPv4 or IPv6 address`],
    ['8080:80', `${at} "8080:80": must be an object`],
    [null, `${at} null: must be an object`],
    [[http], `${at} [{"hostPort":8080,"containerPort":80}]: must be an object`],
  ])('%j is refused, code 7', (written, message) => {
    const refusal = refusalOf(() => mappings(http, written))
    expect(refusal.message).toBe(`Cannot use ${message}`)
    expect(refusal.code).toBe(7)
  })

  test('protocols in any case', () => {
    const protocols = ['SCTP', 'Tcp', 'udp', '', null].map((protocol) => ({ ...http, protocol }))
    expect(mappings(...protocols).map(({ proto }) => proto)).toEqual(['sctp', 'tcp', 'udp', 'tcp', 'tcp'])
  })

  test.each([['a'], [{}], [5], [true]])('%j instead of a list', (portMappings) => {
    const { code, message } = refusalOf(() => read({ runtimeConfig: { portMappings } }))
    expect(message).toBe(
      `Cannot use runtimeConfig.portMappings ${JSON.stringify(portMappings)}: must be an array`,
    )
    expect(code).toBe(7)
  })
})

describe('values', () => {
  test.each([
    ['offload', 'require'],
    ['offload', 'off'],
    ['offload', 'prefer'],
    ['nat', 'pod'],
    ['nat', 'nic'],
    ['nat', 'auto'],
    ['legacyOffload', 'off'],
    ['legacyOffload', 'try'],
  ] as const)('%s %s', (key, value) => {
    expect(read({ [key]: value })[key]).toBe(value)
  })

  test('an empty string is "not given"', () => {
    expect(read({ offload: '', nat: '', deviceID: '', pciBusID: '', stateDir: '' })).toEqual(read({}))
  })

  test.each([
    ['offload', 'never', '"prefer", "require", "off"'],
    ['legacyOffload', 'on', '"off", "try"'],
    ['offload', true, '"prefer", "require", "off"'],
    ['nat', 'host', '"auto", "pod", "nic"'],
    ['deviceID', 'eth0', 'a PCI address such as 0000:3b:02.1'],
    ['deviceID', 5, 'a PCI address such as 0000:3b:02.1'],
    ['pciBusID', '../x', 'a PCI address such as 0000:3b:02.1'],
    ['stateDir', 'relative', 'an absolute path'],
    ['stateDir', 5, 'an absolute path'],
    ['runtimeConfig', 'x', 'an object'],
    ['runtimeConfig', [], 'an object'],
  ])('%s %j is refused, code 7', (key, value, allowed) => {
    const { code, message } = refusalOf(() => read({ [key]: value }))
    expect(message).toBe(`Cannot use ${key} ${JSON.stringify(value)}: must be ${allowed}`)
    expect(code).toBe(7)
  })
})

describe('the device', () => {
  test.each([
    [{ deviceID: pci }],
    [{ PCIBUSID: pci }],
    [{ runtimeConfig: { DeviceID: '3B:02.1' } }],
    [{ deviceID: pci, pciBusID: pci, runtimeConfig: { deviceID: pci } }],
  ])('is named by %j', (config) => {
    expect(read(config).device).toBe(pci)
  })

  test('two that differ are refused', () => {
    const { code, message } = refusalOf(() =>
      read({ deviceID: pci, runtimeConfig: { deviceID: '0000:3b:02.2' } }),
    )
    expect(message).toBe(
      `Cannot choose a device: deviceID "${pci}", runtimeConfig.deviceID "0000:3b:02.2" must be the same`,
    )
    expect(code).toBe(7)
  })
})

describe('keys of the portmap and bandwidth plugins', () => {
  test.each([
    [{ conditionsV4: ['-s', '10.0.0.0/8'] }, 'conditionsV4 ["-s","10.0.0.0/8"]: not supported'],
    [{ conditionsV6: 'x' }, 'conditionsV6 "x": not supported'],
  ])('%j restricts, so a mapping of its family is refused with code 2, and no other', (config, message) => {
    const wishes = read(config)
    const [v4, v6] = [{ address: '192.0.2.1' }, { address: '2001:db8::1' }]
    const [own, other] = 'conditionsV4' in config ? [v4, v6] : [v6, v4]
    const refusal = refusalOf(() => refuseConditions(wishes, [other, own]))
    expect(refusal.message).toBe(`Cannot use ${message}`)
    expect(refusal.code).toBe(2)
    refuseConditions(wishes, [])
    refuseConditions(wishes, [other])
  })

  test('their empty forms are accepted', () => {
    const config = {
      conditionsV4: [],
      conditionsV6: null,
      masqAll: false,
      runtimeConfig: { bandwidth: { ingressRate: 0, egressBurst: null } },
    }
    expect(read(config).warnings).toEqual([])
  })

  test.each([
    ['markMasqBit', 13],
    ['externalSetMarkChain', 'X'],
    ['backend', 'nftables'],
  ])('%s has no effect, which is told', (key, value) => {
    expect(read({ [key]: value }).warnings).toEqual([
      `key "${key}" has no effect: it speaks of rules that are not made here`,
    ])
  })

  test('snat, masqAll and localhost', () => {
    expect(read({ snat: false, masqAll: true })).toMatchObject({ snat: false, masqAll: true })
    expect(read({ localhost: true })).toMatchObject({ snat: true, localhost: true })
    expect(refusalOf(() => read({ localhost: true, snat: false }))).toMatchObject({
      code: 7,
      message: expect.stringContaining('snat false'),
    })
    for (const key of [
      'snat',
      'masqAll',
      'localhost',
      'allowListening',
      'allowServicePorts',
      'allowConnected',
    ])
      expect(refusalOf(() => read({ [key]: 'yes' })).message).toBe(
        `Cannot use ${key} "yes": must be true or false`,
      )
  })
})

describe('allowedHostPorts', () => {
  const port = (hostPort: number, allowedHostPorts: unknown) =>
    read({ allowedHostPorts, runtimeConfig: { portMappings: [{ hostPort, containerPort: 80 }] } })

  test.each([
    [[8080], 8080],
    [['8000-8100'], 8080],
    [['1-80', '8080', 9000], 8080],
    ['30000-32767', 32767],
  ])('%j allows %i', (allowed, hostPort) => {
    expect(port(hostPort, allowed).mappings).toHaveLength(1)
  })

  test.each([
    [[], 'none'],
    [['30000-32767', 80], '30000-32767, 80'],
  ])('%j does not allow 8080', (allowed, list) => {
    const { code, message } = refusalOf(() => port(8080, allowed))
    expect(message).toBe(`Cannot use hostPort 8080: must be one of allowedHostPorts: ${list}`)
    expect(code).toBe(7)
  })

  test('the operator’s list counts too, and says where it stands', () => {
    const request = requestOf({
      allowedHostPorts: [80, '8000-8080'],
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80 }] },
    })
    const policy = { ...request.policy, file: '/policy.json' }
    const within = (first: number, last: number) =>
      readOffloadConfig({ ...request, policy: { ...policy, allowedHostPorts: [{ first, last }] } })
    expect(within(8080, 9000).mappings).toHaveLength(1)
    expect(refusalOf(() => within(1, 100))).toMatchObject({
      code: 7,
      message: 'Cannot use hostPort 8080: must be one of allowedHostPorts of /policy.json: 1-100',
    })
  })

  test.each([['x'], [0], [65536], ['10-5'], ['1-70000'], [{}], [['1,2']], [[true]]])(
    '%j is none',
    (allowed) => {
      expect(refusalOf(() => port(8080, allowed)).message).toContain('allowedHostPorts')
    },
  )
})

test('keys that nobody knows are told', () => {
  expect(read({ offlaod: 'off', constructor: 1, 'cni.dev/x': 1 }).warnings).toEqual([
    'key "offlaod" is not known and has no effect',
    'key "constructor" is not known and has no effect',
  ])
})

test.each([
  [{}, '/var/lib/cni/vf-flower'],
  [{ STATEDIR: '/run/x' }, '/run/x'],
  [{ stateDir: 'relative' }, '/var/lib/cni/vf-flower'],
  [{ stateDir: 7, runtimeConfig: 'x', deviceID: 'nonsense' }, '/var/lib/cni/vf-flower'],
])('teardown finds the state folder of %j and never fails', (config, folder) => {
  expect(readTeardown(requestOf(config, { CNI_COMMAND: 'DEL' })).stateDir).toBe(folder)
})

test.each([
  [true, true],
  [false, false],
  [undefined, false],
  ['yes', false],
])('gcLive %j', (gcLive, wanted) => {
  const config = gcLive === undefined ? {} : { gcLive }
  expect(readTeardown(requestOf(config, { CNI_COMMAND: 'GC' })).gcLive).toBe(wanted)
  expect(readTeardown(requestOf({ GCLIVE: true }, { CNI_COMMAND: 'GC' })).gcLive).toBe(true)
  expect(read(config).warnings).toEqual([])
})

test('a direct network that is written twice, or with two hosts of it, is one', () => {
  const { directSubnets } = read({
    directSubnets: ['10.1.0.0/24', '10.1.0.1/24', '2001:db8::/64', '10.1.0.0/25'],
  })
  expect(directSubnets).toEqual(['10.1.0.0/24', '2001:db8::/64', '10.1.0.0/25'])
})

test('a file of device information is taken, whatever it says, and changes nothing', () => {
  for (const CNIDeviceInfoFile of ['/run/info', 7, {}, null])
    expect(read({ runtimeConfig: { CNIDeviceInfoFile } })).toEqual(read({}))
})
