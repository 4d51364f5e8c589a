/** The explanation of one assignment: each device with its pool or the reasons against it, and likely mistakes of the config. */
import type { DeviceHealth, HealthView } from '../health/health.ts'
import type { Device } from '../inventory/snapshot.ts'
import { type Guarded, guardedOf } from '../pools/guarded.ts'
import { namesOfPf } from '../pools/pf-condition.ts'
import type { Assignment, Verdict } from '../pools/pool.ts'
import { hintsFor } from './hints.ts'
import { missesOf } from './misses.ts'
import { type Overlap, overlapsOf } from './overlaps.ts'

/** One device. */
export interface ExplainedDevice {
  readonly id: string
  /** undefined: the device is not on the node, but a pod has it. */
  readonly facts:
    | {
        readonly type: Device['type']
        readonly vendor: string
        readonly product: string
        readonly driver: string | undefined
        readonly numaNode: number | undefined
        /** Number of VFs; undefined for a function that can have none. */
        readonly vfs: number | undefined
      }
    | undefined
  readonly pf:
    | { readonly address: string; readonly name: string | undefined; readonly index: number }
    | undefined
  /** The resource that offers the device; undefined: none. */
  readonly pool: string | undefined
  readonly rejections: Verdict['rejections']
  /** Reasons for which the device is unhealthy. */
  readonly unhealthy: readonly { readonly reason: string; readonly text: string }[]
  /** The sentence for a device that its pool does not offer because a pod has it from another resource. */
  readonly withheld: string | undefined
}

/** One pool. */
export interface ExplainedPool {
  readonly resource: string
  readonly deviceType: Device['type']
  readonly devices: number
  readonly healthy: number
  /** For a pool without devices: the nearest misses, as sentences. */
  readonly misses: readonly string[]
}

/** All that is known about one assignment. */
export interface Explanation {
  readonly devices: readonly ExplainedDevice[]
  readonly pools: readonly ExplainedPool[]
  /** Devices that a pool would have but for the use of the host. */
  readonly guarded: readonly Guarded[]
  readonly overlaps: readonly Overlap[]
  /** Likely mistakes of the config, as sentences. */
  readonly hints: readonly string[]
  /** Questions that the kernel did not answer. */
  readonly unanswered: readonly string[]
}

/** Explains an assignment; with the health of its devices where that is known. Pure. */
export function explain(assignment: Assignment, health?: HealthView): Explanation {
  const { snapshot, pools, verdicts } = assignment
  const offered = new Map<string, DeviceHealth & { readonly resource: string }>()
  for (const { resource, devices } of health?.pools ?? [])
    for (const one of devices) offered.set(one.id, { ...one, resource })
  const withheld = new Map((health?.withheld ?? []).map((one) => [one.id, one]))
  const explained = (id: string, device: Device | undefined): ExplainedDevice => {
    const own = offered.get(id)
    const kept = withheld.get(id)
    return {
      id,
      facts: device && factsOf(device),
      pf: device && pfOf(device, assignment),
      pool: own?.resource ?? (kept === undefined ? verdicts.get(id)?.resource : undefined),
      rejections: verdicts.get(id)?.rejections ?? [],
      unhealthy: own?.health.reasons ?? [],
      withheld: kept && `${kept.resource} does not offer the device: ${kept.text}`,
    }
  }
  const here = new Set(snapshot.devices.map(({ id }) => id))
  const gone = [...offered.keys()].filter((id) => !here.has(id))
  return {
    devices: [
      ...snapshot.devices.map((device) => explained(device.id, device)),
      ...gone.map((id) => explained(id, undefined)),
    ],
    pools: pools.map(({ config, members }, at) => {
      const own = health?.pools.find(({ resource }) => resource === config.resource)?.devices
      return {
        resource: config.resource,
        deviceType: config.deviceType,
        devices: own?.length ?? members.length,
        healthy: own?.filter((one) => one.health.healthy).length ?? members.length,
        misses: members.length > 0 ? [] : missesOf(assignment, at),
      }
    }),
    guarded: guardedOf(assignment),
    overlaps: overlapsOf(assignment),
    hints: pools.flatMap(({ config }) => hintsFor(config, snapshot)),
    unanswered: snapshot.unanswered,
  }
}

function factsOf(device: Device): ExplainedDevice['facts'] {
  const { type, vendor, product, driver, numaNode, sriov } = device
  return { type, vendor, product, driver, numaNode, vfs: sriov?.now }
}

function pfOf({ pf: place }: Device, { snapshot }: Assignment): ExplainedDevice['pf'] {
  if (place === undefined) return undefined
  const pf = snapshot.pfs.get(place.address)
  return { address: place.address, name: pf && namesOfPf(pf)[0], index: place.index }
}
