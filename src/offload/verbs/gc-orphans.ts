/** GC of things whose record was lost: they are found by their marks. */
import type { CniError } from '../../cni/error.ts'
import { failure } from '../../cni/failure.ts'
import { listedBy } from '../../cni/listed.ts'
import type { Request } from '../../cni/request.ts'
import type { Kernel, OwnFilter } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { isOfKind } from '../../lib/error-kind.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import type { RecordName, RecordStore } from '../../records/store.ts'
import type { Feature, OrphanContext } from '../feature.ts'
import { forgetClsact, releaseClsact } from '../state/clsact-owner.ts'
import { ownerHash, ownerOf } from '../state/identity.ts'
import { untilQuiet } from '../state/own-filters.ts'
import type { Locked } from './context.ts'
import { livesByReport, livesOn } from './gc.ts'

/**
 * Removes everything that belongs to attachments of this network without a record. Nobody knows any more whose these things are, so
 * only a list of the runtime can say that they are not valid. A report that is left tells of a pod that lives. `stores` are those
 * of all names of the plugin, and `features` all features. Filters are looked for without the lock, and looked at again under
 * it. Returns the errors, after having tried all.
 */
export function collectOrphans(
  machine: Machine,
  stores: readonly RecordStore<OffloadJournal>[],
  features: readonly Feature[],
  request: Request,
  gcLive: boolean,
  locked: Locked,
): CniError[] {
  const { name: network, validAttachments } = request
  if (validAttachments === undefined) return []
  const living = lone(machine, stores, request, gcLive, locked)
  const { sha256 } = machine
  const errors = living.map(livesOn)
  const strange: OrphanContext['strange'] = (found, said, own) => {
    const recorded = stores.flatMap((store) => store.list()).filter(({ subject }) => subject === network)
    return unknown(found, [recorded, validAttachments, living], said, own)
  }
  const strangeCookies: OrphanContext['strangeCookies'] = (found) =>
    [...strange(found, ownerOf, (one) => ownerHash(one, sha256)).values()].flat()
  const step: OrphanContext['step'] = (action) => {
    try {
      return action()
    } catch (error) {
      if (isOfKind(error, 'lock-timeout')) throw error
      errors.push(failure(error))
      return undefined
    }
  }
  const kernel = machine.openKernel()
  try {
    const prefixes = features.map((feature) => feature.cookiePrefix(network, sha256))
    const filters = step(() => removeFilters(kernel, prefixes, locked, strangeCookies))
    const [store = { folders: [] }] = stores
    const filtersGone = () => filters !== undefined
    const context = { machine, store, kernel, network, filtersGone, step, strange, strangeCookies }
    const actions = features.map((feature) => feature.orphans(context))
    locked(() => {
      // A feature that fails keeps no other feature, and no qdisc, from going.
      for (const remove of actions) step(remove)
      for (const ifindex of new Set(filters?.map((filter) => filter.ifindex)))
        step(() => releaseClsact(machine, kernel, ifindex))
      step(() => forgetClsact(machine, kernel))
    })
    return errors
  } finally {
    kernel.close()
  }
}

function removeFilters(
  kernel: Kernel,
  prefixes: readonly string[],
  locked: Locked,
  strangeCookies: OrphanContext['strangeCookies'],
): readonly OwnFilter[] {
  return untilQuiet(
    () => kernel.ownFilters(prefixes),
    (found) =>
      locked(() => {
        const orphans = new Set(strangeCookies(found.map(({ cookie }) => cookie)))
        const theirs = found.filter(({ cookie }) => orphans.has(cookie))
        kernel.removeFilters(kernel.placedFilters(theirs))
        return theirs
      }),
    'Cannot remove the filters of attachments without a record',
  )
}

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

/**
 * The marks, of those that were found, that no known attachment has. Known attachments can be hundreds of thousands, marks that
 * were found never: so nothing is kept of each attachment, and nothing computed where no mark was found.
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
