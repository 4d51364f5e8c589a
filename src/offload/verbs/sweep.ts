/** The removal of one attachment's things, in their order. Each step is tried, also when steps before it have failed. */
import { CniError, code } from '../../cni/error.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { OpenNetns } from '../../kernel/api/machine.ts'
import { isOfKind } from '../../lib/error-kind.ts'
import { faultPoint } from '../../ops/fault.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import type { PluginRecord } from '../../records/record.ts'
import type { FeatureRemoval } from '../feature.ts'
import { releaseClsact } from '../state/clsact-owner.ts'
import { isTakenOver } from '../state/device-history.ts'
import type { Attachment } from '../state/identity.ts'
import { type FilterPlaces, removePlaced, untilQuiet } from '../state/own-filters.ts'
import { otherEntries } from '../state/sibling-records.ts'
import type { Locked, RemovalContext } from './context.ts'

/** The fields of a record by which things are removed. */
export type Found = Pick<PluginRecord<OffloadJournal>, 'journal' | 'phase'>

/**
 * Removes everything of an attachment that has a record: the filters of all features first, where the record says that they are; then
 * the rest, feature by feature. The lock is held, so nothing is read here whose size others choose.
 * @throws CniError 103 with all that could not be removed
 */
export function sweep(
  context: RemovalContext,
  attachment: Attachment,
  pod: OpenNetns | undefined,
  found: Found,
): void {
  const sweeping = new Sweeping(context, attachment, pod, found)
  try {
    sweeping.removeRecordedFilters()
    sweeping.removeFromPod()
    sweeping.removeRest()
  } finally {
    sweeping.close()
  }
  sweeping.report()
}

/**
 * The same, in a turn of `locked` of its own, with nobody's lock held for what is in the pod: that goes first. A program there can keep
 * a change of its namespace waiting for seconds. `isSame` tells, with the lock, whether the record is still the one that was
 * `found`; `finish` is run after all. False, with all on the host as it was, where the record is another one by now.
 * @throws CniError 103 with all that could not be removed
 */
export function sweepPodFirst(
  context: RemovalContext,
  attachment: Attachment,
  pod: OpenNetns | undefined,
  found: Found,
  { locked, isSame, finish }: { locked: Locked; isSame: () => boolean; finish: () => void },
): boolean {
  const sweeping = new Sweeping(context, attachment, pod, found)
  try {
    sweeping.removeFromPod()
    return locked(() => {
      if (!isSame()) return false
      sweeping.removeRecordedFilters()
      sweeping.removeRest()
      sweeping.report()
      finish()
      return true
    })
  } finally {
    sweeping.close()
  }
}

/**
 * Removes everything of an attachment that no usable record speaks of: by cookies, marks and names that follow from the
 * attachment alone. They do not tell entries of one list apart: what another name's record speaks of is another entry's.
 * Filters of others are looked through, and the pod, while nobody's lock is held; each that is found is looked at again under it.
 * `finish` is run with the lock, after all: the record of an ADD that has come meanwhile says that what is left is its own.
 * @throws CniError 103 with all that could not be removed
 */
export function sweepUnrecorded(
  context: RemovalContext,
  attachment: Attachment,
  pod: OpenNetns | undefined,
  locked: Locked,
  isRecorded: () => boolean,
  finish: () => void,
): void {
  const sweeping = new Sweeping(context, attachment, pod, undefined)
  try {
    sweeping.searchFilters(locked, isRecorded)
    sweeping.removeFromPod()
    locked(() => {
      if (!isRecorded()) sweeping.removeRest()
      sweeping.report()
      finish()
    })
  } finally {
    sweeping.close()
  }
}

class Sweeping {
  readonly #context: RemovalContext
  readonly #attachment: Attachment
  readonly #pod: OpenNetns | undefined
  readonly #found: Found | undefined
  readonly #kernel: Kernel
  readonly #errors: string[] = []
  /** Interfaces whose clsact may be superfluous. */
  readonly #links = new Set<number>()
  #filtersGone = false

  constructor(
    context: RemovalContext,
    attachment: Attachment,
    pod: OpenNetns | undefined,
    found: Found | undefined,
  ) {
    this.#context = context
    this.#attachment = attachment
    this.#pod = pod
    this.#found = found
    this.#kernel = context.machine.openKernel(pod)
    const { uplink, representor } = found?.journal ?? {}
    for (const link of [uplink, representor]) if (link !== undefined) this.#links.add(link.ifindex)
  }

  /** The filters that the record speaks of. A record of an ADD that has not come to its end names interfaces alone. */
  removeRecordedFilters(): void {
    const journal = this.#found?.journal
    if (journal === undefined) return
    const isWhole = this.#isWhole
    const features = this.#features().filter((feature) => feature.filters(journal))
    const places = features.map((feature) => feature.places(journal, isWhole))
    const all: FilterPlaces = {
      placed: places.flatMap(({ placed }) => placed),
      interfaces: places.flatMap(({ interfaces }) => interfaces),
      isOpen: places.some(({ isOpen }) => isOpen),
    }
    const cookies = this.#cookies(features)
    const removed = this.#step(() => (features.length === 0 ? [] : removePlaced(this.#kernel, cookies, all)))
    this.#filtersGone = removed !== undefined
    for (const { ifindex } of removed ?? []) this.#links.add(ifindex)
  }

  /** The filters with the cookies of all features, in one search. */
  searchFilters(locked: Locked, isRecorded: () => boolean): void {
    const removed = this.#step(() => {
      const cookies = this.#cookies(this.#features())
      if (cookies.length === 0) return []
      return untilQuiet(
        () => (isRecorded() ? [] : this.#kernel.ownFilters(cookies)),
        (found) =>
          locked(() => {
            if (isRecorded()) return []
            this.#kernel.removeFilters(this.#kernel.placedFilters(found))
            return found
          }),
        `Cannot remove the filters with cookie ${cookies.join(' or ')}`,
      )
    })
    this.#filtersGone = removed !== undefined
    for (const { ifindex } of removed ?? []) this.#links.add(ifindex)
  }

  removeFromPod(): void {
    for (const feature of this.#features().toReversed()) feature.removeFromPod(this.#removal())
  }

  /** Everything on the host besides filters. */
  removeRest(): void {
    const { machine } = this.#context
    for (const feature of this.#features().toReversed()) feature.remove(this.#removal())
    for (const ifindex of this.#links) this.#step(() => releaseClsact(machine, this.#kernel, ifindex))
  }

  /** @throws CniError 103 */
  report(): void {
    if (this.#errors.length === 0) return
    const { containerID, ifname } = this.#attachment
    throw new CniError(
      code.notRestored,
      `Cannot remove everything of container "${containerID}", interface "${ifname}"`,
      { details: this.#errors.join('; ') },
    )
  }

  close(): void {
    this.#kernel.close()
  }

  get #isWhole(): boolean {
    return this.#found?.phase === 'attached'
  }

  #removal() {
    const [kernel, attachment, pod] = [this.#kernel, this.#attachment, this.#pod]
    return {
      ...{ machine: this.#context.machine, store: this.#context.store, kernel, attachment, pod },
      ...{ journal: this.#found?.journal, isWhole: this.#isWhole, filtersGone: this.#filtersGone },
      isTakenOver: (device: string) => isTakenOver(this.#context, attachment, device),
      step: <T>(action: () => T) => this.#step(action),
      touched: (ifindex: number) => {
        this.#links.add(ifindex)
      },
    }
  }

  /** The features that are this entry's to remove. */
  #features(): readonly FeatureRemoval[] {
    const { machine, otherStores, features } = this.#context
    const journal = this.#found?.journal
    if (journal !== undefined) return features.filter((feature) => feature.recorded(journal))
    const others = otherEntries({ machine, otherStores }, this.#attachment)
    return features.filter((feature) => !others.some((other) => feature.recorded(other)))
  }

  #cookies(features: readonly FeatureRemoval[]): string[] {
    return features.map((feature) => feature.cookie(this.#attachment, this.#context.machine.sha256))
  }

  /** Undefined when it failed. */
  #step<T>(action: () => T): T | undefined {
    try {
      faultPoint('op', 'before')
      const result = action()
      faultPoint('op', 'after')
      return result
    } catch (error) {
      // Nobody waits ten seconds for each step.
      if (isOfKind(error, 'lock-timeout')) throw error
      this.#errors.push(error instanceof Error ? error.message : String(error))
      return undefined
    }
  }
}
