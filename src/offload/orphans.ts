import type { CniError } from '../cni/error.ts'
import { failure } from '../cni/failure.ts'
import { listedBy } from '../cni/listed.ts'
import type { Request } from '../cni/request.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Machine } from '../kernel/machine.ts'
import type { RecordName, RecordStore } from '../ops/record-store.ts'
import { forgetClsact, releaseClsact } from './clsact.ts'
import { removeFilters } from './filters.ts'
import { livesByReport, livesOn } from './gc.ts'
import { ifbMacOf, ifbOf, networkPrefix, ownerHash, ownerOf, rateNetworkPrefix } from './identity.ts'
import { localPortsCookies, releaseLocalPorts } from './local-ports.ts'
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
  request: Request,
  gcLive: boolean,
): CniError[] {
  const { name: network, validAttachments } = request
  if (validAttachments === undefined) return []
  const errors: CniError[] = []
  const isListed = listedBy(request)
  const living: RecordName[] = []
  for (const store of stores) {
    for (const name of store.lone()) {
      if (name.subject !== network || isListed(name) === true) continue
      if (gcLive || !livesByReport(machine, store, name)) store.remove(name)
      else living.push(name)
    }
  }
  errors.push(...living.map(livesOn))
  const recorded = stores.flatMap((store) => store.list()).filter(({ subject }) => subject === network)
  const { sha256 } = machine
  const known = [recorded, validAttachments, living]
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
    const cookies = new Set([
      ...found,
      ...kernel.reservedCookies(ports),
      ...localPortsCookies(machine, ports),
    ])
    const strange = unknown(cookies, known, ownerOf, (one) => ownerHash(one, sha256))
    // Port mappings first: the kernel keeps a policer as long as a filter of theirs uses it.
    const isRate = (cookie: string) => cookie.startsWith(rates)
    const orphans = [...strange.values()].flat()
    for (const cookie of [...orphans.filter((one) => !isRate(one)), ...orphans.filter(isRate)])
      step(() => (isRate(cookie) ? removeLimits : removeMappings)(machine, kernel, cookie))
    // After the filters: one that leads to an ifb that is gone would drop everything.
    const mac = ifbMacOf(network, sha256)
    const ifbs = kernel
      .links('host')
      .flatMap(({ kind, mac: has, name }) => (kind === 'ifb' && has === mac ? name : []))
    for (const name of unknown(
      ifbs,
      known,
      (ifb) => ifb,
      (one) => ifbOf({ ...one, network }, sha256),
    ).keys())
      step(() => kernel.rates().removeIfb('host', name))
    step(() => forgetClsact(machine, kernel))
    return errors
  } finally {
    kernel.close()
  }
}

/**
 * Of the marks that were found, by what they say of their attachment, those that no known one has. The known ones can be hundreds
 * of thousands, what was found never: so nothing is kept of each, and nothing computed where nothing was found.
 */
function unknown(
  found: Iterable<string>,
  known: readonly (readonly Owned[])[],
  said: (mark: string) => string,
  own: (one: Owned) => string,
): ReadonlyMap<string, readonly string[]> {
  const marks = new Map<string, string[]>()
  for (const mark of found) marks.set(said(mark), [...(marks.get(said(mark)) ?? []), mark])
  for (const list of known) {
    for (const one of list) {
      if (marks.size === 0) return marks
      marks.delete(own(one))
    }
  }
  return marks
}

type Owned = Pick<RecordName, 'containerID' | 'ifname'>

function removeMappings(machine: Machine, kernel: Kernel, cookie: string): void {
  const removed = removeFilters(kernel, [cookie])
  releaseLocalnet(machine, kernel, cookie)
  releaseLocalPorts(machine, kernel, cookie)
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
