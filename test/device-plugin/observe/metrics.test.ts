// The text of /metrics, read by a strict reader of the format: what the view of the service says, counters of VFs, PFs and filters,
// things that were counted when they happened, and nothing of devices and pools that are gone.
import { describe, expect, test } from 'vitest'
import { Metrics, type Questions } from '../../../device-plugin/observe/metrics.ts'
import { type MetricName, metricTable } from '../../../device-plugin/observe/table.ts'
import type { View } from '../../../device-plugin/observe/view.ts'
import type { Shown } from '../../../src/ctl/show.ts'
import { readExposition } from './exposition.ts'
import { pfAddress, snapshotOf, vfAddress, viewOf } from './view.ts'

const [one, two] = [vfAddress(0, 0), vfAddress(0, 1)]

async function scrape(view: View, questions: Partial<Questions> = {}) {
  const metrics = new Metrics({ view: () => view, ...questions })
  return families(metrics)
}

async function families(metrics: Metrics) {
  const read = readExposition(await metrics.text())
  return {
    values: (name: MetricName) =>
      (read.get(name)?.samples ?? []).map(({ labels, value }) => [labels, value] as const),
    value: (name: MetricName, labels: Readonly<Record<string, string>> = {}) =>
      read
        .get(name)
        ?.samples.find((sample) => Object.entries(labels).every(([key, word]) => sample.labels[key] === word))
        ?.value,
    read,
  }
}

test('every metric of the table is in the text, with its type and words, and nothing else is', async () => {
  const { read } = await scrape(viewOf(snapshotOf(2, 4), 2, [one]))
  expect([...read.keys()].sort()).toEqual(Object.keys(metricTable).sort())
  for (const [name, row] of Object.entries(metricTable)) {
    expect(read.get(name)).toMatchObject({ type: row.kind, help: row.help })
    for (const { labels } of read.get(name)?.samples ?? []) {
      const { le: _, ...own } = labels
      expect([name, Object.keys(own).sort()]).toEqual([name, row.labels.toSorted()])
    }
  }
})

test('names follow the conventions: one prefix, and `_total` for counters alone', () => {
  for (const [name, { kind, help }] of Object.entries(metricTable)) {
    expect(name).toMatch(/^vf_flower_[a-z]+(_[a-z]+)*$/)
    expect([name, name.endsWith('_total')]).toEqual([name, kind === 'counter'])
    expect([name, /[.!]$/.test(help)]).toEqual([name, false])
  }
})

describe('the view', () => {
  test('pools: devices, allocatable, allocated, unhealthy by reason, registered, streams', async () => {
    const view = viewOf(snapshotOf(1, 4), 1, [one])
    const [pool] = view.pools
    const bad = [
      { reason: 'carrier' as const, text: 'eth0 has no carrier' },
      { reason: 'link-state' as const, text: 'the link is off' },
    ]
    const devices = pool?.devices.map((device) =>
      device.id === two ? { ...device, health: { healthy: false, reasons: bad } } : device,
    )
    const resource = 'intel.com/pool0'
    const { value, values } = await scrape({ ...view, pools: [{ resource, devices: devices ?? [] }] })
    expect(value('vf_flower_pool_devices', { resource })).toBe(4)
    expect(value('vf_flower_pool_allocatable_devices', { resource })).toBe(3)
    expect(value('vf_flower_pool_allocated_devices', { resource })).toBe(1)
    expect(value('vf_flower_pool_registered', { resource })).toBe(1)
    expect(value('vf_flower_pool_streams', { resource })).toBe(1)
    expect(values('vf_flower_pool_unhealthy_devices')).toEqual([
      [{ resource, reason: 'carrier' }, 1],
      [{ resource, reason: 'link-state' }, 1],
    ])
    expect(values('vf_flower_device_unhealthy')).toEqual([
      [{ device: two, reason: 'carrier' }, 1],
      [{ device: two, reason: 'link-state' }, 1],
    ])
  })

  test('a device with everything that is known of it; the pod that the plugins know where kubelet tells none', async () => {
    const view = viewOf(snapshotOf(1, 2), 1, [one, two])
    const held = new Map(view.allocations.held)
    const resource = 'intel.com/pool0'
    held.set(two, { resource, device: two, pod: { namespace: '', name: '', uid: 'u' }, container: 'app' })
    const attachments = new Map(view.attachments)
    const found = attachments.get(two)
    if (found !== undefined) attachments.set(two, { ...found, pod: { namespace: 'n', name: 'known' } })
    const { values } = await scrape({ ...view, attachments, allocations: { ...view.allocations, held } })
    const common = { resource, pf: pfAddress(0), driver: 'mlx5_core', numa: '0', container: 'app' }
    expect(values('vf_flower_device_info')).toEqual([
      [
        ...[
          {
            ...common,
            device: one,
            index: '0',
            representor: 'eth0_0',
            namespace: 'default',
            pod: `pod-${one}`,
          },
        ],
        1,
      ],
      [{ ...common, device: two, index: '1', representor: 'eth0_1', namespace: 'n', pod: 'known' }, 1],
    ])
  })

  test('PFs, scan, config and the source of allocations', async () => {
    const snapshot = snapshotOf(1, 2)
    const view = viewOf(snapshot)
    const { value, values } = await scrape({
      ...view,
      allocations: { held: new Map(), source: 'guess', isGuess: true },
      config: { generation: 3, readAt: 1_700_000_002_500, problems: ['line 3: no comma'], warnings: 2 },
    })
    const pf = pfAddress(0)
    expect(values('vf_flower_pf_info')).toEqual([[{ pf, uplink: 'eth0', eswitch_mode: 'switchdev' }, 1]])
    const [one] = snapshot.pfs.values()
    if (one === undefined) throw new TypeError('no PF')
    const ports = [...one.netdevs, ...one.netdevs]
    const other = { ...one, uplink: undefined, ports, eswitchMode: undefined, managedElsewhere: 'a DPU?' }
    const there = await scrape({ ...view, snapshot: { ...snapshot, pfs: new Map([[pf, other]]) } })
    expect(there.values('vf_flower_pf_info')).toEqual([
      [{ pf, uplink: 'eth0 eth0', eswitch_mode: 'elsewhere' }, 1],
    ])
    expect(there.value('vf_flower_pf_carrier', { pf })).toBe(1)
    expect(value('vf_flower_pf_vfs', { pf })).toBe(2)
    expect(value('vf_flower_pf_carrier', { pf })).toBe(1)
    expect(value('vf_flower_pf_hw_tc_offload', { pf })).toBe(1)
    expect(value('vf_flower_pf_trouble', { pf })).toBe(0)
    expect(value('vf_flower_last_scan_timestamp_seconds')).toBe(1_700_000_000)
    expect(value('vf_flower_inventory_devices', { type: 'netDevice' })).toBe(2)
    expect(value('vf_flower_config_generation')).toBe(3)
    expect(value('vf_flower_config_reload_failed')).toBe(1)
    expect(value('vf_flower_config_last_reload_timestamp_seconds')).toBe(1_700_000_002.5)
    expect(value('vf_flower_config_warnings')).toBe(2)
    expect(values('vf_flower_allocation_source')).toEqual([[{ source: 'guess' }, 1]])
    expect(value('vf_flower_allocation_guess')).toBe(1)
  })

  test('before the first scan and the first config there is a text, too', async () => {
    const { value, values } = await scrape({
      ...{ snapshot: undefined, pools: [], status: [], attachments: new Map() },
      allocations: { held: new Map(), source: 'guess', isGuess: true },
      config: { generation: 0, readAt: undefined, problems: [], warnings: 0 },
    })
    expect(values('vf_flower_last_scan_timestamp_seconds')).toEqual([])
    expect(value('vf_flower_process_resident_memory_bytes')).toBeGreaterThan(1e6)
    expect(value('vf_flower_process_cpu_seconds_total')).toBeGreaterThan(0)
  })

  test('a device that is gone from the node and held by a pod has its pod still', async () => {
    const view = viewOf(snapshotOf(1, 1), 1, [one])
    const health = { healthy: false, reasons: [{ reason: 'gone' as const, text: 'it is gone' }] }
    const pools = [{ resource: 'r/p', devices: [{ id: one, device: undefined, health }] }]
    const { value } = await scrape({ ...view, pools })
    expect(value('vf_flower_device_info', { device: one, pf: '', pod: `pod-${one}` })).toBe(1)
    expect(value('vf_flower_pool_unhealthy_devices', { resource: 'r/p', reason: 'gone' })).toBe(1)
  })
})

describe('what is counted when it happens', () => {
  test('calls, registrations, scans and events', async () => {
    const metrics = new Metrics({ view: () => viewOf(snapshotOf(1, 1)) })
    const [resource, method] = ['intel.com/pool0', 'Allocate']
    metrics.count('vf_flower_rpc_total', { resource, method, code: 'OK' })
    metrics.time('vf_flower_rpc_duration_seconds', { resource, method }, 7)
    metrics.count('vf_flower_registrations_total', { resource, result: 'ok' })
    metrics.count('vf_flower_events_total', { kind: 'uevent' }, 5_000)
    metrics.count('vf_flower_events_lost_total', {})
    metrics.time('vf_flower_scan_duration_seconds', {}, 120)
    const { value, read } = await families(metrics)
    expect(value('vf_flower_rpc_total', { resource, method, code: 'OK' })).toBe(1)
    expect(value('vf_flower_registrations_total', { resource, result: 'ok' })).toBe(1)
    expect(value('vf_flower_events_total', { kind: 'uevent' })).toBe(5_000)
    expect(value('vf_flower_events_lost_total')).toBe(1)
    const scan = (suffix: string, le?: string) =>
      read
        .get('vf_flower_scan_duration_seconds')
        ?.samples.find(({ name, labels }) => name.endsWith(suffix) && labels.le === le)?.value
    expect([scan('_bucket', '0.1'), scan('_bucket', '0.2'), scan('_count'), scan('_sum')]).toEqual([
      0, 1, 1, 0.12,
    ])
    const rpc = read.get('vf_flower_rpc_duration_seconds')?.samples.find(({ labels }) => labels.le === '0.01')
    expect(rpc).toMatchObject({ labels: { resource, method }, value: 1 })
  })

  test('nothing is left of a pool that is gone, and everything of those that are not', async () => {
    const metrics = new Metrics({ view: () => viewOf(snapshotOf(1, 1)) })
    for (const resource of ['r/gone', 'r/stays']) {
      metrics.count('vf_flower_rpc_total', { resource, method: 'Allocate', code: 'OK' })
      metrics.time('vf_flower_rpc_duration_seconds', { resource, method: 'Allocate' }, 1)
      metrics.count('vf_flower_list_messages_total', { resource })
    }
    metrics.time('vf_flower_scan_duration_seconds', {}, 1)
    await metrics.keepPools(new Set(['r/stays']))
    const text = await metrics.text()
    expect(text).not.toContain('r/gone')
    const { read, value } = await families(metrics)
    expect(value('vf_flower_rpc_total', { resource: 'r/stays' })).toBe(1)
    expect(value('vf_flower_list_messages_total', { resource: 'r/stays' })).toBe(1)
    expect(read.get('vf_flower_scan_duration_seconds')?.samples.at(-1)?.value).toBe(1)
  })
})

describe('what the kernel counts', () => {
  const traffic = (start: bigint) => ({
    receive: { bytes: start, packets: start + 1n, dropped: start + 2n, multicast: start + 3n },
    transmit: { bytes: start + 4n, packets: start + 5n },
  })

  test('VFs and PFs by rtnetlink; a counter that nobody has is absent, not zero', async () => {
    const { value, values } = await scrape(viewOf(snapshotOf(1, 2)), {
      links: () => ({
        pfs: new Map([[pfAddress(0), traffic(100n)]]),
        wires: new Map([[pfAddress(0), traffic(200n)]]),
        vfs: new Map([[one, traffic(10n)]]),
      }),
    })
    expect(values('vf_flower_vf_receive_bytes_total')).toEqual([[{ device: one }, 10]])
    expect(value('vf_flower_vf_receive_packets_total', { device: one })).toBe(11)
    expect(value('vf_flower_vf_receive_dropped_packets_total', { device: one })).toBe(12)
    expect(value('vf_flower_vf_receive_multicast_packets_total', { device: one })).toBe(13)
    expect(value('vf_flower_vf_transmit_bytes_total', { device: one })).toBe(14)
    expect(value('vf_flower_vf_transmit_packets_total', { device: one })).toBe(15)
    expect(values('vf_flower_vf_transmit_dropped_packets_total')).toEqual([])
    expect(value('vf_flower_pf_receive_bytes_total', { pf: pfAddress(0) })).toBe(100)
    expect(values('vf_flower_pf_transmit_errors_total')).toEqual([])
    expect(values('vf_flower_pf_wire_receive_bytes_total')).toEqual([[{ pf: pfAddress(0) }, 200]])
    expect(values('vf_flower_pf_wire_transmit_packets_total')).toEqual([[{ pf: pfAddress(0) }, 205]])
  })

  const rule = (
    direction: 'to' | 'from',
    inHw: boolean,
    [hardware, software]: readonly [bigint, bigint],
  ): Shown['rules'][number] => ({
    ...{ mapping: 'tcp 80 -> 8080', line: 'tc', where: inHw ? 'nic' : 'host', direction },
    counters: {
      inHw,
      hardware: { packets: hardware, bytes: hardware * 100n },
      software: { packets: software, bytes: software * 100n },
    },
  })
  const shown = (change: Partial<Shown>): Shown => ({
    ...{
      plugin: 'vf-offload',
      containerID: `c-${one}`,
      ifname: 'net1',
      network: 'n',
      netns: '/n',
      alive: true,
    },
    ...{ complete: true, traffic: undefined, device: undefined, report: undefined },
    ...{ mappings: [], limits: [], rules: [] },
    ...change,
  })

  test('filters by place and direction, joined with the device of the attachment', async () => {
    const rules = [
      ...[rule('to', true, [5n, 1n]), rule('to', true, [2n, 0n]), rule('from', false, [0n, 4n])],
      { ...rule('from', true, [0n, 0n]), counters: undefined },
    ]
    const { value, values } = await scrape(viewOf(snapshotOf(1, 1), 1, [one]), {
      filters: () => [shown({ rules })],
    })
    const labels = { device: one, container_id: `c-${one}`, interface: 'net1', namespace: '', pod: '' }
    expect(values('vf_flower_filters')).toEqual([
      [{ ...labels, place: 'hardware' }, 2],
      [{ ...labels, place: 'software' }, 1],
      [{ ...labels, place: 'missing' }, 1],
    ])
    const packets = (place: string, direction: string) =>
      value('vf_flower_filter_packets_total', { place, direction })
    expect([packets('hardware', 'to'), packets('software', 'to')]).toEqual([7, 1])
    expect([packets('hardware', 'from'), packets('software', 'from')]).toEqual([0, 4])
    expect(value('vf_flower_filter_bytes_total', { place: 'hardware', direction: 'to' })).toBe(700)
  })

  test('the pod of filters without an attachment of vf-attach is the one that the report names', async () => {
    const report = { device: '0000:99:00.1', pod: 'default/web' }
    const { values } = await scrape(viewOf(snapshotOf(1, 1)), {
      filters: () => [shown({ report, rules: [rule('to', true, [1n, 0n])] })],
    })
    expect(values('vf_flower_filters')[0]?.[0]).toMatchObject({ ...{ device: '0000:99:00.1', pod: 'web' } })
  })

  test('interfaces in pods are asked only where nobody on the host counts, and then tell of their VF', async () => {
    let asked = 0
    const inPod = shown({
      device: { id: one, pf: pfAddress(0), vf: 0, driver: 'igbvf' },
      traffic: { received: { packets: 3n, bytes: 300n }, sent: { packets: 4n, bytes: 400n }, dropped: 0n },
    })
    const ask = (vfs: ReadonlyMap<string, ReturnType<typeof traffic>>) =>
      scrape(viewOf(snapshotOf(1, 1), 1, [one]), {
        links: () => ({ pfs: new Map(), wires: new Map(), vfs }),
        inPods: () => {
          asked++
          return [inPod]
        },
      })
    const { value } = await ask(new Map())
    expect(value('vf_flower_vf_receive_bytes_total', { device: one })).toBe(300)
    expect(asked).toBe(1)
    await ask(new Map([[one, traffic(1n)]]))
    expect(asked).toBe(1)
  })

  test('a part that fails is counted, and the others are there', async () => {
    const { value, values } = await scrape(viewOf(snapshotOf(1, 1)), {
      links: () => {
        throw new RangeError('no netlink here')
      },
      filters: (errors) => {
        errors.push('Cannot read record')
        return []
      },
    })
    expect(values('vf_flower_collect_failures_total')).toEqual([[{ part: 'links' }, 1]])
    expect(value('vf_flower_records_unusable')).toBe(1)
    expect(value('vf_flower_pool_devices')).toBe(1)
  })
})

test('labels with quotes, backslashes and line feeds are read back as they were', async () => {
  const odd = 'a"b\\c\nd'
  const view = viewOf(snapshotOf(1, 1), 1, [one])
  const held = new Map([[one, { resource: 'r', device: one, pod: { namespace: odd, name: odd } }]])
  const { value } = await scrape({ ...view, allocations: { held, source: 'podresources', isGuess: false } })
  expect(value('vf_flower_device_info', { pod: odd, namespace: odd })).toBe(1)
})

test('scrapes at one time get one text', async () => {
  let looks = 0
  const metrics = new Metrics({
    view: () => {
      looks++
      return viewOf(snapshotOf(1, 1))
    },
  })
  const texts = await Promise.all([metrics.text(), metrics.text(), metrics.text()])
  expect(new Set(texts).size).toBe(1)
  expect(looks).toBe(1)
})

test('a large node: 8 PFs with 128 VFs in 10 pools, all in pods', async () => {
  const snapshot = snapshotOf(8, 128)
  const vfs = new Map(
    snapshot.devices.map(({ id }, at) => [
      id,
      {
        receive: { bytes: BigInt(at), packets: 1n, dropped: 0n, broadcast: 0n, multicast: 0n },
        transmit: { bytes: 1n, packets: 1n, dropped: 0n },
      },
    ]),
  )
  const { read } = await scrape(viewOf(snapshot, 10, [...vfs.keys()]), {
    links: () => ({ pfs: new Map(), wires: new Map(), vfs }),
  })
  expect(read.get('vf_flower_device_info')?.samples).toHaveLength(1_024)
  expect(read.get('vf_flower_vf_receive_bytes_total')?.samples).toHaveLength(1_024)
})
