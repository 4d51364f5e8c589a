// The words in which vfctl shows attachments, mappings and limits.
import { expect, test } from 'vitest'
import type { Shown } from '../../src/ctl/show.ts'
import { showText } from '../../src/ctl/show-text.ts'

const shown: Shown = {
  ...{ plugin: 'vf-offload', containerID: 'c0ffee', ifname: 'net1', network: 'vf-net', netns: '/ns' },
  ...{
    alive: true,
    complete: true,
    traffic: undefined,
    device: undefined,
    report: undefined,
    mappings: [],
    rules: [],
    limits: [],
  },
}
const counters = {
  inHw: true,
  hardware: { packets: 12n, bytes: 900n },
  software: { packets: 1n, bytes: 60n },
}

test('nothing', () => {
  expect(showText({ attachments: [], errors: [] })).toBe('no attachments\n')
})

test('a device that a program had open at DEL', () => {
  const device = { id: '0000:3b:02.1', pf: '0000:3b:00.0', vf: 3, driver: 'vfio-pci' }
  const attach: Shown = { ...shown, plugin: 'vf-attach', device, pendingClose: true }
  expect(showText({ attachments: [attach], errors: [] })).toContain(
    '\n  its DEL was called while a program had the device open: it is restored when it is closed\n',
  )
})

test('a device, its traffic, rules in the NIC and in software, and what is not as it should be', () => {
  const attach: Shown = {
    ...shown,
    plugin: 'vf-attach',
    device: { id: '0000:3b:02.1', pf: '0000:3b:00.0', vf: 3, driver: 'mlx5_core' },
    traffic: { received: { packets: 5n, bytes: 500n }, sent: { packets: 4n, bytes: 400n }, dropped: 0n },
  }
  const rules: Shown = {
    ...shown,
    alive: false,
    complete: false,
    mappings: [
      { mapping: 'tcp 80 -> 80', served: [], host: [] },
      {
        ...{ mapping: 'udp 53 -> 53', served: [] },
        host: [{ line: '10.1.0.1:53 -> 10.2.0.5:53', isThere: true }],
      },
      {
        ...{ mapping: 'tcp 22 -> 22', served: [] },
        host: [
          { line: '10.1.0.1:22 -> 10.2.0.5:22', isThere: true, connections: 3n },
          { line: '10.1.0.2:22 -> 10.2.0.5:22', isThere: false },
        ],
      },
    ],
    rules: [
      { mapping: 'tcp 80 -> 80', direction: 'to', line: 'tc filter add A', where: 'nic', counters },
      {
        mapping: 'udp 53 -> 53',
        direction: 'to',
        line: 'tc filter add B',
        where: 'host',
        refusal: 'ENOSPC: full',
        counters: { ...counters, inHw: false, hardware: { packets: 0n, bytes: 0n } },
      },
      {
        mapping: 'udp 53 -> 53',
        direction: 'to',
        line: 'tc filter add C',
        where: 'host',
        refusal: 'ENOSPC: full',
        counters: undefined,
      },
    ],
  }
  expect(
    showText({ attachments: [attach, rules], errors: [] }),
  ).toBe(`c0ffee net1, network vf-net, by vf-attach
  device 0000:3b:02.1 (VF 3 of 0000:3b:00.0), driver mlx5_core
  net1 in the pod received 5 packets 500 bytes, sent 4 packets 400 bytes

c0ffee net1, network vf-net, by vf-offload
  its ADD never came to an end
  its network namespace is gone
  tcp 80 -> 80: in the NIC
    tc filter add A
      hardware 12 packets 900 bytes, software 1 packets 60 bytes
  udp 53 -> 53: in software
    the NIC did not take it: ENOSPC: full
    tc filter add B
      software 1 packets 60 bytes
    tc filter add C
      is not there
    by the host's nftables: 10.1.0.1:53 -> 10.2.0.5:53, not counted
  tcp 22 -> 22: in software
    by the host's nftables: 10.1.0.1:22 -> 10.2.0.5:22, 3 connections
    by the host's nftables: 10.1.0.2:22 -> 10.2.0.5:22, is not there
`)
})

test('a filter that sends frames back by their own port: beside its counters stands that nobody has shown it', () => {
  const rule = { mapping: 'tcp 80 -> 80', line: 'tc filter add', where: 'nic', direction: 'to' } as const
  const text = (of: Shown['rules'][number]) =>
    showText({
      attachments: [{ ...shown, mappings: [{ mapping: rule.mapping, served: [], host: [] }], rules: [of] }],
      errors: [],
    })
  expect(text({ ...rule, counters, delivery: 'hairpin, unproven' })).toMatch(
    / hardware .* \(hairpin, unproven\)\n/,
  )
  expect(text({ ...rule, counters })).not.toContain('hairpin')
})

test('requests that the NIC counts and no reply: it may ignore a part of the rules', () => {
  const rule = { mapping: 'tcp 80 -> 80', line: 'tc filter add', where: 'nic' } as const
  const words = 'not one reply'
  const text = (...rules: Shown['rules']) =>
    showText({
      attachments: [{ ...shown, mappings: [{ mapping: rule.mapping, served: [], host: [] }], rules }],
      errors: [],
    })
  const none = { ...counters, hardware: { packets: 0n, bytes: 0n } }
  const to = { ...rule, direction: 'to', counters } as const
  expect(text(to, { ...rule, direction: 'from', counters: none })).toContain(words)
  expect(text(to, { ...rule, direction: 'from', counters })).not.toContain(words)
  expect(text({ ...to, counters: none }, { ...rule, direction: 'from', counters: none })).not.toContain(words)
  expect(text(to)).not.toContain(words)
})

test('limits: how much, where, by what, and what was refused', () => {
  const limit = {
    direction: 'toPod',
    rate: 100_000_000,
    burst: 1,
    where: 'pod',
    means: 'ifb',
    parts: [],
  } as const
  const limits: Shown['limits'] = [
    limit,
    { ...limit, direction: 'fromPod', where: 'nic', means: 'max_tx_rate', refusals: ['tx_max: EOPNOTSUPP'] },
    { ...limit, where: 'nic', means: 'police', counts: 'packet' },
    { ...limit, where: 'host', means: 'tbf', counts: 'frame' },
  ]
  const text = showText({ attachments: [{ ...shown, limits }], errors: [] })
  expect(text).toContain(
    'what comes to the pod is limited to 100000000 bit/s: in the pod, which can take it away with CAP_NET_ADMIN (ifb)\n',
  )
  expect(text).toContain(
    'what the pod sends is limited to 100000000 bit/s: in the NIC (max_tx_rate)\n    not otherwise: tx_max: EOPNOTSUPP\n',
  )
  expect(text).toContain('in the NIC (police, counts IP packets)\n')
  expect(text).toContain('on the host (tbf, counts frames)\n')
})

test('limits: what each part of them has counted, or is set to now', () => {
  const [none, some] = [
    { packets: 0n, bytes: 0n },
    { packets: 12n, bytes: 900n },
  ]
  const soft = { inHw: false, hardware: none, software: some, dropped: 3n }
  const parts: Shown['limits'][number]['parts'] = [
    {
      kind: 'counters',
      line: 'tbf',
      counters: { ...soft, overLimit: 7n, waiting: { packets: 1n, bytes: 60n } },
    },
    {
      kind: 'counters',
      line: 'police',
      counters: { ...soft, inHw: true, hardware: some, software: none, conformed: 9n },
    },
    { kind: 'counters', line: 'ifb', counters: undefined },
    { kind: 'setting', line: 'rate A', wanted: 1_000_000, now: 1_000_000 },
    { kind: 'setting', line: 'rate B', wanted: 1_000_000, now: 2_000_000 },
    { kind: 'setting', line: 'rate C', wanted: 1_000_000, now: 0 },
    { kind: 'setting', line: 'rate D', wanted: 1_000_000, now: undefined },
  ]
  const limits: Shown['limits'] = [
    { direction: 'toPod', rate: 1_000_000, burst: 1, where: 'host', means: 'any', parts },
  ]
  expect(
    showText({ attachments: [{ ...shown, limits }], errors: [] }),
  ).toBe(`c0ffee net1, network vf-net, by vf-offload
  what comes to the pod is limited to 1000000 bit/s: on the host (any)
    tbf
      software 12 packets 900 bytes, 3 packets dropped, waited 7 times, 1 packets 60 bytes waiting
    police
      hardware 12 packets 900 bytes, software 0 packets 0 bytes, 9 packets let through, 3 packets dropped
    ifb
      is not there
    rate A
      set to 1000000 bit/s; no counters
    rate B
      set to 2000000 bit/s now, not 1000000 bit/s; no counters
    rate C
      set to no limit now, not 1000000 bit/s; no counters
    rate D
      can not be read back; no counters
`)
})

test('rules that no single mapping has stand by themselves, and say nothing of where a mapping is', () => {
  const own = { mapping: 'tcp 80 -> 80', direction: 'to', line: 'tc filter of 80', where: 'nic' } as const
  const rules: Shown['rules'] = [
    { ...own, counters },
    {
      ...own,
      mapping: 'fragments',
      direction: 'from',
      line: 'tc filter of all',
      where: 'host',
      counters: undefined,
    },
  ]
  const mappings = [{ mapping: 'tcp 80 -> 80', served: [], host: [] }]
  expect(showText({ attachments: [{ ...shown, mappings, rules }], errors: [] })).toContain(
    [
      '  tcp 80 -> 80: in the NIC',
      '    tc filter of 80',
      '      hardware 12 packets 900 bytes, software 1 packets 60 bytes',
      '  fragments:',
      '    tc filter of all',
      '      is not there',
    ].join('\n'),
  )
})
