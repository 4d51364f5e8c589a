/** Limits of attachments without a record, for GC. */
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { OrphanContext } from '../feature.ts'
import { ifbMacOf, ifbOf, rateNetworkPrefix } from '../state/identity.ts'

/** Looks for policers in the NIC without the lock, and removes them and ifbs with the lock. */
export function bandwidthOrphans(context: OrphanContext): () => void {
  const { machine, kernel, network, step, strange, strangeCookies } = context
  const { sha256 } = machine
  const limiters = step(() => kernel.rates().limiters(rateNetworkPrefix(network, sha256))) ?? []
  return () => {
    for (const cookie of strangeCookies(limiters.map((one) => one.cookie))) {
      const indexes = limiters.flatMap((one) => (one.cookie === cookie ? [one.index] : []))
      for (const { index } of step(() => kernel.rates().limitersAt(indexes, cookie)) ?? [])
        step(() => kernel.rates().removeSharedPolicer(index))
    }
    // After the filters: one that leads to an ifb that is gone would drop everything.
    const ifbs = strange(
      ifbsOf(kernel, ifbMacOf(network, sha256)),
      (ifb) => ifb,
      (one) => ifbOf({ ...one, network }, sha256),
    )
    for (const name of ifbs.keys()) step(() => kernel.rates().removeIfb('host', name))
  }
}

function ifbsOf(kernel: Kernel, mac: string): string[] {
  return kernel.linksOfKind('ifb').flatMap(({ mac: has, name }) => (has === mac ? [name] : []))
}
