/** Assignment: the pool of each device, and for each pool that does not take a device the reason. */
import type { PluginConfig } from '../config/plugin-config.ts'
import type { Snapshot } from '../inventory/snapshot.ts'
import { ask, entryOf } from './entry.ts'
import { byId } from './order.ts'
import type { Assignment, Member, Verdict } from './pool.ts'

/**
 * Gives each device to the first pool that wants it. In a pool the selectors are asked in the order of the file, and one that matches
 * is enough; in a selector all conditions must hold. After them come the rules for all devices: a driver is bound, a PF has no VFs,
 * the host does not use the device. Pure; the order of the snapshot's devices changes nothing.
 */
export function assignPools(config: PluginConfig, snapshot: Snapshot): Assignment {
  const entries = config.pools.map(entryOf)
  const members = entries.map((): Member[] => [])
  const verdicts = new Map<string, Verdict>()
  for (const device of snapshot.devices.toSorted(byId)) {
    const rejections: { readonly resource: string; readonly reason: string }[] = []
    let resource: string | undefined
    for (const [at, entry] of entries.entries()) {
      const { selector, reason } = ask(entry, device, snapshot)
      if (selector === undefined) {
        rejections.push({ resource: entry.config.resource, reason })
        continue
      }
      members[at]?.push({ device, selector })
      resource = entry.config.resource
      break
    }
    verdicts.set(device.id, { resource, rejections })
  }
  const pools = entries.map(({ config: own }, at) => ({ config: own, members: members[at] ?? [] }))
  return { snapshot, pools, verdicts }
}
