/** One pool of the config, ready to ask devices: the way from the type of a device to the host guard, in the order that decides the sentence. */
import type { PoolConfig, Selector } from '../config/plugin-config.ts'
import type { Device, Snapshot } from '../inventory/snapshot.ts'
import type { Condition } from './condition.ts'
import { conditionsOf } from './selector.ts'

/** A selector with its conditions. */
export interface ReadySelector {
  readonly selector: Selector
  readonly conditions: readonly Condition[]
}

/** A pool with its conditions. */
export interface Entry {
  readonly config: PoolConfig
  readonly selectors: readonly ReadySelector[]
  /** Rules that hold for each device of the pool, whatever the selectors say. */
  readonly rules: readonly Condition[]
}

/** A device without a driver is of no use in a container: nothing serves it. */
const driver: Condition = {
  key: 'driver',
  holds: (device) => device.driver !== undefined,
  reason: () => 'driver: has none, wanted any',
}

/** A PF whose VFs are given away stays on the host: in a pod, it would take their uplink along. */
const noVfs: Condition = {
  key: 'sriov',
  holds: ({ type, sriov }) => type !== 'netDevice' || sriov === undefined || sriov.now === 0,
  reason: ({ sriov }) => `sriov: has ${sriov?.now} VFs, wanted a PF without any`,
}

/** The uses are those of the device itself: a PF with the default route does not keep its VFs back. */
const hostGuard: Condition = {
  key: 'allowHostUsed',
  holds: ({ hostUses }) => hostUses.length === 0,
  reason: ({ hostUses }) => `allowHostUsed: ${hostUses.join(' and ')}, wanted no use by the host`,
}

/** True for the sentence of a rejection by the host guard: the selectors match, but the host uses the device. */
export function isGuardReason(reason: string): boolean {
  return reason.startsWith(`${hostGuard.key}: `)
}

const ready = new WeakMap<PoolConfig, Entry>()

/** A pool with its conditions. They are worked out at the first call with that config of a pool. */
export function entryOf(config: PoolConfig): Entry {
  const known = ready.get(config)
  if (known !== undefined) return known
  const selectors = config.selectors.map((selector) => ({
    selector,
    conditions: conditionsOf(config.deviceType, selector),
  }))
  const entry = { config, selectors, rules: [driver, noVfs, ...(config.allowHostUsed ? [] : [hostGuard])] }
  ready.set(config, entry)
  return entry
}

/** The answer of a pool to one device: the selector that matched, or the sentence that turns the device away. */
export type Answer =
  | { readonly selector: Selector; readonly reason?: undefined }
  | { readonly selector?: undefined; readonly reason: string }

/** Asks a pool whether it wants a device. Selectors come first, so that a rule is named only for a device that they match. */
export function ask(entry: Entry, device: Device, snapshot: Snapshot): Answer {
  const { deviceType } = entry.config
  if (device.type !== deviceType) return { reason: `deviceType: has ${device.type}, wanted ${deviceType}` }
  const reasons: string[] = []
  for (const { selector, conditions } of entry.selectors) {
    const failed = conditions.find((one) => !one.holds(device, snapshot))
    if (failed !== undefined) {
      reasons.push(failed.reason(device, snapshot))
      continue
    }
    const rule = entry.rules.find((one) => !one.holds(device, snapshot))
    return rule === undefined ? { selector } : { reason: rule.reason(device, snapshot) }
  }
  return { reason: sentenceOf(reasons) }
}

/** One sentence for the reasons of all selectors of a pool. Selectors that fail for the same reason are told once. */
function sentenceOf(reasons: readonly string[]): string {
  const [first = 'selectors: has none, wanted one', ...others] = [...new Set(reasons)]
  return [first, ...others].join('; or ')
}
