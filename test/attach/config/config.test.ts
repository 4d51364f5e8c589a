// The config of vf-attach: each key is read as Go plugins read it, and a value that is wrong is refused with key, value
// and what is allowed.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readAttachConfig, readTeardownConfig, readWanted } from '../../../src/attach/config/config.ts'
import { refusalOf, requestOf } from '../../support/request.ts'

const device = '0000:3b:02.1'
const vfs = { cniVersion: '1.1.0', name: 'net', deviceID: device }
const read = (config: Record<string, unknown>, variables?: Record<string, string>) =>
  readAttachConfig(requestOf({ deviceID: device, ...config }, variables))
const readText = (members: string) =>
  readAttachConfig(requestOf(`{"cniVersion":"1.1.0","name":"net","deviceID":"${device}",${members}}`))

test('a config that names only a device wants nothing else', () => {
  expect(read({})).toEqual({
    selectors: [{ by: 'pci', key: 'deviceID', address: device }],
    vf: {},
    rate: undefined,
    mac: undefined,
    mtu: undefined,
    hasIpam: false,
    stateDir: '/var/lib/cni/vf-flower',
    allowNodeDevice: false,
    warnings: [],
  })
})

test('a config with every key', () => {
  const config = {
    type: 'sriov',
    pciBusID: device,
    vlan: 100,
    vlanQoS: 3,
    vlanProto: '802.1ad',
    mac: 'CA-FE-C0-FF-EE-00',
    spoofchk: 'on',
    trust: 'off',
    link_state: 'disable',
    min_tx_rate: 10,
    max_tx_rate: 100,
    mtu: 9000,
    announce: { count: 3, interval: 50, carrier: 0 },
    gcLive: true,
    allowNodeDevice: true,
    ipam: { type: 'host-local' },
    dns: { nameservers: ['10.1.0.53'] },
    ipMasq: true,
    stateDir: '/run/vf-flower',
    runtimeConfig: { deviceID: device, CNIDeviceInfoFile: '/run/info' },
    logLevel: 'debug',
    logFile: '/var/log/x',
    capabilities: { mac: true },
    'cni.dev/valid-attachments': [],
  }
  expect(read(config)).toEqual({
    deviceInfoFile: '/run/info',
    selectors: ['deviceID', 'pciBusID', 'runtimeConfig.deviceID'].map((key) => ({
      by: 'pci',
      key,
      address: device,
    })),
    announce: { count: 3, intervalMs: 50, carrierMs: 0 },
    vf: {
      mac: 'ca:fe:c0:ff:ee:00',
      vlan: { id: 100, qos: 3, proto: 0x88a8 },
      spoofchk: true,
      trust: false,
      linkState: 'disable',
    },
    rate: { min: 10, max: 100 },
    mac: 'ca:fe:c0:ff:ee:00',
    mtu: 9000,
    hasIpam: true,
    dns: { nameservers: ['10.1.0.53'] },
    stateDir: '/run/vf-flower',
    allowNodeDevice: false,
    warnings: [expect.stringContaining('"ipMasq" has no effect')],
  })
})

test('a config takes a device by which the node lives only where the policy lets it', () => {
  const given = (wish: boolean, isAllowed: boolean) => {
    const request = requestOf({ deviceID: device, allowNodeDevice: wish })
    return readAttachConfig({ ...request, policy: { ...request.policy, allowNodeDevice: isAllowed } })
  }
  expect(given(true, true).allowNodeDevice).toBe(true)
  expect(given(true, false).allowNodeDevice).toBe(false)
  expect(given(false, true).allowNodeDevice).toBe(false)
})

const pci = 'a PCI address such as 0000:3b:02.1'
const unicast = 'a unicast MAC address'
const rate = 'an integer from 0 to 4294967295 (Mbit/s, 0 = no limit)'

describe('refused, code 7, with key, value and what is allowed', () => {
  test.each([
    ['deviceID', 5, pci],
    ['deviceID', 'eth0', pci],
    ['deviceID', '../../etc/passwd', pci],
    ['deviceID', '0000:3b:02.8', pci],
    ['pciBusID', true, pci],
    ['pciBusID', '0000:3b:20.0', pci],
    ['vlan', -1, 'an integer from 0 to 4094'],
    ['vlan', 4095, 'an integer from 0 to 4094'],
    ['vlan', 1.5, 'an integer from 0 to 4094'],
    ['vlan', '100', 'an integer from 0 to 4094'],
    ['vlan', true, 'an integer from 0 to 4094'],
    ['mac', 5, unicast],
    ['mac', 'ff:ff:ff:ff:ff:ff', unicast],
    ['mac', '01:00:5e:00:00:01', unicast],
    ['mac', '00:00:00:00:00:00', unicast],
    ['mac', '02:00:00:00:00', unicast],
    ['mac', '02:00:00:00:00:01:02:03', unicast],
    ['spoofchk', 'yes', '"on" or "off"'],
    ['spoofchk', 1, '"on" or "off"'],
    ['trust', 'ON', '"on" or "off"'],
    ['trust', [], '"on" or "off"'],
    ['link_state', 'up', '"auto", "enable" or "disable"'],
    ['link_state', 1, '"auto", "enable" or "disable"'],
    ['min_tx_rate', -1, rate],
    ['min_tx_rate', 0.5, rate],
    ['max_tx_rate', 4294967296, rate],
    ['max_tx_rate', '100', rate],
    ['mtu', 67, 'an integer from 68 to 65535'],
    ['mtu', 65536, 'an integer from 68 to 65535'],
    ['mtu', '1500', 'an integer from 68 to 65535'],
    ['ipam', 'host-local', 'an object'],
    ['ipam', [], 'an object'],
    ['dns', 'x', 'an object'],
    ['stateDir', 'run', 'an absolute path'],
    ['stateDir', '/', 'an absolute path'],
    ['stateDir', 7, 'an absolute path'],
    ['announce', 3, 'an object of count (0-10)'],
    ['announce', { count: 11 }, 'an object of count (0-10)'],
    ['announce', { carrier: -1 }, 'an object of count (0-10)'],
    ['bridge', 'br/0', 'the name of a Linux bridge'],
    ['gcLive', 'yes', 'true or false'],
    ['allowNodeDevice', 'yes', 'true or false'],
    ['device', 'a b', 'the name of a network interface of the host'],
    ['device', 'this-is-too-long', 'the name of a network interface of the host'],
    ['hwaddr', '02:00', 'a MAC address'],
    ['kernelpath', '/sys/class/net/eth0', 'an absolute path below /sys/devices/'],
    ['runtimeConfig', [], 'an object'],
    ['runtimeConfig', 'x', 'an object'],
  ])('%s %j', (key, value, allowed) => {
    const { code, message } = refusalOf(() => read({ [key]: value }))
    expect(message).toContain(`Cannot use ${key} ${JSON.stringify(value)}: must be ${allowed}`)
    expect(code).toBe(7)
  })

  test.each([
    [{ vlan: 100, vlanQoS: 8 }, 'Cannot use vlanQoS 8: must be an integer from 0 to 7'],
    [{ vlan: 100, vlanProto: '802.1x' }, 'Cannot use vlanProto "802.1x": must be "802.1q" or "802.1ad"'],
    [{ vlan: 100, vlanProto: 8021 }, 'Cannot use vlanProto 8021: must be "802.1q" or "802.1ad"'],
    [{ vlanQoS: 3 }, 'Cannot use vlanQoS 3: must be absent when vlan is absent'],
    [{ vlanProto: '802.1q' }, 'Cannot use vlanProto "802.1q": must be absent when vlan is absent'],
    [{ vlan: 0, vlanQoS: 3 }, 'Cannot use vlanQoS 3: must be 0 when vlan is 0'],
    [{ vlan: 0, vlanProto: '802.1ad' }, 'Cannot use vlanProto "802.1ad": must be "802.1q" when vlan is 0'],
    [{ min_tx_rate: 200, max_tx_rate: 100 }, 'Cannot use min_tx_rate 200: must be at most max_tx_rate (100)'],
    [{ runtimeConfig: { mac: 5 } }, 'Cannot use runtimeConfig.mac 5: must be a unicast MAC address'],
    [{ runtimeConfig: { deviceID: 'x' } }, 'Cannot use runtimeConfig.deviceID "x": must be a PCI address'],
  ])('%j', (config, message) => {
    const refusal = refusalOf(() => read(config))
    expect(refusal.message).toContain(message)
    expect(refusal.code).toBe(7)
  })

  test('a number that no double can hold keeps its digits', () => {
    expect(() => readText('"vlan":18446744073709551615')).toThrow(
      'Cannot use vlan 18446744073709551615: must be',
    )
    expect(() => readText('"max_tx_rate":9007199254740993')).toThrow('max_tx_rate 9007199254740993')
  })

  test('CNI_ARGS MAC', () => {
    const refusal = refusalOf(() => read({}, { CNI_ARGS: 'MAC=01:00:5e:00:00:01' }))
    expect(refusal.message).toContain('Cannot use CNI_ARGS MAC "01:00:5e:00:00:01": must be a unicast MAC')
    expect(refusal.code).toBe(7)
  })
})

describe('accepted', () => {
  test.each([
    [{ vlan: 0 }, { vlan: { id: 0, qos: 0, proto: 0x8100 } }],
    [{ vlan: 0, vlanQoS: 0, vlanProto: '802.1q' }, { vlan: { id: 0, qos: 0, proto: 0x8100 } }],
    [{ vlan: 4094, vlanQoS: 7, vlanProto: '802.1AD' }, { vlan: { id: 4094, qos: 7, proto: 0x88a8 } }],
    [
      { spoofchk: 'off', trust: 'on' },
      { spoofchk: false, trust: true },
    ],
    [
      { spoofchk: true, trust: false },
      { spoofchk: true, trust: false },
    ],
    [{ link_state: 'auto' }, { linkState: 'auto' }],
    [{ link_state: 'enable' }, { linkState: 'enable' }],
    [{ mac: '02:00:00:00:00:01' }, { mac: '02:00:00:00:00:01' }],
    [{ mac: '0200.0000.0001' }, { mac: '02:00:00:00:00:01' }],
  ])('%j', (config, vf) => {
    expect(read(config).vf).toEqual(vf)
  })

  test.each([
    [{ max_tx_rate: 100 }, { min: undefined, max: 100 }],
    [{ min_tx_rate: 100 }, { min: 100, max: undefined }],
    [
      { min_tx_rate: 0, max_tx_rate: 0 },
      { min: 0, max: 0 },
    ],
    [
      { min_tx_rate: 50, max_tx_rate: 0 },
      { min: 50, max: 0 },
    ],
    [
      { min_tx_rate: 100, max_tx_rate: 100 },
      { min: 100, max: 100 },
    ],
    [{ max_tx_rate: 4294967295 }, { min: undefined, max: 4294967295 }],
    [{}, undefined],
  ])('rates %j', (config, wish) => {
    expect(read(config).rate).toEqual(wish)
  })

  test.each([68, 1500, 65535])('mtu %d', (mtu) => {
    expect(read({ mtu }).mtu).toBe(mtu)
  })

  test.each([
    [{ type: 'host-local' }, true],
    [{ TYPE: 'host-local' }, true],
    [{}, false],
    [{ type: '' }, false],
  ])('ipam %j', (ipam, hasIpam) => {
    expect(read({ ipam }).hasIpam).toBe(hasIpam)
  })

  test('an empty string is "not given", as to Go plugins, for every key', () => {
    const empty = Object.fromEntries(
      [
        ...['pciBusID', 'vlan', 'vlanQoS', 'vlanProto', 'mac', 'spoofchk', 'trust', 'link_state'],
        ...['min_tx_rate', 'max_tx_rate', 'mtu', 'ipam', 'dns', 'stateDir', 'device', 'hwaddr', 'kernelpath'],
      ].map((key) => [key, '']),
    )
    expect(read(empty)).toEqual(read({}))
    expect(read({ runtimeConfig: { mac: '', deviceID: '' } })).toEqual(read({}))
  })

  test('no file of device information is refused, and none is for DEL', () => {
    const strange = { runtimeConfig: { CNIDeviceInfoFile: 7 } }
    expect(read(strange)).toEqual({ ...read({}), deviceInfoFile: '7' })
    expect(readWanted(requestOf({ deviceID: device, ...strange })).selectors).toEqual(read({}).selectors)
    for (const none of ['', null])
      expect(read({ runtimeConfig: { CNIDeviceInfoFile: none } })).toEqual(read({}))
  })

  test('null is "not given" too', () => {
    expect(read({ vlan: null, mac: null, runtimeConfig: null, ipam: null })).toEqual(read({}))
  })
})

describe('keys as Go matches them', () => {
  test('in any case', () => {
    const config = readText(
      '"VLAN":7,"Link_State":"auto","SPOOFCHK":"on","runtimeconfig":{"MAC":"02:00:00:00:00:09"}',
    )
    expect(config.vf).toEqual({
      mac: '02:00:00:00:00:09',
      vlan: { id: 7, qos: 0, proto: 0x8100 },
      spoofchk: true,
      linkState: 'auto',
    })
    expect(config.warnings).toEqual([])
  })

  test('of several spellings the last counts', () => {
    expect(readText('"vlan":7,"Vlan":8').vf.vlan?.id).toBe(8)
    expect(readText('"Vlan":8,"vlan":7').vf.vlan?.id).toBe(7)
  })

  test('an error names the official spelling', () => {
    expect(() => readText('"MIN_TX_RATE":-1')).toThrow('Cannot use min_tx_rate -1: ')
  })
})

describe('the device', () => {
  const other = '0000:3b:02.2'
  const oneOf =
    'one of deviceID, pciBusID, runtimeConfig.deviceID, device, hwaddr, kernelpath or pf must name it'

  test.each([
    [{ deviceID: device }],
    [{ pciBusID: device }],
    [{ runtimeConfig: { deviceID: device } }],
    [{ deviceID: device, pciBusID: device, runtimeConfig: { deviceID: device } }],
    [{ deviceID: '3B:02.1', pciBusID: device }],
    [{ deviceID: '', pciBusID: device }],
  ])('is named by %j', (config) => {
    const { selectors } = readAttachConfig(requestOf(config))
    expect(selectors.length).toBeGreaterThan(0)
    for (const selector of selectors) expect(selector).toMatchObject({ by: 'pci', address: device })
  })

  test.each([
    [{ deviceID: device, pciBusID: other }, `deviceID "${device}", pciBusID "${other}" must be the same`],
    [
      { deviceID: device, runtimeConfig: { deviceID: other } },
      `deviceID "${device}", runtimeConfig.deviceID "${other}" must be the same`,
    ],
    [{}, oneOf],
    [{ deviceID: '' }, oneOf],
    [{ deviceID: device, pf: 'pf0' }, 'pf "pf0" must stand alone, and deviceID is given too'],
  ])('is refused when it is %j', (config, words) => {
    const { code, message } = refusalOf(() => readAttachConfig(requestOf(config)))
    expect(message).toBe(`Cannot choose a device: ${words}`)
    expect(code).toBe(7)
  })

  test.each([
    [{ device: 'ens5f0' }, { by: 'name', name: 'ens5f0' }],
    [{ hwaddr: '02-00-00-00-00-0A' }, { by: 'hwaddr', mac: '02:00:00:00:00:0a' }],
    [{ kernelpath: '/sys/devices/pci0000:00/x' }, { by: 'kernelpath', path: '/sys/devices/pci0000:00/x' }],
    [{ runtimeConfig: { deviceID: 'mlx5_core.sf.4' } }, { by: 'auxiliary', name: 'mlx5_core.sf.4' }],
  ])('is named by %j', (config, selector) => {
    expect(readAttachConfig(requestOf(config)).selectors).toEqual([expect.objectContaining(selector)])
  })

  test('may be any VF of a PF', () => {
    expect(readAttachConfig(requestOf({ pf: 'ens5f0' }))).toMatchObject({ selectors: [], pf: 'ens5f0' })
  })
})

test('with a bridge the VLAN is that of its port, and what only a VF can have is refused', () => {
  const { bridge, vf } = read({ bridge: 'br0', vlan: 100 })
  expect(bridge).toEqual({ name: 'br0', vlan: 100 })
  expect(vf).toEqual({})
  expect(read({ bridge: 'br0', vlan: 0 }).bridge).toEqual({ name: 'br0' })
  expect(() => read({ bridge: 'br0', vlan: 100, vlanQoS: 3 })).toThrow(
    'vlanQoS 3: must be absent with bridge',
  )
  expect(() => read({ bridge: 'br0', vlan: 1, vlanProto: '802.1q' })).toThrow('must be absent with bridge')
})

describe('the MAC', () => {
  const [a, b, c] = ['02:00:00:00:00:0a', '02:00:00:00:00:0b', '02:00:00:00:00:0c']

  test.each([
    [{ mac: a, runtimeConfig: { mac: b } }, { CNI_ARGS: `MAC=${c}` }, b],
    [{ mac: a }, { CNI_ARGS: `MAC=${c}` }, c],
    [{ mac: a, runtimeConfig: { mac: '' } }, { CNI_ARGS: `IgnoreUnknown=1;MAC=${c}` }, c],
    [{ mac: a, runtimeConfig: {} }, { CNI_ARGS: 'K8S_POD_NAME=x' }, a],
    [{ mac: a }, { CNI_ARGS: 'MAC=' }, a],
    [{}, {}, undefined],
  ])('of %j and %j is %s', (config, variables, mac) => {
    const found = read(config, variables as Record<string, string>)
    expect(found.mac).toBe(mac)
    expect(found.vf.mac).toBe(mac)
  })

  test('the one that counts must be right, the others are not looked at', () => {
    expect(read({ mac: 'nonsense', runtimeConfig: { mac: b } }).mac).toBe(b)
    expect(() => read({ mac: a, runtimeConfig: { mac: 'nonsense' } })).toThrow('runtimeConfig.mac "nonsense"')
  })
})

test('keys that nobody knows are told and have no effect', () => {
  const config = { vlna: 5, toString: 1, 'cni.dev/x': 1 }
  expect(read(config).warnings).toEqual([
    'key "vlna" is not known and has no effect',
    'key "toString" is not known and has no effect',
  ])
})

describe('teardown', () => {
  test('takes the keys that it needs', () => {
    const request = requestOf({ IPAM: { Type: 'host-local' }, STATEDIR: '/run/x' }, { CNI_COMMAND: 'DEL' })
    expect(readTeardownConfig(request)).toEqual({ hasIpam: true, stateDir: '/run/x', gcLive: false })
  })

  test('never fails, whatever the config holds', () => {
    const keys = ['deviceID', 'vlan', 'mac', 'device', 'ipam', 'stateDir', 'runtimeConfig', 'dns', 'IPAM']
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom('', 'x', '/x', 'relative', -1))
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys), value), (config) => {
        const { stateDir, hasIpam } = readTeardownConfig(requestOf(config, { CNI_COMMAND: 'DEL' }))
        expect(stateDir).toMatch(/^\//)
        expect(typeof hasIpam).toBe('boolean')
      }),
    )
  })

  test('reads the same state folder and IPAM as the ADD before it', () => {
    for (const more of [{}, { stateDir: '/run/x' }, { ipam: { type: 'x' } }, { stateDir: '', ipam: {} }]) {
      const { hasIpam, stateDir } = readAttachConfig(requestOf({ ...vfs, ...more }))
      expect(readTeardownConfig(requestOf({ ...vfs, ...more }, { CNI_COMMAND: 'DEL' }))).toEqual({
        hasIpam,
        stateDir,
        gcLive: false,
      })
    }
  })
})

describe('names that are none', () => {
  const strangers = ['a\0b', 'a\ud800', 'é'.repeat(15), 'a b', '.']
  test.each(['device', 'bridge'])('of an interface are refused: %s', (key) => {
    for (const name of [...strangers, 'eth%d']) {
      const { code, message } = refusalOf(() => read({ [key]: name }))
      expect(message).toContain(`Cannot use ${key} ${JSON.stringify(name)}: must be the name of a`)
      expect(code).toBe(7)
    }
  })

  test('of a PF are refused, alternative names are not', () => {
    const pf = (name: string) => readAttachConfig(requestOf({ ...vfs, deviceID: '', pf: name })).pf
    for (const name of ['a\0b', 'a\ud800', 'x'.repeat(128)]) expect(refusalOf(() => pf(name)).code).toBe(7)
    expect(pf('enp59s0f0np0-of-the-storage')).toBe('enp59s0f0np0-of-the-storage')
  })

  test('of folders are refused by ADD, and DEL goes to the default', () => {
    for (const stateDir of ['/run/a\0b', `/${'x'.repeat(256)}`, '/x'.repeat(2_000), '/run/\ud800']) {
      expect(refusalOf(() => read({ stateDir })).code).toBe(7)
      expect(readTeardownConfig(requestOf({ stateDir }, { CNI_COMMAND: 'DEL' })).stateDir).toBe(
        '/var/lib/cni/vf-flower',
      )
    }
  })
})

test('a dns that no result may have is refused with its key', () => {
  const dns = { Nameservers: ['10.1.0.53'], domain: null, search: [], options: ['ndots:1'], more: 7 }
  expect(read({ dns }).dns).toEqual({ nameservers: ['10.1.0.53'], search: [], options: ['ndots:1'], more: 7 })
  for (const [wrong, words] of [
    [{ nameservers: '10.1.0.53' }, 'Cannot use dns.nameservers "10.1.0.53": must be an array of strings'],
    [{ options: [7] }, 'Cannot use dns.options [7]: must be an array of strings'],
    [{ domain: 7 }, 'Cannot use dns.domain 7: must be a string'],
  ] as const)
    expect(refusalOf(() => read({ dns: wrong }))).toMatchObject({ code: 7, message: words })
})
