/**
 * The host's port map is the node's reservation, and anybody may flush it (`nft flush ruleset`) at any moment. A note tells
 * which table was last known to hold the reservations of all, by a handle that no other table ever has; while the table
 * that is there is that one, nobody has lost anything. Otherwise the records of all attachments say what belongs in it, and it
 * is put back before anything is decided by it. All that changes the map goes through here, under the node's lock.
 */
import type { Kernel, PortTable, Released, Reservation } from '../../../kernel/api/kernel.ts'
import type { Machine } from '../../../kernel/api/machine.ts'
import { notice } from '../../../lib/log/notice.ts'
import { faultPoint } from '../../../ops/fault.ts'
import { isGone } from '../../../ops/held-netns.ts'
import type { Op } from '../../../ops/op.ts'
import type { Runner } from '../../../ops/runner.ts'
import { offloadRecords } from '../../../records/offload.ts'
import { defaultStateDir, textOrNone } from '../../../records/store.ts'
import { folderOf, offloadNames } from '../../config/plugin-names.ts'
import type { SharedState } from '../../feature.ts'
import type { StateContext } from '../../state/context.ts'
import { forgivingNote } from '../../state/shared-note.ts'
import { localPortsNote } from './local-ports.ts'
import { localnetPrefix } from './route-localnet.ts'

/** The node's port map as the state that all attachments share. */
export const hostTable: SharedState = {
  keeping: keepingTable,
  settle: settleTable,
  isLacking: lacksReservations,
  complete: (context, kernel) => void wholeTable(context, kernel),
  isNote: (name) =>
    name === tableNote || [localnetPrefix, localPortsNote].some((prefix) => name.startsWith(prefix)),
}

/** Three lines: boot, handle, the state folders in use as JSON. There is none while there is no table. */
interface Note {
  readonly handle: bigint
  readonly folders: readonly string[]
}

/** Name of the note in the folder that all attachments share. */
export const tableNote = 'table'

/** So many of those who got their ports back are named. */
const mostNamed = 10

/** A reservation is begun anew so often at most, when somebody flushes the rules of the node meanwhile. */
const maxRounds = 10

/**
 * Makes sure that the table holds the reservations of all living attachments, those of `except` apart (a cookie), and returns
 * it; undefined where nobody has any. What can't be put back is told.
 */
export function wholeTable(context: StateContext, kernel: Kernel, except?: string): PortTable | undefined {
  const { machine } = context
  const now = kernel.portTable()
  const note = readNote(machine)
  const folder = folderOfStore(context)
  // The records of a folder that the note lacks had no part in the table: it may have come back without them, or lost them.
  if (now !== undefined && note?.handle === now.handle && hasFolder(note, folder)) return now
  const own = folder === undefined ? [] : [folder]
  const folders = new Set([defaultStateDir, ...own, ...(note?.folders ?? [])])
  const known = [...folders].map((one) => ({ folder: one, ...reservationsIn(machine, one, except) }))
  const others = known.flatMap(({ living }) => living)
  const { table, restored, refused } = kernel.completeTable(others)
  const inUse = known.flatMap((one) => (one.isUsed || one.folder === folder ? [one.folder] : []))
  if (table !== undefined) writeNote(machine, { handle: table.handle, folders: inUse })
  else if (note !== undefined) clearNote(machine)
  if (restored.length > 0) {
    const back = new Set(restored)
    // Clients that went on sending meanwhile are known to the kernel as clients of the node's own.
    kernel.forgetConnections(others.filter(({ owner }) => back.has(owner)).flatMap(({ keys }) => keys))
    const more = restored.length > mostNamed ? ` and ${restored.length - mostNamed} more` : ''
    const named = restored.slice(0, mostNamed).map(nameOf).join(', ')
    notice(`vf-offload: host ports of ${named}${more} were reserved no more, and are again`)
  }
  for (const { owner, reason } of refused)
    notice(`vf-offload: Cannot reserve the host ports of ${nameOf(owner)} again: ${reason}`)
  return table
}

/**
 * True when the table is not the one that held all reservations: somebody has flushed it, or loaded an older one. Or nobody
 * has looked at the records of this state folder when it was made whole.
 */
export function lacksReservations(context: StateContext, kernel: Kernel): boolean {
  const note = readNote(context.machine)
  const now = kernel.portTable()
  if (note === undefined) return now !== undefined
  return note.handle !== now?.handle || !hasFolder(note, folderOfStore(context))
}

/**
 * Reserves ports in a whole table. A flush at any moment only means another attempt.
 * @throws PortTaken with the owner's name
 */
export function reserveWhole(context: StateContext, kernel: Kernel, reservation: Reservation): void {
  for (let round = 0; ; round++) {
    const table = wholeTable(context, kernel, reservation.owner.slice(0, cookieDigits))
    faultPoint('table', 'before')
    const { made, changed } = kernel.reservePorts(reservation, table === undefined ? 'absent' : 'present')
    faultPoint('table', 'after')
    if (changed === undefined) {
      if (made !== undefined) remember(context, made)
      return
    }
    if (round === maxRounds) throw changed
  }
}

/**
 * Releases what the cookie has reserved, and puts back what others have lost. The table goes with its last reservation if it
 * held all. What can't be put back keeps nobody from going.
 */
export function releaseWhole(
  context: StateContext,
  kernel: Kernel,
  cookie: string,
  known?: Omit<Reservation, 'owner'>,
): Released['keys'] {
  let table: PortTable | undefined
  try {
    // Most calls of a node without host ports: the records of all would be read for nothing, under the node's lock.
    if (known === undefined && isUnused(context.machine, kernel)) return []
    table = wholeTable(context, kernel, cookie)
  } catch (error) {
    notice(`vf-offload: ${error instanceof Error ? error.message : String(error)}`)
    return kernel.releasePorts(cookie, known, 'incomplete').keys
  }
  if (table === undefined) return known?.keys ?? []
  faultPoint('table', 'before')
  const { keys, tableGone } = kernel.releasePorts(cookie, known, table)
  faultPoint('table', 'after')
  if (tableGone) clearNote(context.machine)
  return keys
}

/**
 * After the last change of an ADD: a flush while it went on took its own reservation too, of which no record tells yet.
 * @throws PortTaken, and what the kernel refuses
 */
export function settleTable(context: StateContext, kernel: Kernel, ops: readonly Op[]): void {
  for (const op of ops) {
    if (op.do !== 'ports.reserve') continue
    const note = readNote(context.machine)
    if (note !== undefined && note.handle === kernel.portTable()?.handle) continue
    releaseWhole(context, kernel, op.owner.slice(0, cookieDigits), op)
    reserveWhole(context, kernel, op)
    kernel.forgetConnections(op.keys)
    notice('vf-offload: the rules of the node were flushed during the ADD: its host ports are reserved again')
  }
}

/** Runs what `runner` runs; reservations, and what takes them back, keep the table whole. */
export function keepingTable(context: StateContext, kernel: Kernel, runner: Runner): Runner {
  const { runAll } = runner
  return {
    ...(runAll === undefined ? {} : { runAll }),
    run: (op) => {
      if (op.do === 'ports.reserve') reserveWhole(context, kernel, op)
      else if (op.do === 'ports.release') releaseWhole(context, kernel, op.owner.slice(0, cookieDigits), op)
      else return runner.run(op)
      return {}
    },
  }
}

/** Digits of a cookie, with which an owner's text begins. */
const cookieDigits = 32

function remember(context: StateContext, handle: bigint): void {
  const { folders = [] } = readNote(context.machine) ?? {}
  const folder = folderOfStore(context)
  const own = folder === undefined ? [] : [folder]
  writeNote(context.machine, { handle, folders: [...new Set([...folders, ...own])] })
}

/** No table, and none is known to have been: what a lost reservation needs is for the next ADD or GC to see. */
function isUnused(machine: Machine, kernel: Kernel): boolean {
  return readNote(machine) === undefined && kernel.portTable() === undefined
}

function hasFolder({ folders }: Note, folder: string | undefined): boolean {
  return folder === undefined || folders.includes(folder)
}

function readNote(machine: Machine): Note | undefined {
  const text = textOrNone(`${machine.sharedDir}/${tableNote}`)
  const [boot, handle = '', folders = ''] = text?.split('\n') ?? []
  if (boot !== machine.bootId() || !/^\d+$/.test(handle)) return undefined
  return { handle: BigInt(handle), folders: listIn(folders) }
}

function listIn(text: string): string[] {
  try {
    const list: unknown = JSON.parse(text)
    return Array.isArray(list) ? list.filter((one) => typeof one === 'string') : []
  } catch {
    return []
  }
}

function writeNote(machine: Machine, { handle, folders }: Note): void {
  const lines = [machine.bootId(), handle, JSON.stringify(folders)]
  noteOf(machine).set(`${lines.join('\n')}\n`)
}

function clearNote(machine: Machine): void {
  noteOf(machine).clear()
}

/** Without the note, or with an old one, the next reservation looks at all records: that it can't be written fails nothing. */
function noteOf({ sharedDir }: Machine) {
  return forgivingNote(`${sharedDir}/${tableNote}`, 'volatile')
}

/** The reservations of living attachments, those of `except` apart, by the records below a state folder; `isUsed`: there are records. */
function reservationsIn(
  machine: Machine,
  stateDir: string,
  except: string | undefined,
): { readonly living: Reservation[]; readonly isUsed: boolean } {
  const living: Reservation[] = []
  let isUsed = false
  // Limits alone reserve nothing.
  for (const name of offloadNames.filter((one) => one !== 'bandwidth')) {
    const store = offloadRecords(stateDir, folderOf(name))
    for (const one of store.list()) {
      isUsed = true
      try {
        const record = store.read(one)
        if (record === undefined) continue
        const own = record.journal.ops.flatMap((op) =>
          op.do === 'ports.reserve' && (except === undefined || !op.owner.startsWith(except)) ? [op] : [],
        )
        // The filters of a dead one stand until somebody clears its way: until then its ports are taken.
        const isSteered = record.journal.uplink !== undefined && record.owner.bootId === machine.bootId()
        if (own.length > 0 && (isSteered || !isGone(machine, record.owner))) living.push(...own)
      } catch (error) {
        notice(
          `vf-offload: Cannot reserve the host ports of container/interface "${one.containerID}/${one.ifname}" again: ${String(error)}`,
        )
      }
    }
  }
  return { living, isUsed }
}

/** Of `<stateDir>/offload`; undefined for a caller that has no records. */
function folderOfStore({ store }: StateContext): string | undefined {
  const [folder] = store.folders
  return folder?.slice(0, folder.lastIndexOf('/'))
}

function nameOf(owner: string): string {
  return `container/interface "${owner.slice(cookieDigits + 1)}"`
}
