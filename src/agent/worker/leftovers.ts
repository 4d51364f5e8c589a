import { readdirSync, readlinkSync } from 'node:fs'

/**
 * The things of this process that a call must leave as they were: its open files and the network namespace of its threads. An open socket in a pod's
 * namespace would keep the namespace alive, and with it the pod's device.
 */
export class Belongings {
  readonly #files: ReadonlyMap<string, string>
  readonly #netns: string

  constructor() {
    this.#files = openFiles()
    this.#netns = readlinkSync('/proc/thread-self/ns/net')
  }

  /** The first difference to what was there at the start, in words; undefined if there is none. */
  difference(): string | undefined {
    if (namespaces().some((one) => one !== this.#netns)) return 'a thread is in another network namespace'
    const files = openFiles()
    for (const [fd, target] of files)
      if (this.#files.get(fd) !== target) return `descriptor ${fd} is open on ${kindOf(target)}`
    for (const [fd, target] of this.#files)
      if (!files.has(fd)) return `descriptor ${fd} on ${kindOf(target)} is closed`
    return undefined
  }
}

/**
 * The network namespace of each thread of this process. A thread of the engine that begins while this one visits a pod stays there, and
 * keeps the pod's namespace for as long as the thread has work.
 */
function namespaces(): readonly string[] {
  return readdirSync('/proc/self/task').flatMap((thread) => {
    try {
      return [readlinkSync(`/proc/self/task/${thread}/ns/net`)]
    } catch {
      // The thread has ended.
      return []
    }
  })
}

/** Targets of the open descriptors by their numbers, without the one that lists the folder. */
function openFiles(): ReadonlyMap<string, string> {
  const folder = '/proc/self/fd'
  return new Map(
    readdirSync(folder).flatMap((fd): [string, string][] => {
      try {
        return [[fd, readlinkSync(`${folder}/${fd}`)]]
      } catch {
        // The list's own.
        return []
      }
    }),
  )
}

/** Numbers of inodes are left out, so that equal reasons have equal words. */
function kindOf(target: string): string {
  return target.replace(/\[\d+\]$/, '')
}
