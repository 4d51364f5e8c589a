// Results are printed and read in the form of each version of the specification.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseResult, printResult, type Result } from '../../src/cni/result.ts'
import { supportedVersions } from '../../src/cni/version.ts'
import { type JsonObject, parse, stringify } from '../../src/lib/json.ts'

const two = ['0.1.0', '0.2.0']
const three = ['0.3.0', '0.3.1', '0.4.0']
const one = ['1.0.0', '1.1.0']

/** One attachment with more than the old versions can say, and fields of nobody's specification at every level. */
const full = {
  interfaces: [
    { name: 'pf0vf3_rep', 'x.iface': [1] },
    {
      name: 'net1',
      mac: '02:00:00:00:00:01',
      sandbox: '/n',
      mtu: 9000,
      pciID: '0000:81:02.3',
      socketPath: '/s',
    },
  ],
  ips: [
    { address: '10.0.0.2/24', gateway: '10.0.0.1', interface: 1, 'x.ip': { deep: true } },
    { address: '10.0.1.2/24', interface: 7 },
    { address: 'fd00::2/64', gateway: 'fd00::1', interface: 1 },
  ],
  routes: [
    {
      dst: '0.0.0.0/0',
      gw: '10.0.0.1',
      mtu: 1400,
      advmss: 1360,
      priority: 5,
      table: 100,
      scope: 253,
      'x.route': null,
    },
    { dst: '::/0' },
    { dst: '10.9.0.0/16' },
  ],
  dns: { nameservers: ['10.0.0.53'], search: ['a.b'], 'x.dns': 1 },
  'x.top': 18446744073709551615n,
}

const shape02 = {
  ip4: {
    ip: '10.0.0.2/24',
    gateway: '10.0.0.1',
    'x.ip': { deep: true },
    routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1', 'x.route': null }, { dst: '10.9.0.0/16' }],
  },
  ip6: { ip: 'fd00::2/64', gateway: 'fd00::1', routes: [{ dst: '::/0' }] },
  dns: full.dns,
  'x.top': full['x.top'],
}

const shape04 = {
  ...full,
  interfaces: [
    { name: 'pf0vf3_rep', 'x.iface': [1] },
    { name: 'net1', mac: '02:00:00:00:00:01', sandbox: '/n' },
  ],
  ips: [
    { version: '4', ...full.ips[0] },
    { version: '4', ...full.ips[1] },
    { version: '6', ...full.ips[2] },
  ],
}

describe('printResult', () => {
  test.each([
    ...two.map((version) => [version, shape02] as const),
    ...three.map((version) => [version, shape04] as const),
    ...one.map((version) => [version, full] as const),
  ])('prints the shape of %s', (version, expected) => {
    expect(parse(printResult(full, version))).toEqual({ cniVersion: version, ...expected })
  })

  test.each(supportedVersions)('prints an attachment without addresses as %s', (version) => {
    const old = version < '1.0.0' ? { dns: {} } : {}
    expect(parse(printResult({}, version))).toEqual({ cniVersion: version, ...old })
  })

  test('takes the version from its parameter, not from the result', () => {
    expect(parse(printResult({ cniVersion: '0.4.0' }, '1.1.0'))).toEqual({ cniVersion: '1.1.0' })
  })

  test('prints one line that begins with cniVersion', () => {
    for (const version of supportedVersions) {
      const text = printResult(full, version)
      expect(text.startsWith(`{"cniVersion":"${version}"`)).toBe(true)
      expect(text).not.toContain('\n')
    }
  })
})

describe('parseResult', () => {
  test.each(two)('reads ip4 and ip6 of %s, addresses and routes in that order', (version) => {
    expect(parseResult(shape02, version)).toEqual({
      ips: [
        { address: '10.0.0.2/24', gateway: '10.0.0.1', 'x.ip': { deep: true } },
        { address: 'fd00::2/64', gateway: 'fd00::1' },
      ],
      routes: [
        { dst: '0.0.0.0/0', gw: '10.0.0.1', 'x.route': null },
        { dst: '10.9.0.0/16' },
        { dst: '::/0' },
      ],
      dns: full.dns,
      'x.top': full['x.top'],
    })
  })

  test.each(three)('reads %s: as it is but for ips[].version', (version) => {
    expect(parseResult(shape04 as unknown as JsonObject, version)).toEqual({
      ...full,
      interfaces: shape04.interfaces,
    })
  })

  test.each(one)('reads %s: as it is', (version) => {
    expect(parseResult(full as unknown as JsonObject, version)).toEqual(full)
  })

  test("goes by the result's own cniVersion before the config's", () => {
    expect(parseResult({ cniVersion: '0.2.0', ip4: { ip: '10.0.0.2/24' } }, '1.1.0')).toEqual({
      ips: [{ address: '10.0.0.2/24' }],
    })
    expect(parseResult({ cniVersion: '', ip4: { ip: '10.0.0.2/24' } }, '0.1.0')).toHaveProperty('ips')
  })

  test('matches keys in any case and takes null for absent', () => {
    const text =
      '{"CNIVersion":"0.3.1","Interfaces":[{"NAME":"net1","mac":null}],"IPs":[{"Version":"4","Address":"10.0.0.2/24","Interface":0}],"routes":null,"DNS":{"NameServers":["1.1.1.1"]}}'
    expect(parseResult(parse(text), '1.1.0')).toEqual({
      interfaces: [{ name: 'net1' }],
      ips: [{ address: '10.0.0.2/24', interface: 0 }],
      dns: { nameservers: ['1.1.1.1'] },
    })
  })

  test.each([
    ['[]', 6, 'result: must be an object'],
    ['null', 6, 'result: must be an object'],
    ['{"cniVersion":7}', 6, 'cniVersion: must be a string'],
    [
      '{"cniVersion":"9.9.9"}',
      1,
      'Cannot read a result of cniVersion "9.9.9": must be one of 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0',
    ],
    ['{"interfaces":{}}', 6, 'interfaces: must be an array'],
    ['{"interfaces":[null]}', 6, 'interfaces[0]: must be an object'],
    ['{"interfaces":[{"mac":"x"}]}', 6, 'interfaces[0].name: must be a string'],
    ['{"interfaces":[{"name":"a","mtu":"9000"}]}', 6, 'interfaces[0].mtu: must be an integer'],
    ['{"interfaces":[{"name":"a","pciID":1}]}', 6, 'interfaces[0].pciID: must be a string'],
    ['{"ips":[{"address":"10.0.0.1/8"},{}]}', 6, 'ips[1].address: must be a string'],
    ['{"ips":[{"address":"10.0.0.1/8","interface":0.5}]}', 6, 'ips[0].interface: must be an integer'],
    ['{"ips":[{"address":"10.0.0.1/8","gateway":[]}]}', 6, 'ips[0].gateway: must be a string'],
    ['{"routes":[{"gw":"10.0.0.1"}]}', 6, 'routes[0].dst: must be a string'],
    [
      '{"routes":[{"dst":"0.0.0.0/0","table":18446744073709551615}]}',
      6,
      'routes[0].table: must be an integer',
    ],
    ['{"dns":[]}', 6, 'dns: must be an object'],
    ['{"dns":{"search":"a.b"}}', 6, 'dns.search: must be an array of strings'],
    ['{"dns":{"options":[1]}}', 6, 'dns.options: must be an array of strings'],
    ['{"cniVersion":"0.2.0","ip4":"10.0.0.1/8"}', 6, 'ip4: must be an object'],
    ['{"cniVersion":"0.2.0","ip6":{}}', 6, 'ip6.ip: must be a string'],
    ['{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.1/8","routes":{}}}', 6, 'ip4.routes: must be an array'],
    ['{"cniVersion":"0.3.1","ips":["10.0.0.1/8"]}', 6, 'ips[0]: must be an object'],
  ])('refuses %s', (text, code, message) => {
    expect(() => parseResult(parse(text), '1.1.0')).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    )
  })
})

describe('a result that passes through', () => {
  const address = fc.oneof(
    fc.ipV4().map((ip) => `${ip}/24`),
    fc
      .ipV6()
      .filter((ip) => ip.includes(':'))
      .map((ip) => `${ip}/64`),
  )
  /** Values in the form that parse gives them: no -0, and bigints where a double would not be exact. */
  const asRead = fc.jsonValue({ maxDepth: 2 }).map((value) => parse(stringify(value)))
  const unknown = fc.dictionary(
    fc.string({ maxLength: 8 }).map((key) => `x.${key}`),
    asRead,
    { maxKeys: 2 },
  )
  const merged = <T extends object>(known: fc.Arbitrary<T>) =>
    fc.tuple(known, unknown).map(([a, b]) => ({ ...b, ...a }))
  const optional = <T extends Record<string, fc.Arbitrary<unknown>>>(
    model: T,
    required: (keyof T & string)[],
  ) => merged(fc.record(model, { requiredKeys: required }))
  const number = fc.nat(4096)

  const result: fc.Arbitrary<Result> = merged(
    fc.record(
      {
        interfaces: fc.array(
          optional(
            {
              name: fc.string(),
              mac: fc.string(),
              sandbox: fc.string(),
              mtu: number,
              pciID: fc.string(),
              socketPath: fc.string(),
            },
            ['name'],
          ),
          { maxLength: 3 },
        ),
        ips: fc.array(optional({ address, gateway: fc.string(), interface: number }, ['address']), {
          maxLength: 4,
        }),
        routes: fc.array(
          optional({ dst: address, gw: fc.string(), table: number, priority: number }, ['dst']),
          { maxLength: 4 },
        ),
        dns: optional({ nameservers: fc.array(fc.string(), { maxLength: 2 }), domain: fc.string() }, []),
      },
      { requiredKeys: [] },
    ),
  ) as fc.Arbitrary<Result>

  test.each(one)('comes out of %s as it went in', (version) => {
    fc.assert(
      fc.property(result, (value) => {
        expect(parseResult(parse(printResult(value, version)), '0.1.0')).toEqual(value)
      }),
    )
  })

  test.each([...two, ...three])('comes out of %s as the document that went in', (version) => {
    fc.assert(
      fc.property(result, (value) => {
        const printed = printResult(value, version)
        const again = printResult(parseResult(parse(printed), '1.1.0'), version)
        expect(parse(again)).toEqual(parse(printed))
      }),
    )
  })

  test.each(three)('loses only the interface fields of 1.1.0 in %s', (version) => {
    fc.assert(
      fc.property(result, (value) => {
        const back = parseResult(parse(printResult(value, version)), version)
        const kept = value.interfaces?.map(({ mtu: _, pciID: __, socketPath: ___, ...rest }) => rest)
        expect(back).toEqual({ dns: {}, ...value, ...(kept ? { interfaces: kept } : {}) })
      }),
    )
  })

  test('is parsed or refused with a CniError, whatever it is', () => {
    const keys = [
      'cniVersion',
      'interfaces',
      'ips',
      'routes',
      'dns',
      'ip4',
      'ip6',
      'IPs',
      'name',
      'address',
      'dst',
      'ip',
    ]
    const anything = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.jsonValue({ maxDepth: 1 }),
        fc.constantFrom('0.2.0', '0.3.1', '10.0.0.1/8'),
        tie('object'),
        fc.array(tie('value'), { maxLength: 3 }),
      ),
      object: fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 5 }),
    })).object as fc.Arbitrary<JsonObject>
    let parsed = 0
    fc.assert(
      fc.property(anything, fc.constantFrom(...supportedVersions), (value, version) => {
        let read: Result
        try {
          read = parseResult(value, version)
        } catch (error) {
          expect(error).toMatchObject({
            name: 'CniError',
            code: expect.toSatisfy((code: number) => code === 1 || code === 6),
          })
          return
        }
        parsed++
        for (const target of supportedVersions) expect(() => parse(printResult(read, target))).not.toThrow()
      }),
      { numRuns: 1000 },
    )
    expect(parsed).toBeGreaterThan(50)
  })
})
