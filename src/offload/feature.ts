/**
 * The contract of a feature (port map, bandwidth). A feature has its wishes in the config, its plan, its cookie and its removal.
 * The verbs know a feature by this contract alone: one member for each part of ADD, CHECK, DEL, GC, STATUS, of the
 * report and of the counters.
 */
import type { Request } from '../cni/request.ts'
import type { Result } from '../cni/result.ts'
import type { DoneOp, Kernel, Needs } from '../kernel/api/kernel.ts'
import type { Machine, OpenNetns } from '../kernel/api/machine.ts'
import type { OpenedPort } from '../kernel/api/reservations.ts'
import type { PciAddress } from '../lib/pci-address.ts'
import type { Transaction } from '../ops/apply.ts'
import type { Op } from '../ops/op.ts'
import type { Runner } from '../ops/runner.ts'
import type { OffloadJournal } from '../records/offload.ts'
import type { OffloadConfig } from './config/config.ts'
import type { Port } from './port/port.ts'
import type { StateContext } from './state/context.ts'
import type { RatesNow, ratesBefore } from './state/device-history.ts'
import type { Attachment } from './state/identity.ts'
import type { FilterPlaces } from './state/own-filters.ts'
import type { ReportSections } from './state/report.ts'
import type { ShownSections } from './state/shown.ts'

/** A feature looks around with this, before ADD asks for the node's lock. */
export interface LookContext {
  readonly machine: Machine
  readonly kernel: Kernel
  readonly request: Request
  readonly config: OffloadConfig
  readonly attachment: Attachment
  readonly port: Port
}

/** A feature plans from this. The lock is held, and `port` has been read again since. */
export interface AddContext extends LookContext, StateContext {
  /** Of a VF with a representor: the journals that other entries of the list have made for the attachment. */
  readonly others: readonly OffloadJournal[]
  /** The rates before the limits of attachments that have had the pod's device. */
  ratesBefore(now: RatesNow): ReturnType<typeof ratesBefore>
  /** True when a thing on the pod's wire is a dead attachment's. Reads the records of all: ask for a conflict only. */
  isHeldByDead(): boolean
}

/** A feature looks for its own traces with this. */
export interface TraceContext extends Pick<AddContext, 'machine' | 'kernel' | 'attachment'> {
  /** The attachment has host ports. */
  readonly reserved: boolean
  /** The attachment's frames pass an eSwitch, where a policer can be: nobody else need look for one. */
  readonly hasEswitch: boolean
}

/** The findings of a look around. */
export interface Looked {
  /**
   * The plan, with the lock held. Asks again for everything that other calls of this plugin may have changed since the look.
   * @throws CniError for wishes that can't be fulfilled
   */
  plan(context: AddContext): Planned
}

/**
 * One of the ways in which all features can be carried out together. The installer tries the alternatives of a plan in order.
 * Every feature reads this value, and none of them writes to it.
 */
export interface Alternative {
  /** Index of the policer in the NIC that each filter which leads to the pod must have. undefined: there is no such policer. */
  readonly policer: number | undefined
  /** Why the NIC limits nothing by a policer, where the plan had one. */
  readonly refused: PolicerRefused | undefined
}

/** A value, not an error: the NIC does not limit by the policer of an alternative, and the next alternative has its turn. */
export class PolicerRefused {
  /** For people: the driver's words, or the reason why nobody asked the driver. */
  readonly reason: string
  /** The command that the driver refused, and the error of it. */
  readonly options: { readonly details?: string; readonly cause?: unknown }

  constructor(reason: string, options: PolicerRefused['options'] = {}) {
    this.reason = reason
    this.options = options
  }
}

/** The plan of one feature. Nothing is changed before all features have planned. */
export interface Planned {
  /** The feature's own fields of the journal before the first change. A DEL after a crash goes by them. */
  readonly journal: Partial<OffloadJournal>
  /** Index of the policer in the NIC that the feature makes, and that others must use. */
  readonly policer?: number
  /** True when the feature makes a filter that uses the policer of an alternative. Without such a filter the policer limits nothing. */
  readonly usesPolicer: boolean
  /**
   * Carries the plan out; `transaction` notes each change. Returns the journal's fields afterwards, or why the policer of the
   * alternative can't be had. @throws CniError, ApplyError where no alternative would help
   */
  install(transaction: Transaction, alternative: Alternative): Partial<OffloadJournal> | PolicerRefused
  /** After install(): the result of the ADD with the interfaces that the feature has made. */
  amend?(result: Result): Result
}

/** A feature removes by this. A step that fails is noted, and the others are tried all the same. */
export interface Removal extends StateContext {
  readonly kernel: Kernel
  readonly attachment: Attachment
  /** undefined when the namespace is gone. */
  readonly pod: OpenNetns | undefined
  /** The record's journal; undefined when there is none or it can't be read. */
  readonly journal: OffloadJournal | undefined
  /** The journal has everything that was done: its ADD has come to an end. */
  readonly isWhole: boolean
  /** No filter of the attachment is left on the host: the filters of all features go before the first feature's turn. */
  readonly filtersGone: boolean
  /** True when another attachment has the device: the settings of the device may be that one's now. */
  isTakenOver(device: string): boolean
  /** Runs an action; undefined when it failed. */
  step<T>(action: () => T): T | undefined
  /** Notes an interface of the host whose clsact may have become superfluous. */
  touched(ifindex: number): void
}

/** The half of a feature that DEL needs: DEL loads nothing else. */
export interface FeatureRemoval {
  /**
   * True when a record says that something of this feature was made, or was about to be. A record is written before the first
   * change: where it says nothing of a feature, that feature has nothing to remove.
   */
  recorded(journal: OffloadJournal): boolean
  /** False when a record says that this feature never has filters on the host: nobody need look for them. */
  filters(journal: OffloadJournal): boolean
  /** The places of its filters on the host, by a record. `isWhole` as {@link Removal} has it. */
  places(journal: OffloadJournal, isWhole: boolean): FilterPlaces
  /** The cookie (hex) that its filters carry; `sha256` returns hex. */
  cookie(attachment: Attachment, sha256: (text: string) => string): string
  /** Removes everything of this feature in the pod; nothing when the pod's namespace is gone. */
  removeFromPod(removal: Removal): void
  /** Removes everything else of the attachment that belongs to this feature, but for filters of the host. */
  remove(removal: Removal): void
}

/** A feature checks with this. */
export interface CheckContext {
  readonly kernel: Kernel
  readonly request: Request
  readonly config: OffloadConfig
  /** The part of the record for which this entry answers; undefined: there is no record. */
  readonly journal: OffloadJournal | undefined
  /** undefined where the pod's port can't be read. The verb says so. */
  readonly port: Port | undefined
}

/** A feature says with this whether a node is ready. */
export interface StatusContext {
  readonly kernel: Kernel
  readonly config: OffloadConfig
  /** PFs whose VFs a pod can get. */
  readonly pfs: readonly PciAddress[]
  /** PCI function that the config names as the device of every pod: its PFs (one, or none for a NIC of its own), or `absent`. */
  readonly device: readonly PciAddress[] | 'absent' | undefined
}

/** The needs of a feature on a node. */
export interface Readiness {
  /** No ADD of this config goes without these. undefined: an ADD may go without the feature. */
  readonly everyAdd?: Partial<Needs>
  /** An ADD that asks for the feature goes not without these. undefined: no ADD can ask. */
  readonly asking?: Partial<Needs>
  /** A line for each other thing for want of which an ADD that asks would fail, or reach nobody. */
  readonly hindrances: readonly string[]
}

/** A feature collects the things of attachments without a record with this. */
export interface OrphanContext extends StateContext {
  readonly kernel: Kernel
  readonly network: string
  /** False when filters of such attachments may be left: a port is given away only when no filter for it is left. */
  filtersGone(): boolean
  /** Runs an action; undefined when it failed. */
  step<T>(action: () => T): T | undefined
  /** With the lock held: the marks, of these, of attachments that nobody knows. An ADD may have come since they were found. */
  strange(
    found: Iterable<string>,
    said: (mark: string) => string,
    own: (one: Pick<Attachment, 'containerID' | 'ifname'>) => string,
  ): ReadonlyMap<string, readonly string[]>
  /** The same for cookies. */
  strangeCookies(found: Iterable<string>): readonly string[]
}

/** State of the node that all attachments of a feature share, and that others may take away. */
export interface SharedState {
  /** Runs the operations that `runner` runs, and keeps the state whole meanwhile. */
  keeping(context: StateContext, kernel: Kernel, runner: Runner): Runner
  /** After the last change of an ADD: makes good whatever others took since it began. `ops` are those that were done. */
  settle(context: StateContext, kernel: Kernel, ops: readonly Op[]): void
  /** True when others have taken something. No lock is needed. */
  isLacking(context: StateContext, kernel: Kernel): boolean
  /** Puts back whatever others have taken. The lock is held. */
  complete(context: StateContext, kernel: Kernel): void
  /** True for the name of a note about the state, in the folder that all attachments share. */
  isNote(name: string): boolean
}

/** A feature reads its counters with this. */
export interface CountersContext {
  readonly machine: Machine
  readonly kernel: Kernel
  readonly attachment: Attachment
  readonly journal: OffloadJournal
  /** The pod is there, so that things in it can be asked for. */
  readonly inPod: boolean
  /** Ports of the host's map by the cookies of their owners, where all were asked for together; absent: the kernel is asked for these. */
  readonly opened?: (() => ReadonlyMap<string, readonly OpenedPort[]>) | undefined
}

/** One feature of the plugin. */
export interface Feature extends FeatureRemoval {
  /** True when the config wishes for something of this feature. */
  wanted(config: OffloadConfig): boolean
  /**
   * Looks at everything that no other call of this plugin changes. That takes most of the time of an ADD, so ADD does not hold
   * the lock. undefined when there is nothing to do. @throws CniError for wishes that can't be fulfilled
   */
  look(context: LookContext): Looked | undefined
  /**
   * A thing of this attachment that an ADD before has made and marked, in words for people; undefined when there is none. Asked
   * where no record speaks of that ADD.
   */
  trace(context: TraceContext): string | undefined

  /**
   * All operations that a record says were done, the filters included: CHECK verifies each of them. Those that know an interface by
   * its name have the name that it has now.
   */
  done(journal: OffloadJournal, kernel: Pick<Kernel, 'link'>): readonly DoneOp[]
  /** The beginning of CHECK's error: `Port mappings are not as ADD left them`. */
  readonly otherwise: string
  /** Sentences about everything that no recorded operation shows: wishes beside the record, and things on which the feature depends. */
  differences(context: CheckContext): Iterable<string>

  /** The needs of the feature, for STATUS. Asks the kernel, and changes nothing. */
  readiness(context: StatusContext): Readiness
  /** Beginning of the cookies (hex) of all attachments of a network. */
  cookiePrefix(network: string, sha256: (text: string) => string): string
  /** GC without the lock: looks for things without a record. Returns the action that removes them, for when the lock is held. */
  orphans(context: OrphanContext): () => void
  /** undefined: attachments share nothing. */
  readonly shared: SharedState | undefined

  /** The feature's sections of the report. */
  report(journal: OffloadJournal): Partial<ReportSections>
  /** The feature's counters, for `vfctl show`. Reads only. */
  counters(context: CountersContext): Partial<ShownSections>
}
