import type { CniError } from '../cni/error.ts'
import { failure } from '../cni/failure.ts'
import type { Request } from '../cni/request.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Machine } from '../kernel/machine.ts'
import type { RecordName, RecordStore } from '../ops/record-store.ts'
import { forgetClsact, releaseClsact } from './clsact.ts'
import { removeFilters } from './filters.ts'
import { livesByReport, livesOn } from './gc.ts'
import { identityOf, ifbMacOf, networkPrefix, rateIdentityOf, rateNetworkPrefix } from './identity.ts'
import { releaseLocalnet } from './localnet.ts'
import type { OffloadJournal } from './record.ts'

/**
 * What belongs to attachments of this network that have no record: it was lost, and what it spoke of is found by its marks.
 * Whose they are nobody knows any more, so that only a list of the runtime can say that they are not valid; a report that is
 * left tells of a pod that lives. `stores` are those of all names that the plugin answers to. Returns the errors, after having tried all.
 */
export function collectOrphans(
  machine: Machine,
  stores: readonly RecordStore<OffloadJournal>[],
  { name: network, validAttachments }: Request,
  gcLive: boolean,
): CniError[] {
  if (validAttachments === undefined) return []
  const errors: CniError[] = []
  const listed = new Set(validAttachments.map(({ containerID, ifname }) => `${containerID} ${ifname}`))
  const living: RecordName[] = []
  for (const store of stores) {
    for (const name of store.lone()) {
      if (name.subject !== network || listed.has(`${name.containerID} ${name.ifname}`)) continue
      if (gcLive || !livesByReport(machine, store, name)) store.remove(name)
      else living.push(name)
    }
  }
  errors.push(...living.map(livesOn))
  const recorded = stores.flatMap((store) => store.list()).filter(({ subject }) => subject === network)
  const { sha256 } = machine
  const attachments = [...recorded, ...validAttachments, ...living].map(({ containerID, ifname }) => ({
    network,
    containerID,
    ifname,
  }))
  const limits = attachments.map((one) => rateIdentityOf(one, sha256))
  const known = new Set([
    ...attachments.map((one) => identityOf(one, sha256).cookie),
    ...limits.map(({ cookie }) => cookie),
  ])
  const knownIfbs = new Set(limits.map(({ ifb }) => ifb))
  const kernel = machine.openKernel()
  const step = (action: () => void): void => {
    try {
      action()
    } catch (error) {
      errors.push(failure(error))
    }
  }
  try {
    const [ports, rates] = [networkPrefix(network, sha256), rateNetworkPrefix(network, sha256)]
    const found = [...kernel.ownFilters([ports, rates]), ...kernel.rates().limiters(rates)].map(
      ({ cookie }) => cookie,
    )
    const cookies = new Set([...found, ...kernel.reservedCookies(ports)])
    // Port mappings first: the kernel keeps a policer as long as a filter of theirs uses it.
    const isRate = (cookie: string) => cookie.startsWith(rates)
    const orphans = [...cookies].filter((cookie) => !known.has(cookie))
    for (const cookie of [...orphans.filter((one) => !isRate(one)), ...orphans.filter(isRate)])
      step(() => (isRate(cookie) ? removeLimits : removeMappings)(machine, kernel, cookie))
    // After the filters: one that leads to an ifb that is gone would drop everything.
    const mac = ifbMacOf(network, sha256)
    for (const link of kernel.links('host')) {
      if (link.kind === 'ifb' && link.mac === mac && !knownIfbs.has(link.name))
        step(() => kernel.rates().removeIfb('host', link.name))
    }
    step(() => forgetClsact(machine, kernel))
    return errors
  } finally {
    kernel.close()
  }
}

function removeMappings(machine: Machine, kernel: Kernel, cookie: string): void {
  const removed = removeFilters(kernel, [cookie])
  releaseLocalnet(machine, kernel, cookie)
  kernel.forgetConnections(kernel.releasePorts(cookie))
  for (const ifindex of new Set(removed.map((filter) => filter.ifindex)))
    releaseClsact(machine, kernel, ifindex)
}

function removeLimits(machine: Machine, kernel: Kernel, cookie: string): void {
  const removed = removeFilters(kernel, [cookie])
  for (const { index } of kernel.rates().limiters(cookie)) kernel.rates().removeLimiter(index)
  for (const ifindex of new Set(removed.map((filter) => filter.ifindex)))
    releaseClsact(machine, kernel, ifindex)
}
