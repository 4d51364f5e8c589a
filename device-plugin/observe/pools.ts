/** Metrics of pools, devices, PFs and config, from a view of the service. Pure. */

import type { Counted } from '../../src/kernel/api/traffic.ts'
import { grouped } from '../../src/lib/grouped.ts'
import type { Snapshot } from '../inventory/snapshot.ts'
import type { LinkReadings } from './links.ts'
import type { Samples } from './samples.ts'
import type { View } from './view.ts'

/** Adds everything that the view tells without a question to the kernel. */
export function addView(samples: Samples, view: View): void {
  addPools(samples, view)
  addDevices(samples, view)
  const { snapshot, allocations, attachments, config } = view
  samples.add('vf_flower_allocation_source', { source: allocations.source }, 1)
  samples.add('vf_flower_allocation_guess', {}, allocations.isGuess)
  samples.add('vf_flower_config_generation', {}, config.generation)
  samples.add('vf_flower_config_reload_failed', {}, config.problems.length > 0)
  samples.add('vf_flower_config_last_reload_timestamp_seconds', {}, seconds(config.readAt))
  samples.add('vf_flower_config_warnings', {}, config.warnings)
  const states = { alive: 0, dead: 0, pending_close: 0 }
  for (const { alive, pendingClose } of attachments.values())
    states[pendingClose ? 'pending_close' : alive ? 'alive' : 'dead']++
  for (const state of ['alive', 'dead', 'pending_close'] as const)
    samples.add('vf_flower_attachments', { state }, states[state])
  if (snapshot !== undefined) addSnapshot(samples, snapshot)
}

function addPools(samples: Samples, { pools, status, allocations }: View): void {
  for (const { resource, devices } of pools) {
    const held = devices.filter(({ id }) => allocations.held.has(id))
    samples.add('vf_flower_pool_devices', { resource }, devices.length)
    samples.add(
      'vf_flower_pool_allocatable_devices',
      { resource },
      devices.filter(({ health }) => health.healthy).length,
    )
    samples.add('vf_flower_pool_allocated_devices', { resource }, held.length)
    const reasons = devices.flatMap(({ health }) => [...new Set(health.reasons.map(({ reason }) => reason))])
    for (const [reason, all] of grouped(reasons, (reason) => reason))
      samples.add('vf_flower_pool_unhealthy_devices', { resource, reason }, all.length)
  }
  for (const { resource, registered, streams } of status) {
    samples.add('vf_flower_pool_registered', { resource }, registered)
    samples.add('vf_flower_pool_streams', { resource }, streams)
  }
}

function addDevices(samples: Samples, { pools, allocations, attachments }: View): void {
  for (const { resource, devices } of pools) {
    for (const { id, device, health } of devices) {
      const holding = allocations.held.get(id)
      // The checkpoint knows no names of pods; the plugins' reports do.
      const named = holding?.pod?.name ? holding.pod : attachments.get(id)?.pod
      samples.add(
        'vf_flower_device_info',
        {
          ...{ device: id, resource, pf: device?.pf?.address ?? '', index: text(device?.pf?.index) },
          ...{ driver: device?.driver ?? '', representor: device?.representor?.name ?? '' },
          ...{ numa: text(device?.numaNode), container: holding?.container ?? '' },
          ...{ namespace: named?.namespace ?? '', pod: named?.name ?? '' },
        },
        1,
      )
      for (const reason of new Set(health.reasons.map((one) => one.reason)))
        samples.add('vf_flower_device_unhealthy', { device: id, reason }, 1)
    }
  }
}

function addSnapshot(samples: Samples, { takenAt, unanswered, devices, pfs }: Snapshot): void {
  samples.add('vf_flower_last_scan_timestamp_seconds', {}, seconds(takenAt))
  samples.add('vf_flower_scan_unanswered', {}, unanswered.length)
  for (const [type, all] of grouped(devices, (device) => device.type))
    samples.add('vf_flower_inventory_devices', { type }, all.length)
  for (const one of pfs.values()) {
    const { address: pf, uplink, ports, eswitchMode, managedElsewhere, numVfs, trouble, hwTcOffload } = one
    const mode = eswitchMode ?? (managedElsewhere === undefined ? 'unknown' : 'elsewhere')
    const names = ports?.map(({ name }) => name).join(' ')
    samples.add('vf_flower_pf_info', { pf, uplink: uplink?.name ?? names ?? '', eswitch_mode: mode }, 1)
    samples.add('vf_flower_pf_vfs', { pf }, numVfs)
    samples.add('vf_flower_pf_carrier', { pf }, uplink?.carrier ?? ports?.some(({ carrier }) => carrier))
    samples.add('vf_flower_pf_hw_tc_offload', { pf }, hwTcOffload)
    samples.add('vf_flower_pf_trouble', { pf }, trouble !== undefined)
  }
}

/** Adds counters of PFs, and of the VFs that a pool has. `inPods` are those of VFs of which nobody on the host counts. */
export function addTraffic(
  samples: Samples,
  { pools }: View,
  { pfs, wires, vfs }: LinkReadings,
  inPods: ReadonlyMap<string, Counted>,
): void {
  for (const [pf, { receive, transmit }] of pfs) {
    samples.add('vf_flower_pf_receive_bytes_total', { pf }, receive.bytes)
    samples.add('vf_flower_pf_transmit_bytes_total', { pf }, transmit.bytes)
    samples.add('vf_flower_pf_receive_packets_total', { pf }, receive.packets)
    samples.add('vf_flower_pf_transmit_packets_total', { pf }, transmit.packets)
    samples.add('vf_flower_pf_receive_errors_total', { pf }, receive.errors)
    samples.add('vf_flower_pf_transmit_errors_total', { pf }, transmit.errors)
    samples.add('vf_flower_pf_receive_dropped_packets_total', { pf }, receive.dropped)
    samples.add('vf_flower_pf_transmit_dropped_packets_total', { pf }, transmit.dropped)
  }
  for (const [pf, { receive, transmit }] of wires) {
    samples.add('vf_flower_pf_wire_receive_bytes_total', { pf }, receive.bytes)
    samples.add('vf_flower_pf_wire_transmit_bytes_total', { pf }, transmit.bytes)
    samples.add('vf_flower_pf_wire_receive_packets_total', { pf }, receive.packets)
    samples.add('vf_flower_pf_wire_transmit_packets_total', { pf }, transmit.packets)
  }
  for (const { id: device } of pools.flatMap(({ devices }) => devices)) {
    const counted = vfs.get(device) ?? inPods.get(device)
    if (counted === undefined) continue
    const { receive, transmit } = counted
    samples.add('vf_flower_vf_receive_bytes_total', { device }, receive.bytes)
    samples.add('vf_flower_vf_transmit_bytes_total', { device }, transmit.bytes)
    samples.add('vf_flower_vf_receive_packets_total', { device }, receive.packets)
    samples.add('vf_flower_vf_transmit_packets_total', { device }, transmit.packets)
    samples.add('vf_flower_vf_receive_dropped_packets_total', { device }, receive.dropped)
    samples.add('vf_flower_vf_transmit_dropped_packets_total', { device }, transmit.dropped)
    samples.add('vf_flower_vf_receive_broadcast_packets_total', { device }, receive.broadcast)
    samples.add('vf_flower_vf_receive_multicast_packets_total', { device }, receive.multicast)
  }
}

function seconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1_000
}

function text(value: number | undefined): string {
  return value === undefined ? '' : String(value)
}
