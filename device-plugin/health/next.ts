/** The step of health: from the pools of a snapshot, and from who has what, to the devices that each pool offers. */
import { grouped } from '../../src/lib/grouped.ts'
import type { PoolConfig } from '../config/plugin-config.ts'
import type { Device, Snapshot } from '../inventory/snapshot.ts'
import { byId } from '../pools/order.ts'
import type { Pool } from '../pools/pool.ts'
import type { Attached, DeviceHealth, Health, HealthInput, HealthView, Held } from './health.ts'
import { type Marks, step } from './hysteresis.ts'
import { leftovers, nameOf, observed, type Told } from './observed.ts'
import type { Refused } from './refusals.ts'

/** The memory of health: one entry for each device that was offered at the last step. */
export type HealthState = ReadonlyMap<string, DeviceState>

/** The memory of one device. */
export interface DeviceState {
  /** The driver when no pod had the device last, or when it was first seen. */
  readonly driver: string | undefined
  readonly numaNode: number | undefined
  readonly marks: Marks
}

/** The outcome for one device. */
interface Judged {
  readonly state: DeviceState
  readonly told: readonly Told[]
  readonly dueAt: number
}

const healthy: Health = { healthy: true, reasons: [] }

/**
 * Works out the health of all devices, and the devices that each pool offers.
 *
 * - A pool offers its members, and beside them each device that a pod has from it: one that vanished (`gone`), and one that the selectors
 *   do not match any more. The latter is unhealthy (`driver`) when its driver is another one than before, and healthy otherwise: kubelet
 *   asks for the health of devices in use when it admits a pod again, and a change of the config must not end that pod.
 * - A device that a pod has from another resource is withheld: kubelet would give the device away a second time.
 * - `gone`, `driver`, `dirty`, `open` and `refused` are told at once. The others are told after `badAfter` and dropped after `goodAfter`.
 * - A device that is seen for the first time is told as it is seen. One that a pod has by then waits for `badAfter`: a restart
 *   of this process during a short loss of carrier tells kubelet nothing.
 *
 * Pure: the same input and state give the same. `former` is undefined at the start of the process.
 */
export function nextHealth(
  input: HealthInput,
  former: HealthState = new Map(),
): { readonly view: HealthView; readonly state: HealthState } {
  const { assignment, held, now } = input
  const { snapshot } = assignment
  const attached = grouped(input.attachments, ({ device }) => device)
  const heldBy = grouped([...held], ([, { resource }]) => resource)
  const devices = new Map(snapshot.devices.map((device) => [device.id, device]))
  const state = new Map<string, DeviceState>()
  const withheld: HealthView['withheld'][number][] = []
  let dueAt = Number.POSITIVE_INFINITY
  const offer = ({ config, members }: Pool) => {
    const own = new Map<string, Device | undefined>()
    for (const { device } of members) {
      const other = held.get(device.id)
      if (other === undefined || other.resource === config.resource) own.set(device.id, device)
      else withheld.push({ id: device.id, resource: config.resource, text: holderOf(other) })
    }
    for (const [id] of heldBy.get(config.resource) ?? []) own.set(id, devices.get(id))
    return [...own].map(([id, device]): DeviceHealth => {
      const refusal = refusalOf(input, id, config.resource)
      const facts = {
        ...{ held: held.get(id), attached: attached.get(id) ?? [], former: former.get(id), refusal, now },
      }
      const judged = device === undefined ? gone(facts.former) : present(device, snapshot, config, facts)
      state.set(id, judged.state)
      dueAt = Math.min(dueAt, judged.dueAt, refusal?.until ?? Number.POSITIVE_INFINITY)
      const health = judged.told.length === 0 ? healthy : { healthy: false, reasons: judged.told }
      return { id, health, numaNode: config.excludeTopology ? undefined : judged.state.numaNode }
    })
  }
  const pools = assignment.pools.map((pool) => ({
    resource: pool.config.resource,
    devices: offer(pool).sort(byId),
  }))
  return { view: { pools, withheld, dueAt: Number.isFinite(dueAt) ? dueAt : undefined }, state }
}

function holderOf({ pod, resource }: Held): string {
  return `${nameOf(pod)} has the device as ${resource}`
}

/** The refusal that counts. A device that a pod has was given to it after all. */
function refusalOf({ held, refused }: HealthInput, id: string, resource: string): Refused | undefined {
  const found = refused?.get(id)
  return held.has(id) || found?.resource !== resource ? undefined : found
}

function refusedOf(refusal: Refused | undefined): readonly Told[] {
  return refusal === undefined ? [] : [{ reason: 'refused', text: refusal.text }]
}

function gone(former: DeviceState | undefined): Judged {
  const state = { driver: former?.driver, numaNode: former?.numaNode, marks: new Map() }
  const text = 'the device is not on the node any more'
  return { state, told: [{ reason: 'gone', text }], dueAt: Number.POSITIVE_INFINITY }
}

function present(
  device: Device,
  snapshot: Snapshot,
  config: PoolConfig,
  facts: {
    readonly held: Held | undefined
    readonly attached: readonly Attached[]
    readonly former: DeviceState | undefined
    readonly refusal: Refused | undefined
    readonly now: number
  },
): Judged {
  const { held, former, now } = facts
  const marks = former?.marks ?? (held === undefined ? undefined : new Map())
  const next = step(marks, observed(device, snapshot), config.health, now)
  const driver = held === undefined || former === undefined ? device.driver : former.driver
  const told = [
    ...(held === undefined || !config.health.driver ? [] : driverOf(device, driver)),
    ...leftovers(device, held, facts.attached),
    ...refusedOf(facts.refusal),
    ...next.told,
  ]
  const state = { driver, numaNode: device.numaNode, marks: next.marks }
  return { state, told, dueAt: next.dueAt }
}

/** `driver`: a pod has the device, and its driver is not the one that the pod was given the device with. */
function driverOf(device: Device, before: string | undefined): readonly Told[] {
  if (device.driver === undefined) return [{ reason: 'driver', text: 'no driver is bound to the device' }]
  if (before === undefined || device.driver === before) return []
  return [{ reason: 'driver', text: `the driver of the device was ${before}, and is ${device.driver} now` }]
}
