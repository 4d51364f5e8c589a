// A config file of the device plugin: its values with their defaults, and each mistake with line, column, key and what is allowed.
import { describe, expect, test } from 'vitest'
import { ConfigError, showFinding } from '../../../device-plugin/config/config-error.ts'
import type { PoolConfig, Selector } from '../../../device-plugin/config/plugin-config.ts'
import { examineConfig, readPluginConfig } from '../../../device-plugin/config/read-config.ts'

const options = { resourcePrefix: 'intel.com' }
const listOf = (...pools: readonly object[]) => JSON.stringify({ resourceList: pools })
const poolOf = (pool: object): PoolConfig => {
  const [first] = readPluginConfig(listOf({ resourceName: 'nic', selectors: [{}], ...pool }), options).pools
  if (first === undefined) throw new RangeError('Cannot find the pool')
  return first
}
const selectorOf = (selector: object, pool: object = {}): Selector | undefined =>
  poolOf({ selectors: [selector], ...pool }).selectors[0]
const findings = (text: string) =>
  examineConfig(text, options).findings.map((one) => `${one.severity} ${showFinding(one)}`)
/** The findings of one pool, without their places. */
const about = (pool: object) =>
  examineConfig(listOf({ resourceName: 'nic', selectors: [{}], ...pool }), options).findings.map(
    ({ severity, key, text }) => `${severity} ${key.replace('resourceList[0].', '')} ${text}`,
  )
const aboutSelector = (selector: object, pool: object = {}) =>
  about({ selectors: [selector], ...pool }).map((line) => line.replace('selectors[0].', ''))

test('a pool with nothing but a name and a selector has the defaults', () => {
  expect(poolOf({})).toEqual({
    resource: 'intel.com/nic',
    prefix: 'intel.com',
    name: 'nic',
    deviceType: 'netDevice',
    excludeTopology: false,
    selectors: [{}],
    additionalInfo: {},
    preferredAllocation: 'packed',
    allowHostUsed: false,
    health: {
      carrier: true,
      linkState: true,
      driver: true,
      representor: true,
      badAfter: 5000,
      goodAfter: 10000,
    },
    reset: 'none',
    restoreAfter: 0,
  })
})

test('every key of a pool is read', () => {
  const health = {
    carrier: false,
    linkState: false,
    driver: false,
    representor: false,
    badAfter: 0,
    goodAfter: 1.5,
  }
  expect(
    poolOf({
      resourceName: 'fpga_1',
      resourcePrefix: 'example.com',
      deviceType: 'accelerator',
      excludeTopology: true,
      additionalInfo: { '*': { token: 'a' }, '0000:3b:02.1': { token: 'b' } },
      preferredAllocation: 'spread',
      allowHostUsed: true,
      health,
      reset: 'flr',
      restoreAfter: 2.5,
    }),
  ).toEqual({
    resource: 'example.com/fpga_1',
    prefix: 'example.com',
    name: 'fpga_1',
    deviceType: 'accelerator',
    excludeTopology: true,
    selectors: [{}],
    additionalInfo: { '*': { token: 'a' }, '0000:3b:02.1': { token: 'b' } },
    preferredAllocation: 'spread',
    allowHostUsed: true,
    health: { ...health, badAfter: 0, goodAfter: 1500 },
    reset: 'flr',
    restoreAfter: 2500,
  })
})

test('every key of a selector is read', () => {
  const selector = {
    vendors: ['8086'],
    devices: ['154c', '1889'],
    drivers: ['iavf'],
    pciAddresses: ['0000:3b:02.1'],
    acpiIndexes: ['101'],
    linkTypes: ['ether'],
    ddpProfiles: ['GTPv1-C/U IPv4/IPv6 payload'],
    vdpaType: 'vhost',
    needVhostNet: true,
    eswitchModes: ['legacy', 'switchdev'],
    hasRepresentor: false,
  }
  expect(selectorOf({ ...selector, exclude: { drivers: ['vfio-pci'] } })).toEqual({
    ...selector,
    exclude: [{ drivers: ['vfio-pci'] }],
  })
  expect(selectorOf({ isRdma: true, pKeys: ['0x1', '0xABCD'] })).toEqual({
    isRdma: true,
    pKeys: ['0x0001', '0xabcd'],
  })
  expect(selectorOf({ auxTypes: ['sf'] }, { deviceType: 'auxNetDevice' })).toEqual({ auxTypes: ['sf'] })
  expect(selectorOf({ pfNames: ['p0#0-3', 'P0#6', 'p1'], rootDevices: ['0000:3B:00.0#1'] })).toEqual({
    pfNames: [
      {
        text: 'p0#0-3, P0#6',
        pf: 'p0',
        indexes: [
          [0, 3],
          [6, 6],
        ],
      },
      { text: 'p1', pf: 'p1', indexes: undefined },
    ],
    rootDevices: [{ text: '0000:3B:00.0#1', pf: '0000:3b:00.0', indexes: [[1, 1]] }],
  })
})

test('no entry, false and an empty text are no condition', () => {
  expect(
    selectorOf({ vendors: [], pfNames: [], isRdma: false, needVhostNet: false, vdpaType: '', exclude: [] }),
  ).toEqual({})
  expect(poolOf({ deviceType: '', resourcePrefix: '' }).resource).toBe('intel.com/nic')
})

describe('pools', () => {
  test.each(['{"resourceList":null}', '{"resourceList":[]}', '{"ResourceList":null}'])(
    '%s has none, without a word',
    (text) => {
      expect(examineConfig(text, options)).toEqual({ config: { pools: [], warnings: [] }, findings: [] })
    },
  )

  test('without the key there is none, which is told', () => {
    expect(findings('{}')).toEqual([
      'warning line 1, column 1: the file has no key "resourceList", and no pool therefore',
    ])
  })

  test('keep the order of the file, and their selectors too', () => {
    const { pools } = readPluginConfig(
      listOf(
        { resourceName: 'b', selectors: [{ vendors: ['8086'] }, {}] },
        { resourceName: 'a', selectors: {} },
      ),
      options,
    )
    expect(pools.map(({ name, selectors }) => [name, selectors])).toEqual([
      ['b', [{ vendors: ['8086'] }, {}]],
      ['a', [{}]],
    ])
  })

  test('with one name are refused, names in another prefix are others', () => {
    const nic = { resourceName: 'nic', selectors: [{}] }
    expect(
      readPluginConfig(listOf(nic, { ...nic, resourcePrefix: 'example.com' }), options).pools,
    ).toHaveLength(2)
    expect(findings(listOf(nic, nic))).toEqual([
      'error line 1, column 74: resourceList[1].resourceName makes "intel.com/nic", which resourceList[0] has; must be unique',
    ])
    expect(findings(listOf(nic, { ...nic, resourceName: 'NIC' }))).toEqual([
      'warning line 1, column 74: resourceList[1].resourceName has the environment variable PCIDEVICE_INTEL_COM_NIC, and so has resourceList[0]: a container with both gets one of them',
    ])
  })

  test('with an empty list of selectors have no device, which is told', () => {
    expect(poolOf({ selectors: [] }).selectors).toEqual([])
    expect(about({ selectors: [] })).toEqual([
      'warning selectors is empty and selects no device; [{}] selects all of the type',
    ])
  })
})

describe('keys', () => {
  test('match in any case at every level', () => {
    const text = `{"RESOURCELIST":[{"ResourceName":"nic","DeviceType":"netDevice","Selectors":{"Vendors":["8086"],"IsRdma":true,
      "NeedVhostNet":true,"pciaddresses":["0000:3b:02.1"],"pKey\u017f":["0x7fff"],"EXCLUDE":{"DRIVERS":["iavf"]}},"Health":{"CARRIER":false}}]}`
    const { pools, warnings } = readPluginConfig(text, options)
    expect(pools[0]?.selectors).toEqual([
      {
        vendors: ['8086'],
        isRdma: true,
        needVhostNet: true,
        pciAddresses: ['0000:3b:02.1'],
        pKeys: ['0x7fff'],
        exclude: [{ drivers: ['iavf'] }],
      },
    ])
    expect(pools[0]?.health.carrier).toBe(false)
    expect(warnings).toEqual([])
  })

  test('given twice: the last one counts, which is told', () => {
    const text =
      '{"resourceList":[{"resourceName":"a","ResourceName":"b","selectors":[{"isRdma":true,"IsRdma":false}]}]}'
    const { pools, warnings } = readPluginConfig(text, options)
    expect(pools[0]).toMatchObject({ name: 'b', selectors: [{}] })
    expect(warnings).toEqual([
      'line 1, column 38: resourceList[0].ResourceName comes after "resourceName" and is the one that counts',
      'line 1, column 85: resourceList[0].selectors[0].IsRdma comes after "isRdma" and is the one that counts',
    ])
  })

  test('with null are not given', () => {
    expect(poolOf({ excludeTopology: null, additionalInfo: null, health: null, reset: null })).toEqual(
      poolOf({}),
    )
    expect(selectorOf({ vendors: null, isRdma: null, exclude: null })).toEqual({})
  })

  test('that the operator writes and that mean nothing are passed over', () => {
    const empty = { SelectorObj: null, SelectorObjs: null, 'SelectorObj(s)': null }
    expect(about(empty)).toEqual([])
    expect(about({ SelectorObjs: [1] })).toEqual([
      'warning SelectorObjs has no effect: the program that writes it keeps it empty',
    ])
  })

  test.each([
    [{ sriovMode: true }, 'warning sriovMode is not known and has no effect'],
    [
      { excludeTopolgy: true },
      'warning excludeTopolgy is not known and has no effect; did you mean "excludeTopology"?',
    ],
    [{ Pfnames: ['p0'] }, 'warning Pfnames is not known and has no effect; it belongs into "selectors"'],
    [{ 'a b': 1 }, 'warning "a b" is not known and has no effect'],
    [
      { health: { carier: true } },
      'error health.carier is not known; must be one of carrier, linkState, driver, representor, badAfter, goodAfter',
    ],
  ])('that are not known: %j', (pool, line) => {
    expect(about(pool)).toEqual([line])
  })

  test.each([
    [{ pfName: ['p0'] }, 'warning pfName is not known and has no effect; did you mean "pfNames"?'],
    [{ deviceType: 'x' }, 'warning deviceType is not known and has no effect; it belongs beside "selectors"'],
    [
      { exclude: { driver: ['x'], vendors: ['8086'] } },
      /^error exclude\.driver is not known; must be one of vendors, /,
    ],
  ])('of a selector that are not known: %j', (selector, line) => {
    expect(aboutSelector(selector)).toEqual([expect.stringMatching(line)])
  })

  test.each([
    [
      'accelerator',
      { pfNames: ['p0#bad'] },
      'warning pfNames has no effect in a pool of deviceType "accelerator"',
    ],
    ['netDevice', { auxTypes: ['sf'] }, 'warning auxTypes has no effect in a pool of deviceType "netDevice"'],
    [
      'accelerator',
      { exclude: { isRdma: true, vendors: ['8086'] } },
      'error exclude.isRdma has no effect in a pool of deviceType "accelerator"',
    ],
  ])('that pools of a type do not have: %s %j', (deviceType, selector, line) => {
    expect(aboutSelector(selector, { deviceType })).toEqual([line])
  })
})

describe('values', () => {
  const name = 'must be 1 to 63 letters, digits, - and _, a letter or digit at both ends'
  const prefix =
    'must be a DNS name in lower case such as example.com, at most 244 characters, without kubernetes.io and without requests. in front'
  const long = 'a'.repeat(64)
  test.each<[object, string]>([
    [{ resourceName: null }, `resourceName is missing; ${name}`],
    [{ resourceName: '' }, `resourceName is ""; ${name}`],
    [{ resourceName: 7 }, `resourceName is 7; ${name}`],
    [{ resourceName: '-nic' }, `resourceName is "-nic"; ${name}`],
    [{ resourceName: 'nic_' }, `resourceName is "nic_"; ${name}`],
    [{ resourceName: 'n.c' }, `resourceName is "n.c"; ${name}`],
    [{ resourceName: long }, `resourceName is "${long}"; ${name}`],
    [{ resourcePrefix: 'Intel.com' }, `resourcePrefix is "Intel.com"; ${prefix}`],
    [{ resourcePrefix: 'intel.com/' }, `resourcePrefix is "intel.com/"; ${prefix}`],
    [{ resourcePrefix: 'kubernetes.io' }, `resourcePrefix is "kubernetes.io"; ${prefix}`],
    [{ resourcePrefix: 'sub.kubernetes.io' }, `resourcePrefix is "sub.kubernetes.io"; ${prefix}`],
    [{ resourcePrefix: 'requests.x' }, `resourcePrefix is "requests.x"; ${prefix}`],
    [
      { deviceType: 'netdevice' },
      'deviceType is "netdevice"; must be "netDevice", "accelerator" or "auxNetDevice"',
    ],
    [{ excludeTopology: 'true' }, 'excludeTopology is "true"; must be true or false'],
    [
      { selectors: null },
      'selectors is missing; must be an object or a list of objects; [{}] selects all devices of the type',
    ],
    [
      { selectors: 'all' },
      'selectors is "all"; must be an object or a list of objects; [{}] selects all devices of the type',
    ],
    [{ selectors: [null] }, 'selectors[0] is null; must be an object'],
    [{ additionalInfo: { '*': 'x' } }, 'additionalInfo.* is "x"; must be an object of names and texts'],
    [{ additionalInfo: { '*': { n: 1 } } }, 'additionalInfo.*.n is 1; must be a text'],
    [
      { additionalInfo: [] },
      'additionalInfo is []; must be an object with the keys "*" and PCI addresses, whose values are objects of names and texts',
    ],
    [
      { preferredAllocation: 'pack' },
      'preferredAllocation is "pack"; must be "packed", "spread", "numa" or "pcie"',
    ],
    [{ allowHostUsed: 1 }, 'allowHostUsed is 1; must be true or false'],
    [{ health: true }, 'health is true; must be an object'],
    [{ health: { driver: 0 } }, 'health.driver is 0; must be true or false'],
    [{ health: { badAfter: -1 } }, 'health.badAfter is -1; must be a number of seconds from 0 to 3600'],
    [{ health: { goodAfter: '5s' } }, 'health.goodAfter is "5s"; must be a number of seconds from 0 to 3600'],
    [{ reset: 'pm' }, 'reset is "pm"; must be "none" or "flr"'],
    [{ restoreAfter: -1 }, 'restoreAfter is -1; must be a number of seconds from 0 to 86400'],
    [{ restoreAfter: true }, 'restoreAfter is true; must be a number of seconds from 0 to 86400'],
  ])('%j', (pool, line) => {
    expect(about(pool)).toEqual([`error ${line}`])
  })

  const hex = 'must be four hexadecimal digits such as "15b3"'
  const pci = 'must be a PCI address such as 0000:3b:02.1'
  const pf =
    'must be PF or PF#INDEXES such as p0#0-3,7; indexes are 0 to 65535, the lower one first, PF the name of an interface'
  test.each<[object, string]>([
    [
      { vendors: '8086' },
      `vendors is "8086"; must be a list, each entry four hexadecimal digits such as "15b3"`,
    ],
    [{ vendors: ['intel'] }, `vendors[0] is "intel"; ${hex}`],
    [{ vendors: ['8086', '808'] }, `vendors[1] is "808"; ${hex}`],
    [{ devices: [null] }, `devices[0] is null; ${hex}`],
    [
      { devices: ['0000:3b:02.1'] },
      `devices[0] is "0000:3b:02.1"; ${hex}; PCI addresses belong to "pciAddresses"`,
    ],
    [{ drivers: ['iavf '] }, 'drivers[0] is "iavf "; must be a text without spaces around it'],
    [{ pciAddresses: ['3b:02'] }, `pciAddresses[0] is "3b:02"; ${pci}`],
    [{ acpiIndexes: [101] }, 'acpiIndexes[0] is 101; must be a text without spaces around it'],
    [{ pfNames: ['p0#'] }, `pfNames[0] is "p0#"; ${pf}`],
    [{ pfNames: ['a/b'] }, `pfNames[0] is "a/b"; ${pf}`],
    [
      { rootDevices: ['p0#1'] },
      'rootDevices[0] is "p0#1"; must be PF or PF#INDEXES such as 0000:3b:00.0#0-3,7; indexes are 0 to 65535, the lower one first, PF a PCI address',
    ],
    [{ linkTypes: ['eth'] }, 'linkTypes[0] is "eth"; must be "ether" or "infiniband"'],
    [{ pKeys: ['7fff'] }, 'pKeys[0] is "7fff"; must be a partition key such as "0x7fff"'],
    [{ isRdma: 'yes' }, 'isRdma is "yes"; must be true or false'],
    [{ vdpaType: 'net' }, 'vdpaType is "net"; must be "vhost" or "virtio"'],
    [{ isRdma: true, vdpaType: 'vhost' }, 'vdpaType is "vhost" beside isRdma true; must be one of the two'],
    [{ eswitchModes: ['off'] }, 'eswitchModes[0] is "off"; must be "legacy" or "switchdev"'],
    [{ hasRepresentor: 1 }, 'hasRepresentor is 1; must be true or false'],
    [{ exclude: 1 }, 'exclude is 1; must be an object or a list of objects'],
    [{ exclude: {} }, 'exclude has no condition and would exclude all devices; must have one'],
    [
      { exclude: [{ isRdma: false, vendors: [] }] },
      'exclude[0] has no condition and would exclude all devices; must have one',
    ],
    [
      { exclude: { drivers: 'x' } },
      'exclude.drivers is "x"; must be a list, each entry a text without spaces around it',
    ],
  ])('of a selector: %j', (selector, line) => {
    expect(aboutSelector(selector)).toEqual([`error ${line}`])
  })

  test.each([[{}], [{ auxTypes: [] }], [{ auxTypes: null }]])(
    'subfunctions want auxTypes: %j',
    (selector) => {
      expect(about({ deviceType: 'auxNetDevice', selectors: [selector] })).toEqual([
        'error selectors[0].auxTypes is missing or empty; must be ["sf"]',
      ])
    },
  )

  test('of auxTypes: sf alone', () => {
    expect(aboutSelector({ auxTypes: ['eth'] }, { deviceType: 'auxNetDevice' })).toEqual([
      'error auxTypes[0] is "eth"; must be "sf"',
    ])
  })

  test('in another spelling are taken, which is told', () => {
    const words = 'other device plugins compare the text'
    const selector = {
      vendors: ['0x15B3'],
      devices: ['101E'],
      pciAddresses: ['3B:02.1'],
      rootDevices: ['3b:00.0#1'],
    }
    expect(selectorOf(selector)).toEqual({
      vendors: ['15b3'],
      devices: ['101e'],
      pciAddresses: ['0000:3b:02.1'],
      rootDevices: [{ text: '3b:00.0#1', pf: '0000:3b:00.0', indexes: [[1, 1]] }],
    })
    expect(aboutSelector(selector)).toEqual([
      `warning vendors[0] is "0x15B3" and is taken as "15b3"; ${words}`,
      `warning devices[0] is "101E" and is taken as "101e"; ${words}`,
      `warning pciAddresses[0] is "3B:02.1" and is taken as "0000:3b:02.1"; ${words}`,
      `warning rootDevices[0] is "3b:00.0#1" and is taken as "0000:3b:00.0"; ${words}`,
    ])
  })

  test('of additionalInfo: addresses in any spelling, and others have no effect', () => {
    const additionalInfo = { '0000:3B:02.1': { a: 'x' }, eth0: { a: 'y' } }
    expect(poolOf({ additionalInfo }).additionalInfo).toEqual({ '0000:3b:02.1': { a: 'x' } })
    expect(about({ additionalInfo })).toEqual([
      'warning additionalInfo."0000:3B:02.1" is taken as "0000:3b:02.1"',
      'warning additionalInfo.eth0 is neither "*" nor a PCI address, and has no effect',
    ])
  })

  test('several link types are told of', () => {
    expect(aboutSelector({ linkTypes: ['ether', 'infiniband'] })).toEqual([
      'warning linkTypes has several entries, which is no condition',
    ])
  })

  test('a hyphen in the name is noted, and is no warning of the process', () => {
    expect(about({ resourceName: 'my-nic' })).toEqual([
      'note resourceName makes the environment variable PCIDEVICE_INTEL_COM_MY-NIC, which a shell can not read: it has "-"',
    ])
    expect(readPluginConfig(listOf({ resourceName: 'my-nic', selectors: {} }), options).warnings).toEqual([])
  })
})

describe('mistakes', () => {
  test('are told all at once, each with its line and column', () => {
    const text = `{
  "resourceList": [
    {
      "resourceName": "bad name",
      "selectors": { "vendors": ["x"], "Drivrs": [] }
    },
    { "selectors": [{}, { "pfNames": ["p0#2-1"] }] },
    7
  ]
}`
    let message = ''
    try {
      readPluginConfig(text, options)
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError)
      message = (error as ConfigError).message
    }
    expect(message.split('\n').map((line) => line.replace(/; must be .*/, ''))).toEqual([
      'Cannot use the config:',
      '  line 4, column 23: resourceList[0].resourceName is "bad name"',
      '  line 5, column 34: resourceList[0].selectors.vendors[0] is "x"',
      '  line 7, column 5: resourceList[1].resourceName is missing',
      '  line 7, column 39: resourceList[1].selectors[1].pfNames[0] is "p0#2-1"',
      '  line 8, column 5: resourceList[2] is 7',
    ])
    expect(findings(text)).toContain(
      'warning line 5, column 40: resourceList[0].selectors.Drivrs is not known and has no effect; did you mean "drivers"?',
    )
  })

  test.each([
    ['', 'error line 1, column 1: the file is not JSON: found the end, expected a value'],
    ['{"resourceList":[{},]}', 'error line 1, column 21: the file is not JSON: found "]", expected a value'],
    ['{\n"resourceList": [\n}', `error line 3, column 1: the file is not JSON: found "}", expected a value`],
    ['[]', 'error line 1, column 1: the file is []; must be an object with the key "resourceList"'],
    ['null', 'error line 1, column 1: the file is null; must be an object with the key "resourceList"'],
    [
      '{"resourceList":{}}',
      'error line 1, column 17: resourceList is {}; must be a list of objects, or null',
    ],
  ])('of the whole file: %j', (text, line) => {
    expect(findings(text)).toEqual([line])
  })
})
