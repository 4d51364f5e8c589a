import { readdirSync, readlinkSync } from 'node:fs'

/**
 * The things of this process that a call must leave as they were: its open files and its network namespace. An open socket in a pod's
 * namespace would keep the namespace alive, and with it the pod's device.
 */
export class Belongings {
  readonly #files: ReadonlyMap<string, string>
  readonly #netns: string

  constructor() {
    this.#files = openFiles()
    this.#netns = namespace()
  }

  /** The first difference to what was there at the start, in words; undefined if there is none. */
  difference(): string | undefined {
    const now = namespace()
    if (now !== this.#netns) return `the network namespace is ${now}; was ${this.#netns}`
    const files = openFiles()
    for (const [fd, target] of files)
      if (this.#files.get(fd) !== target) return `descriptor ${fd} is open on ${kindOf(target)}`
    for (const [fd, target] of this.#files)
      if (!files.has(fd)) return `descriptor ${fd} on ${kindOf(target)} is closed`
    return undefined
  }
}

function namespace(): string {
  return readlinkSync('/proc/thread-self/ns/net')
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
