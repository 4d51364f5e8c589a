// The report says for each mapping its filters, the place where they run, and the words of the driver.
import { expect, test } from 'vitest'
import { isHairpin, portmapSections, reportOf as reportWith } from '../../../src/offload/state/report.ts'
import type { FlowFilter } from '../../../src/ops/op.ts'
import type { OffloadJournal } from '../../../src/records/offload.ts'
import type { PluginRecord } from '../../../src/records/record.ts'

const rule: FlowFilter = {
  ...{ link: 'pf0', ifindex: 2, prio: 10, address: '10.1.0.1', proto: 'tcp', port: 8080 },
  out: { link: 'rep0', ifindex: 7 },
  ...{ srcMac: '02:00:00:00:00:01', cookie: '7666' },
}
const key = { address: '10.1.0.1', proto: 'tcp', port: 8080, toAddress: '10.1.0.5', toPort: 80 } as const
const entry = { line: 'tc filter add ...', rule, prio: 10, handle: 1 }

function record(journal: Partial<OffloadJournal>): PluginRecord<OffloadJournal> {
  const owner = { containerID: 'c', ifname: 'net1', network: 'n', netns: '/ns', netnsId: '4:1', bootId: 'b' }
  const base: OffloadJournal = {
    ...{ device: '0000:3b:02.1', uplink: { name: 'pf0', ifindex: 2 }, nat: 'pod' as const },
    ...{ keys: [key], ops: [], rules: [], notes: [] },
    ...journal,
  }
  return { schema: 1, plugin: 'vf-offload', phase: 'attached', owner, journal: base }
}

/** The report of port mappings alone. */
const reportOf = (
  of: ReturnType<typeof record>,
  config: Parameters<typeof reportWith>[1],
  args: Parameters<typeof reportWith>[2],
) => reportWith(of, config, args, [portmapSections(of.journal)])

test('each wish has its rules, the place where they run, and the words of the driver', () => {
  const v6 = { ...key, address: 'fd00::1', toAddress: 'fd00::5' }
  const udp = { ...key, proto: 'udp', port: 53, toPort: 53 } as const
  const report = reportOf(
    record({
      keys: [key, v6, udp],
      rules: [
        { ...entry, mapping: 'tcp 8080 -> 80', where: 'nic' },
        { ...entry, mapping: 'udp 53 -> 53', where: 'host', refusal: 'ENOSPC: table full' },
        { ...entry, mapping: 'udp 53 -> 53', where: 'host', refusal: 'ENOSPC: table full' },
        { ...entry, line: 'tc filter of all', mapping: 'fragments', where: 'host' },
      ],
      ops: [
        { do: 'clsact.add', side: 'host', link: 'pf0' },
        { do: 'rule.add', side: 'pod', rule: { src: '10.1.0.5', table: 7, priority: 30_000 } },
        { do: 'nft.load', side: 'pod', table: 't', text: 'table inet t {\n}\n' },
      ],
      notes: ['a note'],
    }),
    { offload: 'prefer', nat: 'auto' },
    new Map([
      ['K8S_POD_NAMESPACE', 'shop'],
      ['K8S_POD_NAME', 'web-0'],
    ]),
  )
  expect(report).toMatchObject({ schema: 1, containerID: 'c', pod: 'shop/web-0', uplink: 'pf0', nat: 'pod' })
  expect(report.mappings).toEqual([
    {
      mapping: 'tcp 8080 -> 80',
      where: 'nic',
      served: ['10.1.0.1:8080 -> 10.1.0.5:80', '[fd00::1]:8080 -> [fd00::5]:80'],
      rules: [{ line: entry.line, where: 'nic' }],
    },
    {
      mapping: 'udp 53 -> 53',
      where: 'host',
      served: ['10.1.0.1:53 -> 10.1.0.5:53'],
      rules: Array(2).fill({ line: entry.line, where: 'host', refusal: 'ENOSPC: table full' }),
    },
  ])
  expect(report.refusals).toEqual(['ENOSPC: table full'])
  expect(report.others.map(({ line, where }) => [where, line])).toEqual([
    ['host', 'tc qdisc add dev pf0 clsact'],
    ['pod', 'pod:ip rule add from 10.1.0.5 lookup 7 priority 30000'],
    ['pod', 'pod:nft -f - <<END\ntable inet t {\n}\nEND'],
    ['host', 'tc filter of all'],
  ])
  expect(JSON.parse(JSON.stringify(report))).toEqual(JSON.parse(JSON.stringify({ ...report })))
})

test('a mapping in the NIC whose rules rewrite nothing is one by redirect alone', () => {
  const { srcMac: _, ...redirect } = rule
  const found = (where: 'nic' | 'host', of: FlowFilter) =>
    portmapSections({
      ...{ keys: [key], ops: [], notes: [], nat: 'pod' },
      rules: [{ ...entry, mapping: 'tcp 8080 -> 80', where, rule: of }],
    }).mappings?.[0]?.redirectAlone
  expect(found('nic', redirect)).toBe(true)
  expect(found('nic', rule)).toBeUndefined()
  expect(found('nic', { ...redirect, to: { address: '10.1.0.5', port: 80 } })).toBeUndefined()
  expect(found('host', redirect)).toBeUndefined()
})

test('without a pod’s name, and without filters', () => {
  const report = reportOf(record({}), { offload: 'off', nat: 'pod' }, new Map())
  expect(report).not.toHaveProperty('pod')
  expect(report.mappings).toEqual([expect.objectContaining({ where: 'host', rules: [] })])
})

test('a filter in the NIC that has no other way out than the port that the frame came by is unproven', () => {
  const { out: _, ...back } = rule
  const one = { ...entry, mapping: 'tcp 8080 -> 80' }
  const rules = [
    { ...one, where: 'nic', rule: back } as const,
    { ...one, where: 'host', rule: back } as const,
  ]
  const { mappings = [] } = portmapSections(record({ rules }).journal)
  expect(mappings[0]?.rules.map(({ delivery }) => delivery)).toEqual(['hairpin, unproven', undefined])
  expect(isHairpin({ where: 'nic', rule })).toBe(false)
  expect(isHairpin({ where: 'nic', rule: { ...back, verdict: 'pass' } })).toBe(false)
})
