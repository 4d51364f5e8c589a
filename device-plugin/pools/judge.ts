/** Judgement of one device by one pool in full: all conditions that fail, not the first alone. For people who ask why. */
import type { PoolConfig } from '../config/plugin-config.ts'
import type { Device, Snapshot } from '../inventory/snapshot.ts'
import { entryOf } from './entry.ts'

/** The outcome for the selector that the device comes nearest to. */
export interface Judgement {
  /** The device is of the pool's type. */
  readonly isOfType: boolean
  /** Conditions and rules that fail, as sentences in the order in which they are asked. Empty: the pool would take the device. */
  readonly failed: readonly { readonly key: string; readonly reason: string }[]
}

/** Judges a device of any type. Of several selectors the one with the fewest failing conditions counts, the first of equal ones. */
export function judge(config: PoolConfig, device: Device, snapshot: Snapshot): Judgement {
  const { deviceType } = config
  const entry = entryOf(config)
  if (device.type !== deviceType) {
    const reason = `deviceType: has ${device.type}, wanted ${deviceType}`
    return { isOfType: false, failed: [{ key: 'deviceType', reason }] }
  }
  const outcomes = entry.selectors.map(({ conditions }) =>
    [...conditions, ...entry.rules].filter((one) => !one.holds(device, snapshot)),
  )
  const [first, ...others] = outcomes
  if (first === undefined)
    return {
      isOfType: true,
      failed: [{ key: 'selectors', reason: 'selectors: has none, wanted one' }],
    }
  const nearest = others.reduce((best, one) => (one.length < best.length ? one : best), first)
  return {
    isOfType: true,
    failed: nearest.map((one) => ({ key: one.key, reason: one.reason(device, snapshot) })),
  }
}
