/** The file of a server's socket. It is made under a hidden name and renamed: whoever sees the file can connect, and it replaces an old one at once. */
import { randomBytes } from 'node:crypto'
import { type BigIntStats, chmodSync, lstatSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { shortened } from './answers.ts'

/** Longest path of a socket, in bytes: `sun_path` of unix(7) without its end. */
const MAX_PATH = 107
/** Beginning of hidden names; kubelet ignores names with a dot in front. */
const HIDDEN = '.vf-'
/** A hidden socket that is older, in milliseconds, was left by a process that was killed. */
const LEFTOVER_AGE = 60_000

/** The state of the file: ours, not there, or a file of somebody else. */
export type FileState = 'ours' | 'missing' | 'foreign'

/** The listener of a server, by path. */
export interface Listener {
  /** Listens at a path. Rejects with the error of the system. */
  bind(path: string): Promise<void>
  /** Takes no new connections there; open ones live on. */
  unbind(path: string): void
}

/** The socket of one server in one folder. */
export class SocketFile {
  readonly path: string
  readonly #folder: string
  readonly #listener: Listener
  #bound: { readonly path: string; readonly identity: string } | undefined

  constructor(folder: string, name: string, listener: Listener) {
    this.#folder = folder
    this.path = join(folder, name)
    this.#listener = listener
  }

  /** Compares by inode. Its number is not given to another file while we listen. */
  state(): FileState {
    const stat = lstatOf(this.path)
    if (stat === undefined) return 'missing'
    return identityOf(stat) === this.#bound?.identity ? 'ours' : 'foreign'
  }

  /**
   * Listens anew, and puts the socket in its place. Those who watch the folder see a file appear, even where there was one; at no time
   * is there none. Rejects with the error of the system.
   */
  async open(): Promise<void> {
    const hidden = this.#hidden()
    const before = this.#bound
    await this.#listener.bind(hidden)
    try {
      chmodSync(hidden, 0o600)
      const identity = identityOf(lstatSync(hidden, { bigint: true }))
      renameSync(hidden, this.path)
      this.#bound = { path: hidden, identity }
    } catch (error) {
      this.#listener.unbind(hidden)
      throw error
    }
    if (before !== undefined) this.#listener.unbind(before.path)
  }

  /** Listens no more. Removes the file if it is ours. Open connections live on. */
  close(): void {
    try {
      if (this.state() === 'ours') rmSync(this.path, { force: true })
    } catch {
      // The folder is gone or read-only: nothing is left to remove, or nothing can be.
    }
    if (this.#bound !== undefined) this.#listener.unbind(this.#bound.path)
    this.#bound = undefined
  }

  #hidden(): string {
    // Two processes in containers may have the same number.
    return join(this.#folder, `${HIDDEN}${randomBytes(6).toString('hex')}`)
  }
}

/** Name of the socket of a resource: that of sriov-network-device-plugin, and the instance behind it. Shortened where the path would be too long. */
export function socketName(resource: string, instance: string, folder: string): string {
  const end = `${instance === '' ? '' : `~${instance.replaceAll(/[^A-Za-z0-9.-]/g, '-')}`}.sock`
  const base = resource.replaceAll('/', '_')
  const room = MAX_PATH - Buffer.byteLength(`${folder}/${end}`)
  return `${base.length <= room ? base : shortened(base, Math.max(room, 10))}${end}`
}

/** Names among `names` of sockets that other instances serve the same resource at. */
export function siblings(names: readonly string[], own: string): readonly string[] {
  const base = own.replace(/(~[^~]*)?\.sock$/, '')
  return names.filter((name) => name !== own && name.replace(/(~[^~]*)?\.sock$/, '') === base)
}

/** True if a process listens at a socket. */
export function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const over = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => over(true))
    socket.once('error', () => over(false))
  })
}

/** Removes hidden sockets that killed processes have left in a folder. */
export function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(HIDDEN)) continue
    const stat = lstatOf(join(folder, name))
    if (stat?.isSocket() && Number(stat.ctimeMs) < Date.now() - LEFTOVER_AGE)
      rmSync(join(folder, name), { force: true })
  }
}

/** lstat(2), undefined for a missing file. Other errors are thrown. */
export function lstatOf(path: string): BigIntStats | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false })
}

function identityOf({ dev, ino }: BigIntStats): string {
  return `${dev} ${ino}`
}
