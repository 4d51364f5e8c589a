/**
 * The Grafana dashboard of the device plugin (docs/grafana/vf-flower.json) and the tables of docs/metrics.md, from the table of metrics
 * (device-plugin/observe/table.ts). hack/docs.ts writes both, and a test fails when they are behind.
 */
import { type MetricName, type MetricRow, metricGroups } from '../device-plugin/observe/table.ts'
import { agentMetrics } from '../src/agent/metrics/table.ts'

/** A line of a panel: an expression with its legend. */
type Line = readonly [legend: string, expression: string]
interface Panel {
  readonly title: string
  readonly kind: 'timeseries' | 'stat' | 'table'
  readonly unit: string
  /** Of 24. */
  readonly width: number
  readonly lines: readonly Line[]
}

const node = 'instance=~"$node"'
const pool = `${node}, resource=~"$pool"`
const info = `vf_flower_device_info{${pool}}`

/** A metric of the table: a name that is not there does not compile. */
function of(name: MetricName, matchers = node): string {
  return `${name}{${matchers}}`
}
const rate = (name: MetricName, matchers?: string) => `rate(${of(name, matchers)}[$__rate_interval])`
/** A rate of devices by the pods that have them now. */
const byPod = (name: MetricName) =>
  `sum by (namespace, pod) (${rate(name)} * on (instance, device) group_left (namespace, pod) ${info})`
const quantile = (share: number, name: MetricName, labels: string, matchers?: string) =>
  `histogram_quantile(${share}, sum by (${labels}) (rate(${name}_bucket{${matchers ?? node}}[$__rate_interval])))`

const series = (title: string, unit: string, width: number, ...lines: Line[]): Panel => ({
  ...{ title, kind: 'timeseries', unit, width, lines },
})
const stat = (title: string, unit: string, width: number, ...lines: Line[]): Panel => ({
  ...{ title, kind: 'stat', unit, width, lines },
})
const table = (title: string, width: number, ...lines: Line[]): Panel => ({
  ...{ title, kind: 'table', unit: 'short', width, lines },
})

const rows: Readonly<Record<string, readonly Panel[]>> = {
  Pools: [
    stat('Pools without a stream', 'short', 4, [
      '',
      `count(${of('vf_flower_pool_streams', pool)} == 0) or vector(0)`,
    ]),
    stat('Unhealthy devices', 'short', 4, [
      '',
      `sum(${of('vf_flower_pool_devices', pool)}) - sum(${of('vf_flower_pool_allocatable_devices', pool)})`,
    ]),
    stat('Configs that can not be used', 'short', 4, ['', `sum(${of('vf_flower_config_reload_failed')})`]),
    stat('Nodes that guess who has what', 'short', 4, ['', `sum(${of('vf_flower_allocation_guess')})`]),
    stat('Filters in hardware', 'percentunit', 4, [
      '',
      `sum(${of('vf_flower_filters', `${node}, place="hardware"`)}) / sum(${of('vf_flower_filters')})`,
    ]),
    stat('Devices free', 'short', 4, [
      '',
      `sum(${of('vf_flower_pool_allocatable_devices', pool)}) - sum(${of('vf_flower_pool_allocated_devices', pool)})`,
    ]),
    series(
      ...(['Devices by pool', 'short', 12] as const),
      ['{{resource}} all', `sum by (resource) (${of('vf_flower_pool_devices', pool)})`],
      ['{{resource}} allocatable', `sum by (resource) (${of('vf_flower_pool_allocatable_devices', pool)})`],
      ['{{resource}} in use', `sum by (resource) (${of('vf_flower_pool_allocated_devices', pool)})`],
    ),
    series('Unhealthy devices by reason', 'short', 12, [
      '{{resource}} {{reason}}',
      `sum by (resource, reason) (${of('vf_flower_pool_unhealthy_devices', pool)})`,
    ]),
  ],
  Pods: [
    series('Received by pod', 'Bps', 12, [
      '{{namespace}}/{{pod}}',
      byPod('vf_flower_vf_receive_bytes_total'),
    ]),
    series('Sent by pod', 'Bps', 12, ['{{namespace}}/{{pod}}', byPod('vf_flower_vf_transmit_bytes_total')]),
    series(
      ...(['Packets by pod', 'pps', 12] as const),
      ['{{namespace}}/{{pod}} received', byPod('vf_flower_vf_receive_packets_total')],
      ['{{namespace}}/{{pod}} sent', byPod('vf_flower_vf_transmit_packets_total')],
    ),
    series(
      ...(['Dropped by pod', 'pps', 12] as const),
      ['{{namespace}}/{{pod}} to it', byPod('vf_flower_vf_receive_dropped_packets_total')],
      ['{{namespace}}/{{pod}} from it', byPod('vf_flower_vf_transmit_dropped_packets_total')],
    ),
    table('Devices', 24, ['', `${info}`]),
  ],
  Filters: [
    series('Filters by place', 'short', 8, ['{{place}}', `sum by (place) (${of('vf_flower_filters')})`]),
    series('Packets by place', 'pps', 8, [
      '{{place}} {{direction}} the pod',
      `sum by (place, direction) (${rate('vf_flower_filter_packets_total')})`,
    ]),
    series('Bytes by place', 'Bps', 8, [
      '{{place}} {{direction}} the pod',
      `sum by (place, direction) (${rate('vf_flower_filter_bytes_total')})`,
    ]),
    table('Attachments with filters in software', 24, [
      '',
      `${of('vf_flower_filters', `${node}, place="software"`)} > 0`,
    ]),
  ],
  PFs: [
    table('PFs', 12, ['', of('vf_flower_pf_info')]),
    series(
      ...(['Carrier and trouble', 'short', 12] as const),
      ['{{instance}} {{pf}} carrier', of('vf_flower_pf_carrier')],
      ['{{instance}} {{pf}} trouble', of('vf_flower_pf_trouble')],
    ),
    series(
      ...(['On the wire', 'Bps', 12] as const),
      ['{{instance}} {{pf}} received', rate('vf_flower_pf_wire_receive_bytes_total')],
      ['{{instance}} {{pf}} sent', rate('vf_flower_pf_wire_transmit_bytes_total')],
    ),
    series(
      ...(['Uplinks as they count', 'Bps', 12] as const),
      ['{{instance}} {{pf}} received', rate('vf_flower_pf_receive_bytes_total')],
      ['{{instance}} {{pf}} sent', rate('vf_flower_pf_transmit_bytes_total')],
    ),
    series(
      ...(['Drops and errors of uplinks', 'pps', 12] as const),
      ['{{instance}} {{pf}} dropped', rate('vf_flower_pf_receive_dropped_packets_total')],
      ['{{instance}} {{pf}} receive errors', rate('vf_flower_pf_receive_errors_total')],
      ['{{instance}} {{pf}} transmit errors', rate('vf_flower_pf_transmit_errors_total')],
    ),
    series('VFs', 'short', 12, ['{{instance}} {{pf}}', of('vf_flower_pf_vfs')]),
  ],
  'Device plugin': [
    series('Calls of kubelet, 99 of 100 within', 's', 8, [
      '{{method}}',
      quantile(0.99, 'vf_flower_rpc_duration_seconds', 'le, method', pool),
    ]),
    series('Calls of kubelet', 'ops', 8, [
      '{{method}} {{code}}',
      `sum by (method, code) (${rate('vf_flower_rpc_total', pool)})`,
    ]),
    series('Registrations', 'ops', 8, [
      '{{resource}} {{result}}',
      `sum by (resource, result) (${rate('vf_flower_registrations_total', pool)})`,
    ]),
    series('Scans, 99 of 100 within', 's', 8, [
      '{{instance}}',
      quantile(0.99, 'vf_flower_scan_duration_seconds', 'le, instance'),
    ]),
    series(
      ...(['Notifications of the kernel', 'ops', 8] as const),
      ['{{kind}}', `sum by (kind) (${rate('vf_flower_events_total')})`],
      ['lost', `sum(${rate('vf_flower_events_lost_total')})`],
    ),
    series('Time of scrapes', 's', 8, ['{{instance}} {{part}}', of('vf_flower_collect_duration_seconds')]),
    series('Memory', 'bytes', 8, ['{{instance}}', of('vf_flower_process_resident_memory_bytes')]),
    series('Processor', 'percentunit', 8, ['{{instance}}', rate('vf_flower_process_cpu_seconds_total')]),
    series('Open files', 'short', 8, ['{{instance}}', of('vf_flower_process_open_fds')]),
  ],
}

/** A variable of Grafana, not of this file. */
const source = { type: 'prometheus', uid: ['$', '{datasource}'].join('') }
const height = { timeseries: 8, table: 8, stat: 4 } as const

function panelsOf(): object[] {
  const panels: object[] = []
  let [x, y, tallest] = [0, 0, 0]
  const add = (kind: string, width: number, size: number, fields: object) => {
    if (x + width > 24) [x, y, tallest] = [0, y + tallest, 0]
    panels.push({ id: panels.length + 1, type: kind, gridPos: { x, y, w: width, h: size }, ...fields })
    x += width
    tallest = Math.max(tallest, size)
  }
  for (const [title, all] of Object.entries(rows)) {
    ;[x, y, tallest] = [0, y + tallest, 0]
    add('row', 24, 1, { title, collapsed: false, panels: [] })
    for (const { title: name, kind, unit, width, lines } of all) {
      add(kind, width, height[kind], {
        title: name,
        datasource: source,
        fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
        ...(kind === 'table'
          ? {
              transformations: [
                { id: 'labelsToFields', options: {} },
                { id: 'merge', options: {} },
              ],
            }
          : {}),
        targets: lines.map(([legendFormat, expr], at) => ({
          ...{ refId: String.fromCharCode(65 + at), datasource: source, expr, legendFormat },
          ...(kind === 'timeseries'
            ? {}
            : { instant: true, format: kind === 'table' ? 'table' : 'time_series' }),
        })),
      })
    }
  }
  return panels
}

function variable(name: string, label: string, query: string): object {
  return {
    ...{ name, label, type: 'query', datasource: source, query, refresh: 2, sort: 1 },
    ...{ multi: true, includeAll: true, allValue: '.*', current: { text: 'All', value: '$__all' } },
  }
}

/** The text of the dashboard. */
export function dashboardText(): string {
  const dashboard = {
    ...{ uid: 'vf-flower', title: 'vf-flower: SR-IOV devices', tags: ['vf-flower'], schemaVersion: 39 },
    ...{ editable: true, timezone: 'browser', refresh: '30s', time: { from: 'now-1h', to: 'now' } },
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
        variable('node', 'Node', `label_values(${'vf_flower_build_info' satisfies MetricName}, instance)`),
        variable('pool', 'Pool', `label_values(${of('vf_flower_pool_devices')}, resource)`),
      ],
    },
    panels: panelsOf(),
  }
  return `${JSON.stringify(dashboard, undefined, 2)}\n`
}

/** The tables of docs/metrics.md, by group: a row for each metric; those of the agent too. */
export function metricTables(): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(
    Object.entries({ ...metricGroups, Agent: agentMetrics }).map(([group, metrics]) => [
      `${group} metrics`,
      [
        '| metric | kind | labels | meaning |',
        '|---|---|---|---|',
        ...Object.entries<MetricRow>(metrics).map(
          ([name, { kind, labels, help }]) =>
            `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`,
        ),
      ],
    ]),
  )
}
