/** Connections of shims, from accept to the worker. */
import { closeSync, openSync } from 'node:fs'
import { buildId } from '../../lib/build-id.ts'
import { errorCode } from '../../sys/errno.ts'
import { close } from '../../sys/ffi.ts'
import { isHungUp, openProcess } from '../../sys/poll.ts'
import { acceptAt, peerOf, receive, send } from '../../sys/unix-socket.ts'
import { decodeMessage, encodeMessage, messageBytes, verbNumbers } from '../protocol.ts'
import type { Fallback, Verb } from './events.ts'

/** A connection that no worker has yet. */
export interface Connection {
  readonly id: number
  readonly fd: number
  /** Time of accept, in milliseconds. */
  readonly since: number
  /** True once the shim has said its verb. */
  isQueued: boolean
}

/** Longest silence after accept, in milliseconds: a shim says its verb at once. */
const greetingTime = 1_000
/** Connections at most: as many as a node has pods, and more. Each is a descriptor. */
const most = 1_024
/** Connections that are accepted in one go. */
const batch = 64

/** See the head of this file. */
export class Connections {
  readonly #all = new Map<number, Connection>()
  #next = 1
  /** A descriptor that can be given up, so that a connection can be ended when the process may have no further one. */
  #reserve: number | undefined = reserve()

  get all(): Iterable<Connection> {
    return this.#all.values()
  }

  get(id: number): Connection | undefined {
    return this.#all.get(id)
  }

  /** Accepts what waits. `tooMany` is told of each connection that had to be sent away. @throws SystemError */
  accept(listener: number, now: number, tooMany: () => void): readonly Connection[] {
    const accepted: Connection[] = []
    while (accepted.length < batch) {
      let fd: number | undefined
      try {
        fd = acceptAt(listener)
      } catch (error) {
        const code = errorCode(error)
        if (code !== 'EMFILE' && code !== 'ENFILE') throw error
        tooMany()
        // Without a descriptor the line of connections would stay as it is, and each shim would wait for its whole time.
        if (this.#turnAway(listener)) continue
        if (accepted.length === 0) throw error
        break
      }
      if (fd === undefined) break
      if (this.#all.size >= most) {
        tooMany()
        sendAway(fd, 'too many connections')
        continue
      }
      const one = { id: this.#next++, fd, since: now, isQueued: false }
      this.#all.set(one.id, one)
      accepted.push(one)
    }
    return accepted
  }

  #turnAway(listener: number): boolean {
    if (this.#reserve === undefined) return false
    closeSync(this.#reserve)
    try {
      const fd = acceptAt(listener)
      if (fd !== undefined) close(fd)
      return fd !== undefined
    } catch {
      return false
    } finally {
      this.#reserve = reserve()
    }
  }

  /** Reads the verb of a shim: `nothing` if it has not come yet; undefined, and the connection is closed, if it never will. */
  greeting(one: Connection): Verb | 'nothing' | 'another build' | undefined {
    const said = this.#verbOf(one)
    // A supervisor that was late may find shims that have gone since.
    const verb = said !== undefined && said !== 'nothing' && isHungUp(one.fd) ? undefined : said
    if (verb === undefined) this.drop(one)
    else if (verb !== 'nothing' && verb !== 'another build') one.isQueued = true
    return verb
  }

  #verbOf({ fd }: Connection): Verb | 'nothing' | 'another build' | undefined {
    try {
      const packet = receive(fd, messageBytes)
      if (packet === 'nothing' || packet === 'closed') return packet === 'nothing' ? packet : undefined
      for (const descriptor of packet.descriptors) close(descriptor)
      const message = decodeMessage(packet.bytes)
      if (message?.kind !== 'hello') return undefined
      // Each program of another build would be sent home by its worker's READY; here the reason is counted.
      if (message.text !== '' && message.text !== buildId) return 'another build'
      return (Object.keys(verbNumbers) as Verb[]).find((name) => verbNumbers[name] === message.value)
    } catch {
      // A longer packet.
      return undefined
    }
  }

  /** Tells a shim that it is in the queue. */
  sayWait({ fd }: Connection): void {
    send(fd, encodeMessage({ kind: 'wait' }))
  }

  /** Sends a shim away. */
  standalone(one: Connection, reason: Fallback): void {
    this.#all.delete(one.id)
    sendAway(one.fd, reason)
  }

  /** Closes a connection. */
  drop(one: Connection): void {
    this.#all.delete(one.id)
    close(one.fd)
  }

  /** Those that have said nothing for too long. */
  silent(now: number): readonly Connection[] {
    return [...this.#all.values()].filter(({ isQueued, since }) => !isQueued && now - since >= greetingTime)
  }

  /** Milliseconds until a connection has been silent for too long. */
  deadline(now: number): number | undefined {
    const greeting = [...this.#all.values()].filter(({ isQueued }) => !isQueued)
    return greeting.length === 0
      ? undefined
      : Math.max(Math.min(...greeting.map(({ since }) => since)) + greetingTime - now, 0)
  }
}

/** A descriptor of the process at the other end of a connection; undefined for a process that is gone, or that this PID namespace does not have. */
export function shimOf(fd: number): number | undefined {
  try {
    const { pid } = peerOf(fd)
    return pid > 0 && !isHungUp(fd) ? openProcess(pid) : undefined
  } catch {
    return undefined
  }
}

function sendAway(fd: number, reason: Fallback): void {
  send(fd, encodeMessage({ kind: 'standalone', text: reason }))
  close(fd)
}

function reserve(): number | undefined {
  try {
    return openSync('/dev/null', 'r')
  } catch {
    return undefined
  }
}
