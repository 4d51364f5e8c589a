/**
 * The setting route_localnet of an interface, shared by all attachments that let the node's programs reach a pod at
 * 127.0.0.1. A note, by the interface's number, tells what it was before the first of them and who they are; the last one puts
 * it back.
 */
import type { LinkFacts } from '../kernel/facts.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Machine } from '../kernel/machine.ts'
import type { Op } from '../ops/op.ts'
import { noteAt, notesIn, textOrNone } from '../ops/record-store.ts'

/** How the names of its notes begin. */
export const localnetPrefix = 'localnet-'

/** Boot, value before, then the cookies of those who need it, a line each. */
interface Users {
  readonly boot: string
  readonly was: string
  readonly cookies: readonly string[]
}

/**
 * Notes that `cookie` needs the setting on `link`; what has to be done for it. Written before it is done, so that a crash
 * leaves nothing that nobody knows of. The guard against the wire (kernel/host-ports.ts) must stand by then.
 */
export function claimLocalnet(
  machine: Machine,
  kernel: Kernel,
  { name, ifindex }: LinkFacts,
  cookie: string,
): Op[] {
  const key = keyOf(name)
  const now = kernel.sysctl('host', key) ?? '0'
  const path = `${machine.sharedDir}/${localnetPrefix}${ifindex}`
  const note = noteAt(path, 'volatile')
  const known = read(textOrNone(path), machine.bootId())
  const users = known ?? { boot: machine.bootId(), was: now, cookies: [] }
  note.set(write({ ...users, cookies: [...users.cookies, cookie] }))
  return now === '1' ? [] : [{ do: 'sysctl.set', side: 'host', key, value: '1', was: now }]
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
    // By its number: with the name that it had, an interface that was renamed would stay open to its neighbours.
    const link = kernel
      .links('host')
      .find(({ ifindex }) => ifindex === Number(name.slice(localnetPrefix.length)))
    const key = link === undefined ? undefined : keyOf(link.name)
    if (key !== undefined && users.was !== '1' && kernel.sysctl('host', key) === '1')
      kernel.run({ do: 'sysctl.set', side: 'host', key, value: users.was, was: '1' })
    note.clear()
  }
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
