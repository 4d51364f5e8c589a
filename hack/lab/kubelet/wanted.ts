// The state of a resource that a test waits for. Imports this folder.
import type { DeviceSet, Wanted } from './api.ts'

/** All that is wanted holds. */
export function isAsWanted({ devices, connected, messages }: DeviceSet, wanted: Wanted): boolean {
  const fits = (ids: readonly string[], want: readonly string[] | number | undefined) => {
    if (want === undefined) return true
    return typeof want === 'number' ? ids.length === want : String(ids) === String([...want].sort())
  }
  const idsOf = (healthy: boolean) => devices.filter((one) => one.healthy === healthy).map(({ id }) => id)
  return (
    fits(idsOf(true), wanted.healthy) &&
    fits(idsOf(false), wanted.unhealthy) &&
    (wanted.connected ?? connected) === connected &&
    messages >= (wanted.messages ?? 0)
  )
}
