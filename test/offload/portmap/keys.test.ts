// Each mapping has the keys of its reservation and the rules of its translation.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareIp, parseIp } from '../../../src/lib/ip.ts'
import type { PortMapping } from '../../../src/offload/config/config.ts'
import type { HostAddress } from '../../../src/offload/port/addresses.ts'
import { type HostAddresses, portKeys } from '../../../src/offload/portmap/keys.ts'
import { podNatTable } from '../../../src/offload/portmap/pod-nat.ts'
import { refusalOf } from '../../support/request.ts'

const on = (address: string, link = 'pf0', vlan = 0): HostAddress => ({ address, link, vlan })
const hostOf = (
  served: readonly HostAddress[],
  elsewhere: readonly HostAddress[] = [],
  vlan = 0,
): HostAddresses => ({
  served,
  elsewhere,
  vlan,
  uplink: 'pf0',
  localhost: () => false,
})
const two = hostOf([on('10.1.0.1'), on('10.1.0.2'), on('2001:db8::1')])
const v4 = ['10.1.0.5']
const dual = ['10.1.0.5', '2001:db8::5']
const http: PortMapping = { proto: 'tcp', hostPort: 8080, containerPort: 80, hostIP: undefined }

/** `ADDRESS port PORT/PROTO -> ADDRESS port PORT` */
const shown = (mappings: readonly PortMapping[], podIPs: readonly string[], host: HostAddresses = two) =>
  portKeys(mappings, podIPs, host).map(
    ({ address, port, proto, toAddress, toPort }) =>
      `${address} port ${port}/${proto} -> ${toAddress} port ${toPort}`,
  )

describe('addresses of a mapping', () => {
  test('all of the uplink in the families that the pod has', () => {
    expect(shown([http], v4)).toEqual([
      '10.1.0.1 port 8080/tcp -> 10.1.0.5 port 80',
      '10.1.0.2 port 8080/tcp -> 10.1.0.5 port 80',
    ])
    expect(shown([http], ['2001:db8::5'])).toEqual(['2001:db8::1 port 8080/tcp -> 2001:db8::5 port 80'])
    expect(shown([http], dual)).toHaveLength(3)
  })

  test.each([
    ['0.0.0.0', ['10.1.0.1', '10.1.0.2']],
    ['::', ['2001:db8::1']],
    ['10.1.0.2', ['10.1.0.2']],
    ['2001:db8::1', ['2001:db8::1']],
  ])('hostIP %s', (hostIP, addresses) => {
    expect(portKeys([{ ...http, hostIP }], dual, two).map(({ address }) => address)).toEqual(addresses)
  })

  test('a temporary address serves whom names it', () => {
    const host = hostOf([on('2001:db8::1'), { ...on('2001:db8::2'), temporary: true }])
    const addresses = (hostIP?: string) =>
      portKeys([{ ...http, hostIP }], dual, host).map(({ address }) => address)
    expect(addresses('::')).toEqual(['2001:db8::1'])
    expect(addresses()).toEqual(['2001:db8::1'])
    expect(addresses('2001:db8::2')).toEqual(['2001:db8::2'])
  })

  test('a wish for a family that the pod has not is none, even an impossible one', () => {
    for (const hostIP of ['::', '2001:db8::1', '2001:db8::99'])
      expect(shown([{ ...http, hostIP }], v4)).toEqual([])
    expect(shown([{ ...http, hostIP: '0.0.0.0' }], ['2001:db8::5'])).toEqual([])
    expect(shown([http], [])).toEqual([])
  })

  test('leads to the pod’s first address of the family', () => {
    const pod = ['10.1.0.5', '2001:db8::5', '10.1.0.6', '2001:db8::6']
    expect(new Set(portKeys([http], pod, two).map(({ toAddress }) => toAddress))).toEqual(
      new Set(['10.1.0.5', '2001:db8::5']),
    )
  })

  test('one that the uplink has twice (with two prefix lengths) counts once', () => {
    const host = hostOf([on('10.1.0.1'), on('10.1.0.1'), on('10.1.0.2')])
    expect(shown([http], v4, host)).toHaveLength(2)
    expect(shown([{ ...http, hostIP: '10.1.0.1' }], v4, host)).toHaveLength(1)
  })
})

describe('refused, code 7', () => {
  const vlanHost = hostOf(
    [on('10.100.0.1', 'pf0.100', 100)],
    [on('10.1.0.1'), on('10.2.0.1', 'pf0.200', 200)],
    100,
  )

  test.each([
    [
      { hostIP: '10.1.0.9' },
      two,
      'hostIP "10.1.0.9": must be an address on uplink "pf0" without VLAN, the VF\'s wire, which has 10.1.0.1, 10.1.0.2, 2001:db8::1',
    ],
    [
      { hostIP: '10.1.0.1' },
      vlanHost,
      'hostIP "10.1.0.1": it is on "pf0" without VLAN, the VF is on uplink "pf0" in VLAN 100',
    ],
    [
      { hostIP: '10.2.0.1' },
      vlanHost,
      'hostIP "10.2.0.1": it is on "pf0.200" in VLAN 200, the VF is on uplink "pf0" in VLAN 100',
    ],
    [
      { hostIP: '10.100.0.1' },
      hostOf([], [on('10.100.0.1', 'pf0.100', 100)]),
      'hostIP "10.100.0.1": it is on "pf0.100" in VLAN 100, the VF is on uplink "pf0" without VLAN',
    ],
    [
      {},
      hostOf([on('2001:db8::1')]),
      'hostPort 8080: must be an address on uplink "pf0" without VLAN, the VF\'s wire, which has 2001:db8::1',
    ],
    [
      {},
      hostOf([], [on('10.1.0.1')], 100),
      'hostPort 8080: must be an address on uplink "pf0" in VLAN 100, the VF\'s wire, which has none',
    ],
    [
      { hostIP: '0.0.0.0' },
      hostOf([]),
      'hostPort 8080: must be an address on uplink "pf0" without VLAN, the VF\'s wire, which has none',
    ],
  ])('%j', (change, host, message) => {
    const refusal = refusalOf(() => portKeys([{ ...http, ...change }], v4, host))
    expect(refusal.message).toBe(`Cannot serve ${message}`)
    expect(refusal.code).toBe(7)
  })

  test.each([
    [{ ...http, containerPort: 81 }, '8080 twice: to port 80 and to port 81'],
    [{ ...http, hostIP: '10.1.0.1', containerPort: 81 }, '8080 twice: to port 80 and to port 81'],
    [http, '8080 twice: to port 80 and to port 80'],
  ])('a port that is mapped twice: %j', (second, words) => {
    const { code, message } = refusalOf(() => portKeys([http, second], v4, two))
    expect(message).toBe(`Cannot map tcp 10.1.0.1 port ${words}`)
    expect(code).toBe(7)
  })

  test('not one for another protocol, address or port', () => {
    const near = [
      http,
      { ...http, proto: 'udp' as const },
      { ...http, hostPort: 8081 },
      { ...http, hostPort: 9000, hostIP: '10.1.0.1' },
      { ...http, hostPort: 9000, hostIP: '10.1.0.2' },
    ]
    expect(portKeys(near, v4, two)).toHaveLength(8)
  })
})

test('the order is that of addresses as numbers, then ports as numbers, whatever the order of the wishes', () => {
  const mappings = [9, 80, 443, 8080].flatMap((hostPort) =>
    (['udp', 'tcp'] as const).map((proto) => ({ ...http, hostPort, proto })),
  )
  const host = [on('10.1.0.10'), on('10.1.0.9'), on('2001:db8::10'), on('2001:db8::9'), on('9.0.0.1')]
  const sorted = shown(mappings, dual, hostOf(host))
  expect(sorted.slice(0, 3)).toEqual([
    '9.0.0.1 port 9/tcp -> 10.1.0.5 port 80',
    '9.0.0.1 port 9/udp -> 10.1.0.5 port 80',
    '9.0.0.1 port 80/tcp -> 10.1.0.5 port 80',
  ])
  expect([...new Set(sorted.map((line) => line.split(' ')[0]))]).toEqual([
    '9.0.0.1',
    '10.1.0.9',
    '10.1.0.10',
    '2001:db8::9',
    '2001:db8::10',
  ])
  fc.assert(
    fc.property(
      fc.shuffledSubarray(mappings, { minLength: mappings.length }),
      fc.shuffledSubarray(host, { minLength: host.length }),
      (wishes, addresses) => {
        expect(shown(wishes, dual, hostOf(addresses))).toEqual(sorted)
      },
    ),
  )
})

test('no key is ever outside the uplink’s served addresses or of another family than its target', () => {
  const address = fc.constantFrom('10.1.0.1', '10.1.0.2', '10.1.0.3', '2001:db8::1', '2001:db8::2')
  const mapping = fc.record({
    proto: fc.constantFrom('tcp' as const, 'udp' as const),
    hostPort: fc.integer({ min: 1, max: 65535 }),
    containerPort: fc.integer({ min: 1, max: 65535 }),
    hostIP: fc.option(fc.oneof(address, fc.constantFrom('0.0.0.0', '::')), { nil: undefined }),
  })
  let made = 0
  fc.assert(
    fc.property(
      fc.array(mapping, { maxLength: 4 }),
      fc.subarray([...dual]),
      fc.array(address),
      (wishes, pod, host) => {
        let keys: ReturnType<typeof portKeys>
        try {
          keys = portKeys(wishes, pod, hostOf(host.map((ip) => on(ip))))
        } catch {
          return
        }
        for (const { address: ip, toAddress } of keys) {
          made++
          expect(host).toContain(ip)
          expect(pod).toContain(toAddress)
          expect(ip.includes(':')).toBe(toAddress.includes(':'))
        }
        for (const [index, { address: ip }] of keys.entries()) {
          const next = keys[index + 1]
          if (next !== undefined) expect(compareIp(parseIp(ip), parseIp(next.address))).toBeLessThanOrEqual(0)
        }
      },
    ),
    { numRuns: 500 },
  )
  expect(made).toBeGreaterThan(100)
})

describe('the table in the pod', () => {
  test('one map for each family and protocol, the same in both chains', () => {
    const keys = portKeys(
      [http, { ...http, proto: 'udp', hostPort: 53, containerPort: 5353 }, { ...http, hostPort: 443 }],
      dual,
      hostOf([on('10.1.0.1'), on('2001:db8::1')]),
    )
    const rules = `\
    dnat ip to ip daddr . tcp dport map { 10.1.0.1 . 443 : 10.1.0.5 . 80, 10.1.0.1 . 8080 : 10.1.0.5 . 80 }
    dnat ip to ip daddr . udp dport map { 10.1.0.1 . 53 : 10.1.0.5 . 5353 }
    dnat ip6 to ip6 daddr . tcp dport map { 2001:db8::1 . 443 : 2001:db8::5 . 80, 2001:db8::1 . 8080 : 2001:db8::5 . 80 }
    dnat ip6 to ip6 daddr . udp dport map { 2001:db8::1 . 53 : 2001:db8::5 . 5353 }
`
    expect(podNatTable('vf-flower-x', keys)).toBe(`\
table inet vf-flower-x {
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
${rules}  }
  chain output {
    type nat hook output priority -100; policy accept;
${rules}  }
}
`)
  })

  test('no rule for a family or protocol without keys', () => {
    const text = podNatTable('vf-flower-x', portKeys([http], v4, two))
    expect(text).not.toContain('ip6')
    expect(text).not.toContain('udp')
  })
})
