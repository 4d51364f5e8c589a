// The test driver as a watch of the node (`driver watch`), with its lines as values.
import { expect, vi } from 'vitest'
import type { Changes } from '../../device-plugin/inventory/watch/change.ts'
import type { WatchStats } from '../../device-plugin/inventory/watch/watch.ts'
import { argvOf, type DriveOptions } from '../../hack/lab/driver/client.ts'
import type { Lab } from '../../hack/lab/lab.ts'

/** Counters of the watch, memory in bytes and processor time in milliseconds of its process. */
export interface Measured {
  readonly stats: WatchStats
  readonly rss: number
  readonly cpu: number
}

/** A line of the driver. */
type Line =
  | { readonly changes: Changes }
  | Measured
  | { readonly failure: string }
  | { readonly lost: string }
  | Readonly<Record<string, never>>

/** A watch that goes on. */
export interface Watcher {
  readonly pid: number
  /** Calls of onChange so far. */
  changes(): Changes[]
  /** Reasons of losses so far. */
  losses(): string[]
  /** Forgets the calls so far. */
  clear(): void
  tell(command: string): void
  measure(): Promise<Measured>
  /** Waits for a call of onChange since the last clear() whose counts have all of `kinds`, in one call or in several. */
  until(...kinds: readonly string[]): Promise<void>
  stop(): Promise<void>
}

/** Starts a watch; its sockets are open when this returns. */
export async function startWatch(vm: Lab, options: DriveOptions = {}): Promise<Watcher> {
  const child = await vm.spawn([...argvOf(options), 'watch'])
  const lines = () =>
    child
      .stdout()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line)
  const wait = { timeout: 60_000, interval: 20 }
  await vi.waitFor(() => expect(lines()).toHaveLength(1), wait)
  const allChanges = () => lines().flatMap((line) => ('changes' in line ? [line.changes as Changes] : []))
  const measured = () => lines().flatMap((line) => ('stats' in line ? [line as Measured] : []))
  let from = 0
  const changes = () => allChanges().slice(from)
  return {
    pid: child.pid,
    changes,
    losses: () => lines().flatMap((line) => ('lost' in line ? [String(line.lost)] : [])),
    clear: () => {
      from = allChanges().length
    },
    tell: (command) => child.write(`${command}\n`),
    measure: async () => {
      const before = measured().length
      child.write('stats\n')
      await expect.poll(() => measured().length, wait).toBe(before + 1)
      return measured().at(-1) as Measured
    },
    until: async (...kinds) => {
      const seen = () => new Set(changes().flatMap(({ counts }) => Object.keys(counts)))
      await expect.poll(() => kinds.filter((kind) => !seen().has(kind)), wait).toEqual([])
    },
    stop: async () => {
      child.end()
      const { code, stderr } = await child.wait()
      expect([code, stderr]).toEqual([0, ''])
    },
  }
}
