/** What is removed of one attachment, in its order; each step is tried whatever became of the others. */

import { CniError, code } from '../../cni/error.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { OpenNetns } from '../../kernel/api/machine.ts'
import { isOfKind } from '../../lib/error-kind.ts'
import { faultPoint } from '../../ops/fault.ts'
import type { PluginRecord } from '../../ops/record.ts'
import type { FeatureRemoval } from '../feature.ts'
import { releaseClsact } from '../state/clsact-owner.ts'
import { type DeviceRecords, isTakenOver } from '../state/device-history.ts'
import type { Attachment } from '../state/identity.ts'
import { type FilterPlaces, removePlaced, untilQuiet } from '../state/own-filters.ts'
import type { OffloadJournal } from '../state/record.ts'
import { otherEntries } from '../state/sibling-records.ts'

/** What a removal works with. */
export interface RemovalContext extends DeviceRecords {
  readonly parts: readonly FeatureRemoval[]
}

/** Runs an action with the node's lock held. */
export type Locked = <T>(action: () => T) => T

/** What of a record tells what there is to remove. */
export type Found = Pick<PluginRecord<OffloadJournal>, 'journal' | 'phase'>

/**
 * Removes everything of an attachment that has a record: the filters of all parts first, where the record says that they are; then
 * the rest, part by part. The lock is held, so nothing is read here whose size others choose.
 * @throws CniError 103 with all that could not be removed
 */
export function sweep(
  setting: RemovalContext,
  attachment: Attachment,
  pod: OpenNetns | undefined,
  found: Found,
): void {
  const sweeping = new Sweeping(setting, attachment, pod, found)
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
  setting: RemovalContext,
  attachment: Attachment,
  pod: OpenNetns | undefined,
  found: Found,
  { locked, isSame, finish }: { locked: Locked; isSame: () => boolean; finish: () => void },
): boolean {
  const sweeping = new Sweeping(setting, attachment, pod, found)
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
  setting: RemovalContext,
  attachment: Attachment,
  pod: OpenNetns | undefined,
  locked: Locked,
  isRecorded: () => boolean,
  finish: () => void,
): void {
  const sweeping = new Sweeping(setting, attachment, pod, undefined)
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
  readonly #setting: RemovalContext
  readonly #attachment: Attachment
  readonly #pod: OpenNetns | undefined
  readonly #found: Found | undefined
  readonly #kernel: Kernel
  readonly #errors: string[] = []
  /** Interfaces whose clsact may be superfluous. */
  readonly #links = new Set<number>()
  #filtersGone = false

  constructor(
    setting: RemovalContext,
    attachment: Attachment,
    pod: OpenNetns | undefined,
    found: Found | undefined,
  ) {
    this.#setting = setting
    this.#attachment = attachment
    this.#pod = pod
    this.#found = found
    this.#kernel = setting.machine.openKernel(pod)
    const { uplink, representor } = found?.journal ?? {}
    for (const link of [uplink, representor]) if (link !== undefined) this.#links.add(link.ifindex)
  }

  /** The filters that the record speaks of. A record of an ADD that has not come to its end names interfaces alone. */
  removeRecordedFilters(): void {
    const journal = this.#found?.journal
    if (journal === undefined) return
    const isWhole = this.#isWhole
    const parts = this.#parts().filter((part) => part.filters(journal))
    const places = parts.map((part) => part.places(journal, isWhole))
    const all: FilterPlaces = {
      placed: places.flatMap(({ placed }) => placed),
      interfaces: places.flatMap(({ interfaces }) => interfaces),
      isOpen: places.some(({ isOpen }) => isOpen),
    }
    const cookies = this.#cookies(parts)
    const removed = this.#step(() => (parts.length === 0 ? [] : removePlaced(this.#kernel, cookies, all)))
    this.#filtersGone = removed !== undefined
    for (const { ifindex } of removed ?? []) this.#links.add(ifindex)
  }

  /** The filters with the cookies of all parts, in one search. */
  searchFilters(locked: Locked, isRecorded: () => boolean): void {
    const removed = this.#step(() => {
      const cookies = this.#cookies(this.#parts())
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
    for (const part of this.#parts().toReversed()) part.removeFromPod(this.#removal())
  }

  /** What is on the host besides filters. */
  removeRest(): void {
    const { machine } = this.#setting
    for (const part of this.#parts().toReversed()) part.remove(this.#removal())
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
      ...{ machine: this.#setting.machine, store: this.#setting.store, kernel, attachment, pod },
      ...{ journal: this.#found?.journal, isWhole: this.#isWhole, filtersGone: this.#filtersGone },
      isTakenOver: (device: string) => isTakenOver(this.#setting, attachment, device),
      step: <T>(action: () => T) => this.#step(action),
      touched: (ifindex: number) => {
        this.#links.add(ifindex)
      },
    }
  }

  /** The parts that are this entry's to remove. */
  #parts(): readonly FeatureRemoval[] {
    const { machine, otherStores, parts } = this.#setting
    const journal = this.#found?.journal
    if (journal !== undefined) return parts.filter((part) => part.recorded(journal))
    const others = otherEntries({ machine, otherStores }, this.#attachment)
    return parts.filter((part) => !others.some((other) => part.recorded(other)))
  }

  #cookies(parts: readonly FeatureRemoval[]): string[] {
    return parts.map((part) => part.cookie(this.#attachment, this.#setting.machine.sha256))
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
