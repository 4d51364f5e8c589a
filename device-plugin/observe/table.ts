/** The table of all metrics: the registry is made of it, and so are docs/metrics.md and the dashboard. */

/** One metric, by the rules of Prometheus for names and units. */
export interface MetricRow {
  readonly kind: 'gauge' | 'counter' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
  /** Upper bounds of a histogram. */
  readonly buckets?: readonly number[]
  /** Counted when the thing happens; all others are looked up at each scrape. */
  readonly isPushed?: true
}

/** Seconds; a scan of a large node takes a tenth of a second. */
const scanBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5]
/** Seconds; an Allocate may wait for a reset of the function. */
const rpcBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30]

const attachmentLabels = ['device', 'namespace', 'pod', 'container_id', 'interface'] as const

const row = <const R extends MetricRow>(one: R): R => one
const gauge = <const L extends readonly string[]>(labels: L, help: string) =>
  row({ kind: 'gauge', labels, help })
const counter = <const L extends readonly string[]>(labels: L, help: string) =>
  row({ kind: 'counter', labels, help })
const pushed = <const L extends readonly string[]>(labels: L, help: string) =>
  row({ kind: 'counter', labels, help, isPushed: true })

/** The metrics by their names, in groups as the page has them. */
export const metricGroups = {
  Pools: {
    vf_flower_pool_devices: gauge(['resource'], 'Devices of the pool, healthy or not'),
    vf_flower_pool_allocatable_devices: gauge(['resource'], 'Healthy devices of the pool, in use or not'),
    vf_flower_pool_allocated_devices: gauge(['resource'], 'Devices of the pool that containers have'),
    vf_flower_pool_unhealthy_devices: gauge(
      ['resource', 'reason'],
      'Devices of the pool that can not be given away; one with two reasons counts for each',
    ),
    vf_flower_pool_registered: gauge(['resource'], '1 while kubelet has accepted the registration'),
    vf_flower_pool_streams: gauge(['resource'], 'ListAndWatch streams that kubelet holds open'),
  },
  kubelet: {
    vf_flower_rpc_total: pushed(['resource', 'method', 'code'], 'Calls of kubelet by gRPC status code'),
    vf_flower_rpc_duration_seconds: row({
      ...{ kind: 'histogram', labels: ['resource', 'method'], buckets: rpcBuckets, isPushed: true },
      help: 'Time of calls of kubelet until the answer',
    }),
    vf_flower_list_messages_total: pushed(['resource'], 'ListAndWatch messages that were sent'),
    vf_flower_registrations_total: pushed(['resource', 'result'], 'Registrations with kubelet: ok or error'),
    vf_flower_allocation_source: gauge(
      ['source'],
      '1 for the source that tells which devices are in use: podresources, checkpoint or guess',
    ),
    vf_flower_allocation_guess: gauge(
      [],
      '1 while no source tells which devices are in use, so that the numbers of allocated devices are a guess',
    ),
  },
  Inventory: {
    vf_flower_scan_duration_seconds: row({
      ...{ kind: 'histogram', labels: [], buckets: scanBuckets, isPushed: true },
      help: 'Time of scans of the node; the count is the number of scans',
    }),
    vf_flower_scan_failures_total: pushed([], 'Scans that came to no end'),
    vf_flower_last_scan_timestamp_seconds: gauge([], 'Time of the last scan'),
    vf_flower_scan_unanswered: gauge([], 'Questions of the last scan that the kernel did not answer'),
    vf_flower_inventory_devices: gauge(['type'], 'Devices of the node that a pool could offer'),
    vf_flower_events_total: pushed(['kind'], 'Notifications of the kernel'),
    vf_flower_events_lost_total: pushed([], 'Times that the kernel lost notifications; a scan follows each'),
  },
  Config: {
    vf_flower_config_generation: gauge([], 'Number of configs that were taken into use'),
    vf_flower_config_reload_failed: gauge([], '1 while the file of the config can not be used'),
    vf_flower_config_last_reload_timestamp_seconds: gauge([], 'Time at which the file was last read'),
    vf_flower_config_warnings: gauge([], 'Remarks about the config in use'),
  },
  Devices: {
    vf_flower_device_info: gauge(
      [
        ...['device', 'resource', 'pf', 'index', 'driver', 'representor', 'numa'],
        ...['namespace', 'pod', 'container'],
      ] as readonly (
        | 'device'
        | 'resource'
        | 'pf'
        | 'index'
        | 'driver'
        | 'representor'
        | 'numa'
        | 'namespace'
        | 'pod'
        | 'container'
      )[],
      '1 for each device of a pool; a label is empty where there is nothing to say',
    ),
    vf_flower_device_unhealthy: gauge(['device', 'reason'], '1 for each reason of an unhealthy device'),
    vf_flower_vf_receive_bytes_total: counter(['device'], 'Bytes that the VF has received'),
    vf_flower_vf_transmit_bytes_total: counter(['device'], 'Bytes that the VF has sent'),
    vf_flower_vf_receive_packets_total: counter(['device'], 'Packets that the VF has received'),
    vf_flower_vf_transmit_packets_total: counter(['device'], 'Packets that the VF has sent'),
    vf_flower_vf_receive_dropped_packets_total: counter(['device'], 'Packets to the VF that were dropped'),
    vf_flower_vf_transmit_dropped_packets_total: counter(['device'], 'Packets of the VF that were dropped'),
    vf_flower_vf_receive_broadcast_packets_total: counter(['device'], 'Broadcasts that the VF has received'),
    vf_flower_vf_receive_multicast_packets_total: counter(['device'], 'Multicasts that the VF has received'),
  },
  PFs: {
    vf_flower_pf_info: gauge(
      ['pf', 'uplink', 'eswitch_mode'],
      '1 for each PF; the mode of its eSwitch is legacy, switchdev, elsewhere (another system manages it) or unknown',
    ),
    vf_flower_pf_vfs: gauge(['pf'], 'VFs of the PF (sriov_numvfs)'),
    vf_flower_pf_carrier: gauge(['pf'], '1 while the uplink has a carrier'),
    vf_flower_pf_hw_tc_offload: gauge(['pf'], '1 while the uplink offers filters to the NIC (hw-tc-offload)'),
    vf_flower_pf_trouble: gauge(['pf'], '1 while the PF is being reset, or says that it does not work'),
    vf_flower_pf_receive_bytes_total: counter(
      ['pf'],
      'Bytes that the uplink has received, as it counts them',
    ),
    vf_flower_pf_transmit_bytes_total: counter(['pf'], 'Bytes that the uplink has sent, as it counts them'),
    vf_flower_pf_receive_packets_total: counter(['pf'], 'Packets that the uplink has received'),
    vf_flower_pf_transmit_packets_total: counter(['pf'], 'Packets that the uplink has sent'),
    vf_flower_pf_receive_errors_total: counter(['pf'], 'Packets with errors that came to the uplink'),
    vf_flower_pf_transmit_errors_total: counter(['pf'], 'Packets that the uplink failed to send'),
    vf_flower_pf_receive_dropped_packets_total: counter(['pf'], 'Packets to the uplink that were dropped'),
    vf_flower_pf_transmit_dropped_packets_total: counter(['pf'], 'Packets of the uplink that were dropped'),
    vf_flower_pf_wire_receive_bytes_total: counter(
      ['pf'],
      'Bytes that came from the wire, those of VFs too, where the driver has the counters of IEEE 802.3',
    ),
    vf_flower_pf_wire_transmit_bytes_total: counter(
      ['pf'],
      'Bytes that went to the wire, those of VFs too, where the driver has the counters of IEEE 802.3',
    ),
    vf_flower_pf_wire_receive_packets_total: counter(['pf'], 'Packets that came from the wire, likewise'),
    vf_flower_pf_wire_transmit_packets_total: counter(['pf'], 'Packets that went to the wire, likewise'),
  },
  Attachments: {
    vf_flower_attachments: gauge(
      ['state'],
      'Attachments of vf-attach: alive, dead, or pending_close while a program has the device open',
    ),
    vf_flower_records_unusable: gauge(
      [],
      'Records of the CNI plugins that can not be read, or whose attachment can not be looked at',
    ),
    vf_flower_filters: gauge(
      [...attachmentLabels, 'place'] as const,
      'Filters of an attachment that run in hardware or in software, or that are missing',
    ),
    vf_flower_filter_packets_total: counter(
      [...attachmentLabels, 'place', 'direction'] as const,
      'Packets that filters of an attachment have matched, to the pod or from it',
    ),
    vf_flower_filter_bytes_total: counter(
      [...attachmentLabels, 'place', 'direction'] as const,
      'Bytes that filters of an attachment have matched, to the pod or from it',
    ),
  },
  Process: {
    vf_flower_build_info: gauge(['version'], '1, with the version of the program'),
    vf_flower_process_start_time_seconds: gauge([], 'Time at which the process began'),
    vf_flower_process_resident_memory_bytes: gauge([], 'Memory that the process occupies'),
    vf_flower_process_cpu_seconds_total: counter([], 'Processor time that the process has used'),
    vf_flower_process_open_fds: gauge([], 'Files that the process has open'),
    vf_flower_collect_duration_seconds: gauge(['part'], 'Time that the last scrape spent on a part'),
    vf_flower_collect_failures_total: pushed(['part'], 'Parts of scrapes that failed, and are missing there'),
  },
} as const

type Groups = typeof metricGroups
type Union<T> = (T extends unknown ? (one: T) => void : never) extends (one: infer All) => void ? All : never
type Table = Union<Groups[keyof Groups]>

/** The name of a metric. */
export type MetricName = keyof Table
/** The labels of a metric. */
export type LabelsOf<N extends MetricName> = Readonly<Record<Table[N]['labels'][number], string>>

/** All metrics by name. */
export const metricTable: Readonly<Record<MetricName, MetricRow>> = Object.assign(
  {},
  ...Object.values(metricGroups),
)
