import type { CniError } from '../cni/error.ts'
import { failure } from '../cni/failure.ts'
import type { Request } from '../cni/request.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Machine } from '../kernel/machine.ts'
import type { RecordStore } from '../ops/record-store.ts'
import { releaseClsact } from './clsact.ts'
import { removeFilters } from './filters.ts'
import { identityOf, networkPrefix, rateIdentityOf, rateNetworkPrefix } from './identity.ts'
import { releaseLocalnet } from './localnet.ts'
import type { OffloadJournal } from './record.ts'

/**
 * What belongs to attachments of this network that have no record: it was lost, and what it spoke of is found by cookie.
 * Whose they are nobody knows any more, so that only a list of the runtime can say that they are not valid. `stores` are
 * those of all names that the plugin answers to. Returns the errors, after having tried all.
 */
export function collectOrphans(
  machine: Machine,
  stores: readonly RecordStore<OffloadJournal>[],
  { name: network, validAttachments }: Request,
): CniError[] {
  if (validAttachments === undefined) return []
  const recorded = stores.flatMap((store) => store.list()).filter(({ subject }) => subject === network)
  const { sha256 } = machine
  const known = new Set(
    [...recorded, ...validAttachments].flatMap(({ containerID, ifname }) => {
      const attachment = { network, containerID, ifname }
      return [identityOf(attachment, sha256).cookie, rateIdentityOf(attachment, sha256).cookie]
    }),
  )
  for (const store of stores) {
    for (const name of store.lone())
      if (name.subject === network && !known.has(identityOf({ ...name, network }, sha256).cookie))
        store.remove(name)
  }
  const kernel = machine.openKernel()
  try {
    const [ports, rates] = [networkPrefix(network, sha256), rateNetworkPrefix(network, sha256)]
    const found = [...kernel.ownFilters([ports, rates]), ...kernel.rates().limiters(rates)].map(
      ({ cookie }) => cookie,
    )
    const cookies = new Set([...found, ...kernel.reservedCookies(ports)])
    // Port mappings first: the kernel keeps a policer as long as a filter of theirs uses it.
    const isRate = (cookie: string) => cookie.startsWith(rates)
    const orphans = [...cookies].filter((cookie) => !known.has(cookie))
    return [...orphans.filter((one) => !isRate(one)), ...orphans.filter(isRate)].flatMap((cookie) => {
      try {
        const links = isRate(cookie) ? removeLimits(kernel, cookie) : removeMappings(machine, kernel, cookie)
        for (const ifindex of links) releaseClsact(machine, kernel, ifindex)
        return []
      } catch (error) {
        return [failure(error)]
      }
    })
  } finally {
    kernel.close()
  }
}

/** Returns the interfaces that had filters. */
function removeMappings(machine: Machine, kernel: Kernel, cookie: string): ReadonlySet<number> {
  const removed = removeFilters(kernel, [cookie])
  releaseLocalnet(machine, kernel, cookie)
  kernel.forgetConnections(kernel.releasePorts(cookie))
  return new Set(removed.map(({ ifindex }) => ifindex))
}

/**
 * Filters, the interfaces that they send frames through, policers. The name of such an interface does not follow from the
 * cookie: the filter knows its number. Returns the interfaces that had filters.
 */
function removeLimits(kernel: Kernel, cookie: string): ReadonlySet<number> {
  const rates = kernel.rates()
  const links = new Set(kernel.ownFilters(cookie).map(({ ifindex }) => ifindex))
  const through = new Set(
    [...links].flatMap((ifindex) => rates.catchAll('host', ifindex, cookie)).map((filter) => filter.through),
  )
  for (const { ifindex } of removeFilters(kernel, [cookie])) links.add(ifindex)
  if (through.size > 0) {
    for (const { ifindex, name } of kernel.links('host'))
      if (through.has(ifindex)) rates.removeIfb('host', name)
  }
  for (const { index } of rates.limiters(cookie)) rates.removeLimiter(index)
  return links
}
