/**
 * `vfctl show`: attachments of both plugins from their records, with what the kernel has counted since. Reads only. In:
 * the machine and arguments; out: plain values, which show-text.ts makes readable.
 */

import type { Kernel } from '../kernel/api/kernel.ts'
import type { LinkCounters } from '../kernel/api/links.ts'
import type { Machine } from '../kernel/api/machine.ts'
import type { OwnedPort } from '../kernel/api/reservations.ts'
import { grouped } from '../lib/grouped.ts'
import { everyFeature } from '../offload/features.ts'
import { ruleCounters } from '../offload/portmap/counters.ts'
import type { ShownSections } from '../offload/state/shown.ts'
import { openOwnersNetns } from '../ops/owner-netns.ts'
import { type AttachJournal, attachRecords } from '../records/attach.ts'
import { type OffloadJournal, offloadFolders, offloadRecords } from '../records/offload.ts'
import { type PluginRecord, RecordError } from '../records/record.ts'
import type { RecordName, RecordStore } from '../records/store.ts'

/** The attachments to show: those of a container or pod, and of one interface of it. */
export interface Selection {
  readonly stateDir: string
  /** A container ID or the beginning of one, or a pod as `NAME` or `NAMESPACE/NAME`. */
  readonly container: string | undefined
  readonly ifname: string | undefined
  /** False: the reports of vf-offload are not read, because nobody is shown them. */
  readonly withReports?: boolean
}

/** One attachment of one plugin. */
export interface Shown extends ShownSections {
  readonly plugin: string
  readonly containerID: string
  readonly ifname: string
  readonly network: string
  readonly netns: string
  /** The pod's namespace is there. */
  readonly alive: boolean
  /** False: the ADD never came to an end. */
  readonly complete: boolean
  /** Its DEL was called while a program had the device open, which is restored when it is closed. */
  readonly pendingClose?: boolean
  /** Of the interface in the pod; undefined when it is not to be seen. */
  readonly traffic: LinkCounters | undefined
  readonly device: ShownDevice | undefined
  /** The account that vf-offload wrote at ADD. */
  readonly report: unknown
}

/** The device of vf-attach. */
export interface ShownDevice {
  readonly id: string
  readonly pf: string | undefined
  readonly vf: number | undefined
  readonly driver: string | undefined
}

/** The attachments that were found, and a line for each record that could not be read. */
export interface Showing {
  readonly attachments: readonly Shown[]
  readonly errors: readonly string[]
}

/** Looks at all records of the selection. */
export function readShowing(machine: Machine, selection: Selection): Showing {
  const errors: string[] = []
  const shown = [...eachShown(machine, selection, errors)]
  const order = ({ containerID, ifname }: Shown) => `${containerID} ${ifname}`
  return {
    attachments: shown.sort((a, b) => (order(a) < order(b) ? -1 : order(a) > order(b) ? 1 : 0)),
    errors,
  }
}

function* eachShown(machine: Machine, selection: Selection, errors: string[]): Generator<Shown> {
  const { stateDir, withReports = true } = selection
  const offload = offloadFolders.map((folder) => offloadRecords(stateDir, folder))
  const chosen = chosenBy(selection, offload)
  // Nobody has asked for one container: one look at the host's port map serves all.
  const opened = selection.container === undefined ? openedByOwner(machine) : undefined
  yield* eachRecord(attachRecords(stateDir), chosen, errors, (record) => shownAttach(machine, record))
  for (const store of offload)
    yield* eachRecord(store, chosen, errors, (record, name) =>
      shownOffload(machine, record, withReports ? store.readReport(name) : undefined, opened),
    )
}

/** The host's ports by the cookies of their owners, looked at when the first attachment asks. */
function openedByOwner(machine: Machine): () => ReadonlyMap<string, readonly OwnedPort[]> {
  let found: ReadonlyMap<string, readonly OwnedPort[]> | undefined
  return () => {
    if (found !== undefined) return found
    const kernel = machine.openKernel()
    try {
      found = grouped(kernel.everyOpenedPort(), ({ cookie }) => cookie)
      return found
    } finally {
      kernel.close()
    }
  }
}

/** Filters of one attachment, with what they have counted. */
export type ShownFilters = Pick<Shown, 'containerID' | 'ifname' | 'report' | 'rules'>

/**
 * The attachments of vf-attach that {@link readShowing} shows, in no order. Each is looked at when it is asked for, so that a program
 * that lives long can do other things in between. `errors` gets a line for each record that can't be read, and for each attachment
 * that can't be looked at.
 */
export function* eachAttachment(machine: Machine, stateDir: string, errors: string[]): Generator<Shown> {
  const found = eachRecord(
    attachRecords(stateDir),
    () => true,
    errors,
    orLine(errors, (record) => shownAttach(machine, record)),
  )
  for (const one of found) if (one !== undefined) yield one
}

/**
 * The filters that {@link readShowing} shows, by attachment, like {@link eachAttachment}. Costs much less, because no pod is looked
 * at, and attachments without filters are passed over.
 */
export function* eachWithFilters(
  machine: Machine,
  stateDir: string,
  errors: string[],
): Generator<ShownFilters> {
  const kernel = machine.openKernel()
  try {
    for (const store of offloadFolders.map((folder) => offloadRecords(stateDir, folder))) {
      const show = ({ owner, journal }: PluginRecord<OffloadJournal>, name: RecordName) =>
        journal.rules.length === 0
          ? undefined
          : {
              ...{ containerID: owner.containerID, ifname: owner.ifname },
              ...{ report: parsed(store.readReport(name)), ...ruleCounters({ kernel, journal }) },
            }
      for (const one of eachRecord(store, () => true, errors, orLine(errors, show)))
        if (one !== undefined) yield one
    }
  } finally {
    kernel.close()
  }
}

/** `show`, with a line instead of an error: interfaces and pods come and go while they are looked at. */
function orLine<J, S>(
  errors: string[],
  show: (record: PluginRecord<J>, name: RecordName) => S,
): (record: PluginRecord<J>, name: RecordName) => S | undefined {
  return (record, name) => {
    try {
      return show(record, name)
    } catch (error) {
      errors.push(`Cannot look at "${name.path}": ${error instanceof Error ? error.message : String(error)}`)
      return undefined
    }
  }
}

/** Pods are known by the reports of vf-offload; what they say holds for the container's other records too. */
function chosenBy(
  { container, ifname }: Selection,
  stores: readonly Pick<RecordStore<OffloadJournal>, 'list' | 'readReport'>[],
): (name: RecordName) => boolean {
  const containers = new Set<string>()
  if (container !== undefined) {
    for (const store of stores) {
      for (const name of store.list()) {
        const pod = podOf(store.readReport(name))
        if (pod === container || pod?.split('/')[1] === container) containers.add(name.containerID)
      }
    }
  }
  return (name) =>
    (container === undefined || name.containerID.startsWith(container) || containers.has(name.containerID)) &&
    (ifname === undefined || name.ifname === ifname)
}

function podOf(report: string | undefined): string | undefined {
  const value = parsed(report)
  const pod = typeof value === 'object' && value !== null && 'pod' in value ? value.pod : undefined
  return typeof pod === 'string' ? pod : undefined
}

/** A report is for others: one that is no JSON is shown as none. */
function parsed(report: string | undefined): unknown {
  try {
    return report === undefined ? undefined : JSON.parse(report)
  } catch {
    return undefined
  }
}

function* eachRecord<J, S>(
  store: RecordStore<J>,
  chosen: (name: RecordName) => boolean,
  errors: string[],
  show: (record: PluginRecord<J>, name: RecordName) => S,
): Generator<S> {
  for (const name of store.list().filter(chosen)) {
    try {
      const record = store.read(name)
      if (record !== undefined) yield show(record, name)
    } catch (error) {
      if (!(error instanceof RecordError)) throw error
      errors.push(error.message)
    }
  }
}

function shownAttach(machine: Machine, record: PluginRecord<AttachJournal>): Shown {
  const { device, pendingClose } = record.journal
  const { id, pfPci: pf, vfIndex: vf, driver } = device
  return withNode(machine, record, (_, common) => ({
    ...common,
    device: { id, pf, vf, driver },
    ...(pendingClose === true ? { pendingClose } : {}),
    report: undefined,
    ...nothing(),
  }))
}

function shownOffload(
  machine: Machine,
  { owner: attachment, journal, ...record }: PluginRecord<OffloadJournal>,
  report: string | undefined,
  opened: (() => ReadonlyMap<string, readonly OwnedPort[]>) | undefined,
): Shown {
  return withNode(machine, { ...record, owner: attachment, journal }, (kernel, common) => {
    const context = { machine, kernel, attachment, journal, inPod: common.alive, opened }
    const sections = everyFeature.map((feature) => feature.counters(context))
    return { ...common, device: undefined, report: parsed(report), ...Object.assign(nothing(), ...sections) }
  })
}

/** The sections of an attachment without mappings and limits. */
function nothing(): ShownSections {
  return { mappings: [], limits: [], rules: [] }
}

/** The part that both plugins' records have, with the counters of the pod's interface; `show` adds the rest. */
function withNode(
  machine: Machine,
  { plugin, phase, owner }: PluginRecord<unknown>,
  show: (kernel: Kernel, common: Omit<Shown, 'device' | 'report' | keyof ShownSections>) => Shown,
): Shown {
  const { containerID, ifname, network, netns } = owner
  const pod = openOwnersNetns(machine, owner, netns)
  const kernel = machine.openKernel(pod)
  try {
    return show(kernel, {
      ...{ plugin, containerID, ifname, network, netns },
      traffic: pod === undefined ? undefined : kernel.linkCounters('pod', ifname),
      alive: pod !== undefined,
      complete: phase === 'attached',
    })
  } finally {
    kernel.close()
    pod?.close()
  }
}
