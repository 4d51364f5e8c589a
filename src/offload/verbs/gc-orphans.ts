import type { CniError } from '../../cni/error.ts'
import { failure } from '../../cni/failure.ts'
import { listedBy } from '../../cni/listed.ts'
import type { Request } from '../../cni/request.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { isOfKind } from '../../lib/error-kind.ts'
import type { RecordName, RecordStore } from '../../ops/record-store.ts'
import { localPortsCookies, releaseLocalPorts } from '../portmap/host/local-ports.ts'
import { localnetCookies, releaseLocalnet } from '../portmap/host/route-localnet.ts'
import { releaseWhole, type TableContext, wholeTable } from '../portmap/host/whole-table.ts'
import { forgetClsact, releaseClsact } from '../state/clsact-owner.ts'
import { ifbMacOf, ifbOf, networkPrefix, ownerHash, ownerOf, rateNetworkPrefix } from '../state/identity.ts'
import { untilQuiet } from '../state/own-filters.ts'
import type { OffloadJournal } from '../state/record.ts'
import { livesByReport, livesOn } from './gc.ts'
import type { Locked } from './sweep.ts'

/**
 * What belongs to attachments of this network that have no record: it was lost, and what it spoke of is found by its marks.
 * Whose they are nobody knows any more, so that only a list of the runtime can say that they are not valid; a report that is
 * left tells of a pod that lives. `stores` are those of all names that the plugin answers to. Filters are looked for without the
 * lock, and what was found is looked at again under it. Returns the errors, after having tried all.
 */
export function collectOrphans(
  machine: Machine,
  stores: readonly RecordStore<OffloadJournal>[],
  request: Request,
  gcLive: boolean,
  locked: Locked,
): CniError[] {
  const { name: network, validAttachments } = request
  if (validAttachments === undefined) return []
  const living = lone(machine, stores, request, gcLive, locked)
  const { sha256 } = machine
  const [ports, rates] = [networkPrefix(network, sha256), rateNetworkPrefix(network, sha256)]
  /** With the lock: those of the marks that nobody has. An ADD may have come since they were found. */
  const strange: Strange = (found, said, own) => {
    const recorded = stores.flatMap((store) => store.list()).filter(({ subject }) => subject === network)
    return unknown(found, [recorded, validAttachments, living], said, own)
  }
  const cookiesIn = (found: Iterable<string>) =>
    [...strange(found, ownerOf, (one) => ownerHash(one, sha256)).values()].flat()
  const errors = living.map(livesOn)
  const kernel = machine.openKernel()
  const step = <T>(action: () => T): T | undefined => {
    try {
      return action()
    } catch (error) {
      if (isOfKind(error, 'lock-timeout')) throw error
      errors.push(failure(error))
      return undefined
    }
  }
  try {
    const filters = step(() =>
      untilQuiet(
        () => kernel.ownFilters([ports, rates]),
        (found) =>
          locked(() => {
            const orphans = new Set(cookiesIn(found.map(({ cookie }) => cookie)))
            const theirs = found.filter(({ cookie }) => orphans.has(cookie))
            kernel.removeFilters(kernel.placedFilters(theirs))
            return theirs
          }),
        'Cannot remove the filters of attachments without a record',
      ),
    )
    const limiters = step(() => kernel.rates().limiters(rates)) ?? []
    locked(() => {
      for (const cookie of cookiesIn(limiters.map((one) => one.cookie))) {
        const indexes = limiters.flatMap((one) => (one.cookie === cookie ? [one.index] : []))
        for (const { index } of step(() => kernel.rates().limitersAt(indexes, cookie)) ?? [])
          step(() => kernel.rates().removeSharedPolicer(index))
      }
      // A port is given away only when no filter for it is left.
      if (filters !== undefined)
        for (const cookie of cookiesIn(
          new Set([
            ...kernel.reservedCookies(ports),
            ...localPortsCookies(machine, ports),
            ...localnetCookies(machine, ports),
          ]),
        ))
          step(() => releaseMappings(machine, kernel, cookie, stores[0]))
      for (const ifindex of new Set(filters?.map((filter) => filter.ifindex)))
        step(() => releaseClsact(machine, kernel, ifindex))
      // After the filters: one that leads to an ifb that is gone would drop everything.
      for (const name of strange(
        ifbsOf(kernel, ifbMacOf(network, sha256)),
        (ifb) => ifb,
        (one) => ifbOf({ ...one, network }, sha256),
      ).keys())
        step(() => kernel.rates().removeIfb('host', name))
      step(() => forgetClsact(machine, kernel))
    })
    return errors
  } finally {
    kernel.close()
  }
}

type Strange = (
  found: Iterable<string>,
  said: (mark: string) => string,
  own: (one: Owned) => string,
) => ReadonlyMap<string, readonly string[]>

/** Removes reports that have lost their record, and returns those that tell of a pod that lives. */
function lone(
  machine: Machine,
  stores: readonly RecordStore<OffloadJournal>[],
  request: Request,
  gcLive: boolean,
  locked: Locked,
): RecordName[] {
  const isListed = listedBy(request)
  const found = stores.flatMap((store) =>
    store
      .lone()
      .filter((name) => name.subject === request.name && isListed(name) !== true)
      .map((name) => ({ store, name, lives: !gcLive && livesByReport({ machine }, store, name) })),
  )
  const dead = found.filter(({ lives }) => !lives)
  if (dead.length > 0) {
    locked(() => {
      for (const { store, name } of dead)
        if (store.lone().some(({ path }) => path === name.path)) store.remove(name)
    })
  }
  return found.flatMap(({ name, lives }) => (lives ? [name] : []))
}

function ifbsOf(kernel: Kernel, mac: string): string[] {
  return kernel
    .links('host')
    .flatMap(({ kind, mac: has, name }) => (kind === 'ifb' && has === mac ? [name] : []))
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

function releaseMappings(
  machine: Machine,
  kernel: Kernel,
  cookie: string,
  store: TableContext['store'] = { folders: [] },
): void {
  const lost = { whole: () => wholeTable({ machine, store }, kernel) }
  releaseLocalnet(machine, kernel, cookie, lost)
  releaseLocalPorts(machine, kernel, cookie, lost)
  kernel.forgetConnections(releaseWhole({ machine, store }, kernel, cookie))
}
