/**
 * The setting ip_local_reserved_ports of the host, shared by the operator and all attachments whose ports filters take past the
 * host's stack: the kernel gives none of these ports to a program of the node by itself. A note tells which ports are the
 * operator's, what we wrote last, and who needs which ports. What the setting differs from what we wrote, the operator has
 * changed since: what is more is his, what is less is his no more.
 */
import type { Kernel, SteeredPort } from '../../../kernel/api/kernel.ts'
import type { Machine } from '../../../kernel/api/machine.ts'
import { formatPortSet, parsePortSet } from '../../../lib/port-set.ts'
import type { Op, PortKey } from '../../../ops/op.ts'
import { noteAt, textOrNone } from '../../../records/store.ts'
import { forgivingNote } from '../../state/shared-note.ts'
import { isLoopback } from '../keys.ts'

/** The name of its note. */
export const localPortsNote = 'local-ports'

type Ports = ReadonlySet<number>

/** `written` has all that we may have put into the setting, whenever we are killed. */
interface Book {
  readonly operator: Ports
  readonly written: Ports
  /** By cookie. */
  readonly users: ReadonlyMap<string, Ports>
}

/** Help where the note was lost. */
export interface LostBook {
  /** Ports that a record says its attachment has put into the setting: no table need have them. */
  readonly own?: readonly number[] | undefined
  /** Makes the host's table whole: called before the table is asked who needs what. */
  readonly whole: () => unknown
}

/** The keys whose frames a filter on a wire may take: those of the host's loopback addresses never come by a wire. */
export function wireKeys<K extends Pick<PortKey, 'address'>>(keys: readonly K[]): K[] {
  return keys.filter(({ address }) => !isLoopback(address))
}

/**
 * Notes that `cookie` needs the ports of these keys; what has to be done for it. Written before it is done, so that a crash
 * leaves nothing that nobody knows of. Ports of others that somebody has taken out of the setting are put back at once.
 */
export function claimLocalPorts(
  machine: Machine,
  kernel: Kernel,
  keys: readonly PortKey[],
  cookie: string,
  { whole }: LostBook,
): Op[] {
  const own = new Set(wireKeys(keys).map(({ port }) => port))
  if (own.size === 0) return []
  const now = new Set(kernel.localPorts())
  const book = merged(bookOf(machine, kernel, now, whole), now)
  const users = new Map(book.users).set(cookie, own)
  const wanted = allOf(book.operator, users)
  noteAt(pathOf(machine), 'volatile').set(
    write(machine, { operator: book.operator, written: union(wanted, now), users }),
  )
  const lost = [...wanted].filter((port) => !now.has(port) && !own.has(port))
  if (lost.length > 0) kernel.run({ do: 'localports.reserve', ports: lost, were: [] })
  const ports = [...own].sort((a, b) => a - b)
  return [{ do: 'localports.reserve', ports, were: ports.filter((port) => now.has(port)) }]
}

/**
 * Takes `cookie` out of the note and its ports out of the setting, but for those of the operator and of others. A note that
 * can't be written is told, and keeps nobody from going.
 */
export function releaseLocalPorts(machine: Machine, kernel: Kernel, cookie: string, help: LostBook): void {
  const note = forgivingNote(pathOf(machine), 'volatile')
  const known = read(textOrNone(pathOf(machine)), machine.bootId())
  // Whoever has no note has it for the reason that nobody has a port on a wire, or lost it.
  const users = known?.users ?? usersLeft(kernel, cookie, help)
  if (!users.has(cookie)) {
    if (known === undefined && users.size === 0) forgetOld(machine)
    return
  }
  const now = new Set(kernel.localPorts())
  const book = merged(known ?? rebuilt(users, now), now)
  const others = new Map(users)
  others.delete(cookie)
  const wanted = allOf(book.operator, others)
  const lost = [...wanted].filter((port) => !now.has(port))
  if (lost.length > 0) kernel.run({ do: 'localports.reserve', ports: lost, were: [] })
  const freed = [...now].filter((port) => !wanted.has(port))
  if (freed.length > 0) kernel.run({ do: 'localports.release', ports: freed, were: [] })
  if (others.size === 0) note.clear()
  // Behind the setting: what is written in the note and not there, somebody else has taken away.
  else note.set(write(machine, { operator: book.operator, written: wanted, users: others }))
}

/** Cookies that begin with `prefix` (hex) of those who need ports, by the note. */
export function localPortsCookies(machine: Machine, prefix: string): string[] {
  const { users } = read(textOrNone(pathOf(machine)), machine.bootId()) ?? {}
  return [...(users?.keys() ?? [])].filter((cookie) => cookie.startsWith(prefix))
}

/** Those who need ports, where no note tells. The table is made whole only for one that has ports. */
function usersLeft(kernel: Kernel, cookie: string, { own = [], whole }: LostBook): Map<string, Ports> {
  const found = usersIn(kernel.steeredPorts())
  const ports = own.length > 0 ? new Set(own) : found.get(cookie)
  if (ports === undefined) return found
  whole()
  return usersIn(kernel.steeredPorts()).set(cookie, ports)
}

function bookOf(machine: Machine, kernel: Kernel, now: Ports, whole: LostBook['whole']): Book {
  const known = read(textOrNone(pathOf(machine)), machine.bootId())
  if (known === undefined) whole()
  return known ?? rebuilt(usersIn(kernel.steeredPorts()), now)
}

/** Without a note the host's table tells who needs which ports; all else in the setting is the operator's. */
function rebuilt(users: Book['users'], now: Ports): Book {
  const ours = allOf(new Set(), users)
  return { operator: without(now, ours), written: now, users }
}

function usersIn(steered: readonly SteeredPort[]): Map<string, Ports> {
  const users = new Map<string, Set<number>>()
  for (const { cookie, port } of steered) users.set(cookie, (users.get(cookie) ?? new Set()).add(port))
  return new Map<string, Ports>(users)
}

/** The book with the operator's changes since we wrote. */
function merged({ operator, written, users }: Book, now: Ports): Book {
  const added = without(now, written)
  const removed = without(written, now)
  return { operator: union(without(operator, removed), added), written, users }
}

/** The note of another boot says nothing: the setting is as it was. */
function forgetOld(machine: Machine): void {
  if (textOrNone(pathOf(machine)) !== undefined) forgivingNote(pathOf(machine), 'volatile').clear()
}

function union(one: Ports, other: Ports): Set<number> {
  return new Set([...one, ...other])
}

function without(one: Ports, other: Ports): Set<number> {
  return new Set([...one].filter((port) => !other.has(port)))
}

function allOf(operator: Ports, users: Book['users']): Set<number> {
  return new Set([...operator, ...[...users.values()].flatMap((ports) => [...ports])])
}

function pathOf({ sharedDir }: Machine): string {
  return `${sharedDir}/${localPortsNote}`
}

/** Boot, the operator's ports, those that were written; then a line for each user: cookie and ports. */
function read(text: string | undefined, bootId: string): Book | undefined {
  const [boot, operator, written, ...lines] = text?.split('\n') ?? []
  if (boot !== bootId || operator === undefined || written === undefined) return undefined
  const users = lines.flatMap((line): [string, Ports][] => {
    const [cookie, ports] = line.split(' ')
    return cookie === undefined || ports === undefined ? [] : [[cookie, parsePortSet(ports)]]
  })
  return { operator: parsePortSet(operator), written: parsePortSet(written), users: new Map(users) }
}

function write(machine: Machine, { operator, written, users }: Book): string {
  const lines = [...users].map(([cookie, ports]) => `${cookie} ${formatPortSet(ports)}`)
  return `${[machine.bootId(), formatPortSet(operator), formatPortSet(written), ...lines].join('\n')}\n`
}
