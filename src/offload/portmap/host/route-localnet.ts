/**
 * The setting route_localnet of an interface, shared by all attachments that let the node's programs reach a pod at
 * 127.0.0.1, and the guard on that interface, which stands from before the setting is made until it is back: without it
 * neighbours on the interface could reach what the node serves at 127.0.0.1, or send from there. A note, by the interface's
 * number, tells what the setting was before the first of them and who they are; the last one puts it back. Without a note the
 * host's table tells who they are: whoever is served at 127.0.0.1 has a key of it there. A guard without a note says that the
 * setting was 0: nobody else makes that guard, and it is made before the setting.
 */
import type { LinkFacts } from '../../../kernel/api/facts.ts'
import type { Kernel } from '../../../kernel/api/kernel.ts'
import type { Machine } from '../../../kernel/api/machine.ts'
import { loopbackGuard } from '../../../ops/marks/loopback-guard.ts'
import { cookiePrefix } from '../../../ops/marks/own-cookie.ts'
import type { Op } from '../../../ops/op.ts'
import { noteAt, notesIn, textOrNone } from '../../../records/store.ts'
import { releaseClsact } from '../../state/clsact-owner.ts'
import { forgivingNote } from '../../state/shared-note.ts'

/** The beginning of the names of its notes. */
export const localnetPrefix = 'localnet-'

/** Boot, value before, then the cookies of those who need it, a line each. */
interface Users {
  readonly boot: string
  readonly was: string
  readonly cookies: readonly string[]
}

/** Help for a removal whose note was lost. */
export interface Lost {
  /** Numbers of the interfaces whose setting the attachment has needed; undefined where no record tells. */
  readonly interfaces?: readonly number[] | undefined
  /** Makes the host's table whole: called before the table is asked who needs what. */
  readonly whole: () => unknown
}

/** The needs of an attachment on an interface. */
export interface Localnet {
  /** The operations that are to be done: none where another attachment has the same interface. */
  readonly ops: readonly Op[]
  /** The operations whose work must be there afterwards, for CHECK. */
  readonly holds: readonly Op[]
}

/**
 * Notes that `cookie` needs the setting on `link`; what has to be done for it. Written before it is done, so that a crash
 * leaves nothing that nobody knows of. The guard of nftables (kernel/nftables/host-table.ts) must stand by then.
 * @throws PassedGuard where packets would pass the guard by; nothing was noted then
 */
export function claimLocalnet(machine: Machine, kernel: Kernel, link: LinkFacts, cookie: string): Localnet {
  const { name, ifindex } = link
  const key = keyOf(name)
  const now = kernel.sysctl('host', key) ?? '0'
  const { qdisc, guard, tcx } = kernel.guardFacts(ifindex)
  // Without a qdisc there is no filter.
  if (!guard && (qdisc || tcx)) refusePassed(kernel, link)
  const path = pathOf(machine, ifindex)
  const known = read(textOrNone(path), machine.bootId())
  // Without the guard nobody has had the setting from us. With it the reservations are made by now: the table is whole.
  const users =
    known ??
    (guard
      ? rebuilt(machine, kernel, ifindex, '0')
      : { boot: machine.bootId(), was: now, cookies: [] as readonly string[] })
  noteAt(path, 'volatile').set(write({ ...users, cookies: [...new Set([...users.cookies, cookie])] }))
  const guarded: Op = { do: 'guard.add', link: name, ifindex, isBridge: isBridge(link) }
  const open: Op = { do: 'sysctl.set', side: 'host', key, value: '1', was: now }
  return {
    ops: [
      ...(guard || qdisc ? [] : [{ do: 'clsact.add', side: 'host', link: name, ifindex } as const]),
      ...(guard ? [] : [guarded]),
      ...(now === '1' ? [] : [open]),
    ],
    holds: [guarded, open],
  }
}

/** Others take packets before the guard sees them. */
export class PassedGuard extends Error {
  readonly code = 'EBUSY'
  constructor(link: string, names: readonly string[]) {
    super(`others take packets on "${link}" before a guard of 127.0.0.0/8 sees them: ${names.join('; ')}`)
    this.name = 'PassedGuard'
  }
}

/**
 * The guard has the first priority, but a filter of others may have that too, and tcx programs run before all filters. XDP
 * programs do as well, and what one lets pass still meets the guard.
 */
function refusePassed(kernel: Kernel, link: LinkFacts): void {
  const names = kernel
    .conflicts(link, { everyFrameAt: loopbackGuard.priority }, cookiePrefix)
    .flatMap(({ hook, software, name }) => (hook === 'XDP' || !software ? [] : name))
  if (names.length > 0) throw new PassedGuard(link.name, names)
}

/**
 * Takes `cookie` out of every note; the setting goes back with its last user, and stays if somebody else changed it. A note that
 * says nothing, or is gone, is made anew for those who stay. A note that can't be written is told, and keeps nobody from going.
 */
export function releaseLocalnet(machine: Machine, kernel: Kernel, cookie: string, lost: Lost): void {
  const noted = notesIn(machine.sharedDir, localnetPrefix).map((name) =>
    Number(name.slice(localnetPrefix.length)),
  )
  let isKnown = false
  for (const ifindex of noted) {
    const users = read(textOrNone(pathOf(machine, ifindex)), machine.bootId())
    if (users === undefined) releaseRebuilt(machine, kernel, ifindex, cookie, lost)
    else if (users.cookies.includes(cookie)) {
      isKnown = true
      without(machine, kernel, ifindex, users, cookie)
    }
  }
  if (isKnown) return
  for (const ifindex of lost.interfaces ?? interfacesOf(kernel, cookie))
    if (!noted.includes(ifindex)) releaseRebuilt(machine, kernel, ifindex, cookie, lost)
}

/** Cookies that begin with `prefix` (hex) of those who need the setting of any interface, by the notes. */
export function localnetCookies(machine: Machine, prefix: string): string[] {
  const all = notesIn(machine.sharedDir, localnetPrefix).flatMap(
    (name) => read(textOrNone(`${machine.sharedDir}/${name}`), machine.bootId())?.cookies ?? [],
  )
  return [...new Set(all)].filter((cookie) => cookie.startsWith(prefix))
}

/** Without a note that says anything: the host's table and the guard tell. */
function releaseRebuilt(machine: Machine, kernel: Kernel, ifindex: number, cookie: string, lost: Lost): void {
  const link = kernel.link('host', ifindex)
  const isGuarded = link !== undefined && kernel.guardFacts(ifindex).guard
  if (isGuarded) {
    lost.whole()
    without(machine, kernel, ifindex, rebuilt(machine, kernel, ifindex, '0'), cookie)
    // After a boot no guard is there, every setting is as it was, and the interface may be another one.
  } else if (textOrNone(pathOf(machine, ifindex)) !== undefined)
    forgivingNote(pathOf(machine, ifindex), 'volatile').clear()
}

/** Takes a cookie out of the users of an interface. */
function without(machine: Machine, kernel: Kernel, ifindex: number, users: Users, cookie: string): void {
  const note = forgivingNote(pathOf(machine, ifindex), 'volatile')
  const cookies = users.cookies.filter((one) => one !== cookie)
  if (cookies.length > 0) {
    note.set(write({ ...users, cookies }))
    return
  }
  close(machine, kernel, ifindex, users)
  if (textOrNone(pathOf(machine, ifindex)) !== undefined) note.clear()
}

/** The users of an interface by the host's table. */
function rebuilt(machine: Machine, kernel: Kernel, ifindex: number, was: string): Users {
  const ways = new Map<string, number | undefined>()
  const cookies = kernel.loopbackPorts().flatMap(({ cookie, toAddress }) => {
    if (!ways.has(toAddress)) ways.set(toAddress, kernel.interfaceTo(toAddress)?.ifindex)
    return ways.get(toAddress) === ifindex ? [cookie] : []
  })
  return { boot: machine.bootId(), was, cookies: [...new Set(cookies)] }
}

/** The interfaces that lead to an attachment which is served at 127.0.0.1, by the host's table. */
function interfacesOf(kernel: Kernel, cookie: string): Set<number> {
  const own = kernel.loopbackPorts().filter((one) => one.cookie === cookie)
  return new Set(own.flatMap(({ toAddress }) => kernel.interfaceTo(toAddress)?.ifindex ?? []))
}

/** Puts the setting back, then takes the guard away. What a crash leaves in between is done when the note is read again. */
function close(machine: Machine, kernel: Kernel, ifindex: number, { was }: Users): void {
  // By its number: with the name that it had, an interface that was renamed would stay open to its neighbours.
  const link = kernel.link('host', ifindex)
  if (link !== undefined) {
    const key = keyOf(link.name)
    if (was !== '1' && kernel.sysctl('host', key) === '1')
      kernel.run({ do: 'sysctl.set', side: 'host', key, value: was, was: '1' })
    kernel.run({ do: 'guard.del', link: link.name, ifindex, isBridge: isBridge(link) })
  }
  releaseClsact(machine, kernel, ifindex)
}

function isBridge({ kind }: LinkFacts): boolean {
  return kind === 'bridge'
}

function pathOf({ sharedDir }: Machine, ifindex: number): string {
  return `${sharedDir}/${localnetPrefix}${ifindex}`
}

function keyOf(link: string): string {
  return `net/ipv4/conf/${link}/route_localnet`
}

function read(text: string | undefined, bootId: string): Users | undefined {
  const [boot, was, ...cookies] = text?.trimEnd().split('\n') ?? []
  return boot === bootId && was !== undefined && /^\d+$/.test(was) ? { boot, was, cookies } : undefined
}

function write({ boot, was, cookies }: Users): string {
  return `${[boot, was, ...cookies].join('\n')}\n`
}
