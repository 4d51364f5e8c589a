/**
 * The setting route_localnet of an interface, shared by all attachments that let the node's programs reach a pod at
 * 127.0.0.1, and the guard on that interface, which stands from before the setting is made until it is back: without it
 * neighbours on the interface could reach what the node serves at 127.0.0.1, or send from there. A note, by the interface's
 * number, tells what the setting was before the first of them and who they are; the last one puts it back.
 */
import type { LinkFacts } from '../kernel/facts.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Machine } from '../kernel/machine.ts'
import { loopbackGuard } from '../lib/loopback-guard.ts'
import { cookiePrefix } from '../lib/own-cookie.ts'
import type { Op } from '../ops/op.ts'
import { noteAt, notesIn, textOrNone } from '../ops/record-store.ts'
import { releaseClsact } from './clsact.ts'

/** How the names of its notes begin. */
export const localnetPrefix = 'localnet-'

/** Boot, value before, then the cookies of those who need it, a line each. */
interface Users {
  readonly boot: string
  readonly was: string
  readonly cookies: readonly string[]
}

/** What an attachment needs of an interface. */
export interface Localnet {
  /** What is to be done: nothing where another attachment has the same interface. */
  readonly ops: readonly Op[]
  /** What must be there afterwards, for CHECK. */
  readonly holds: readonly Op[]
}

/**
 * Notes that `cookie` needs the setting on `link`; what has to be done for it. Written before it is done, so that a crash
 * leaves nothing that nobody knows of. The guard of nftables (kernel/host-table.ts) must stand by then.
 * @throws PassedGuard where packets would pass the guard by; nothing was noted then
 */
export function claimLocalnet(machine: Machine, kernel: Kernel, link: LinkFacts, cookie: string): Localnet {
  const { name, ifindex } = link
  const key = keyOf(name)
  const now = kernel.sysctl('host', key) ?? '0'
  const { qdisc, guard, tcx } = kernel.guardFacts(ifindex)
  // Without a qdisc there is no filter.
  if (!guard && (qdisc || tcx)) refusePassed(kernel, link)
  const path = `${machine.sharedDir}/${localnetPrefix}${ifindex}`
  const note = noteAt(path, 'volatile')
  const known = read(textOrNone(path), machine.bootId())
  const users = known ?? { boot: machine.bootId(), was: now, cookies: [] }
  note.set(write({ ...users, cookies: [...users.cookies, cookie] }))
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
    .rivals(link, { everyFrameAt: loopbackGuard.priority }, cookiePrefix)
    .flatMap(({ hook, software, name }) => (hook === 'XDP' || !software ? [] : name))
  if (names.length > 0) throw new PassedGuard(link.name, names)
}

/** Takes `cookie` out of every note; the setting goes back with its last user, and stays if somebody else changed it. */
export function releaseLocalnet(machine: Machine, kernel: Kernel, cookie: string): void {
  for (const name of notesIn(machine.sharedDir, localnetPrefix)) {
    const path = `${machine.sharedDir}/${name}`
    const note = noteAt(path, 'volatile')
    const users = read(textOrNone(path), machine.bootId())
    // Every setting is as it was after a boot, and the interface may be another one.
    if (users === undefined) {
      note.clear()
      continue
    }
    if (!users.cookies.includes(cookie)) continue
    const cookies = users.cookies.filter((one) => one !== cookie)
    if (cookies.length > 0) {
      note.set(write({ ...users, cookies }))
      continue
    }
    close(machine, kernel, Number(name.slice(localnetPrefix.length)), users)
    note.clear()
  }
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

function keyOf(link: string): string {
  return `net/ipv4/conf/${link}/route_localnet`
}

function read(text: string | undefined, bootId: string): Users | undefined {
  const [boot, was, ...cookies] = text?.trimEnd().split('\n') ?? []
  return boot === undefined || was === undefined || boot !== bootId ? undefined : { boot, was, cookies }
}

function write({ boot, was, cookies }: Users): string {
  return `${[boot, was, ...cookies].join('\n')}\n`
}
