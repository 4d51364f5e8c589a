/**
 * What the plugin does for an attachment is made of parts (port mappings; bandwidth): each has its wishes in the config, its
 * plan, its cookie and its removal. ADD and DEL know parts only by this interface.
 */
import type { Request } from '../cni/request.ts'
import type { Result } from '../cni/result.ts'
import type { Kernel } from '../kernel/api/kernel.ts'
import type { Machine, OpenNetns } from '../kernel/api/machine.ts'
import type { Transaction } from '../ops/apply.ts'
import type { OffloadJournal } from '../records/offload.ts'
import type { OffloadConfig } from './config/config.ts'
import type { Port } from './port/port.ts'
import type { TableContext } from './portmap/host/whole-table.ts'
import type { RatesNow, ratesBefore } from './state/device-history.ts'
import type { Attachment } from './state/identity.ts'
import type { FilterPlaces } from './state/own-filters.ts'

/** What a part looks around with, before the node's lock is asked for. */
export interface LookContext {
  readonly machine: Machine
  readonly kernel: Kernel
  readonly request: Request
  readonly config: OffloadConfig
  readonly attachment: Attachment
  readonly port: Port
}

/** What a part plans from. The lock is held, and `port` has been read again since. */
export interface AddContext extends LookContext, TableContext {
  /** Of a VF with a representor: what other entries of the list have made for the attachment. */
  readonly others: readonly OffloadJournal[]
  /** The rates before the limits of attachments that have had the pod's device. */
  ratesBefore(now: RatesNow): ReturnType<typeof ratesBefore>
}

/** What a part looks for its own things with. */
export interface TraceContext extends Pick<AddContext, 'machine' | 'kernel' | 'attachment'> {
  /** The attachment has host ports. */
  readonly reserved: boolean
  /** Its frames pass an eSwitch, where a policer can be: nobody else need look for one. */
  readonly hasEswitch: boolean
}

/** What parts tell each other while they are carried out, in their order. */
export interface Shared {
  /** Index of the policer in the NIC that filters which lead to the pod must have; set by the part of rate limits. */
  limiter: number | undefined
  /** A filter that leads to the pod has it: where none has, it limits nothing. */
  isUsed: boolean
  /** Why no such policer may be used. */
  readonly noPolicer: string | undefined
  /** What has the place of a thing on the pod's wire may be a dead attachment's. Looks at records: for a conflict only. */
  isHeldByDead(): boolean
}

/**
 * What comes to the pod can't have its policer in the NIC: the ADD goes on without it. `refusal` is what the driver said of a
 * filter with it where that is the `cause`.
 */
export class PolicerInTheWay extends Error {
  readonly reason: string

  constructor(refusal: string, cause?: unknown) {
    const reason = cause === undefined ? refusal : `the driver said "${refusal}"`
    super(`no port mapping in the NIC has the policer of the limit: ${reason}`, { cause })
    this.name = 'LimiterInTheWay'
    this.reason = reason
  }
}

/** What a part has seen. */
export interface Looked {
  /**
   * The plan, with the lock held: of what other calls of this plugin may have changed since the look, it asks again.
   * @throws CniError for what can't be had
   */
  plan(context: AddContext): Planned
}

/** What a part is going to do. Nothing is changed before all parts have planned. */
export interface Planned {
  /** The part's own fields of the journal as they are before the first change: DEL must get along with them. */
  readonly journal: Partial<OffloadJournal>
  /** Carries it out; what was done goes into `transaction`. Returns the journal's fields as they are afterwards. */
  apply(transaction: Transaction, shared: Shared): Partial<OffloadJournal>
  /** After apply(): the result of the ADD with what the part has made. */
  amend?(result: Result): Result
}

/** What a part removes by. A step that fails is noted, and the others are tried all the same. */
export interface Removal extends TableContext {
  readonly kernel: Kernel
  readonly attachment: Attachment
  /** undefined when the namespace is gone. */
  readonly pod: OpenNetns | undefined
  /** The record's journal; undefined when there is none or it can't be read. */
  readonly journal: OffloadJournal | undefined
  /** The journal has all that was done: its ADD has come to an end. */
  readonly isWhole: boolean
  /** No filter of the attachment is left on the host: all parts' filters have gone before the first part's turn. */
  readonly filtersGone: boolean
  /** True when another attachment has the device: what is set on it now may be that one's. */
  isTakenOver(device: string): boolean
  /** Runs an action; undefined when it failed. */
  step<T>(action: () => T): T | undefined
  /** Notes an interface of the host whose clsact may have become superfluous. */
  touched(ifindex: number): void
}

/** The half of a part that DEL needs: it loads nothing else. */
export interface FeatureRemoval {
  /**
   * True when a record says that something of this part was made, or was about to be. It is written before the first
   * change: where it says nothing of a part, that one has nothing to remove.
   */
  recorded(journal: OffloadJournal): boolean
  /** False when a record says that this part never has filters on the host: nobody need look for them. */
  filters(journal: OffloadJournal): boolean
  /** Where its filters on the host are, by a record. `isWhole` as {@link Removal} has it. */
  places(journal: OffloadJournal, isWhole: boolean): FilterPlaces
  /** The cookie (hex) that its filters carry; `sha256` returns hex. */
  cookie(attachment: Attachment, sha256: (text: string) => string): string
  /** Removes what of this part is in the pod; nothing when its namespace is gone. */
  removeFromPod(removal: Removal): void
  /** Removes everything else of the attachment that belongs to this part, whatever is left of it, but for filters of the host. */
  remove(removal: Removal): void
}

/** One part of the plugin. */
export interface Feature extends FeatureRemoval {
  /** True when the config wishes for something of this part. */
  wanted(config: OffloadConfig): boolean
  /**
   * Looks at all that no other call of this plugin changes, which takes most of the time of an ADD: the lock, for which others
   * wait, is not held. undefined when there is nothing to do. @throws CniError for what can't be had
   */
  look(context: LookContext): Looked | undefined
  /**
   * What an ADD of this attachment has made before and bears its mark, in words for people; undefined when there is no
   * such thing. Asked where no record speaks of that ADD.
   */
  trace(context: TraceContext): string | undefined
}
