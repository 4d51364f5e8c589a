/** A socket at its path for as long as the agent lives: whoever removes the file, such as a cleaner of /run, takes it away for a second. */
import { errorText } from '../../lib/error-text.ts'
import { close } from '../../sys/ffi.ts'
import { endListener, type Listener, listenOver, ownerOf } from './listener.ts'
import { tell, tellOnce } from './log.ts'

/** Pause between two looks at the socket's file, in milliseconds. */
const lookTime = 1_000

/** See the head of this file. */
export class KeptListener {
  readonly #path: string
  readonly #kind: 'packets' | 'stream'
  #listener: Listener | undefined
  #lookedAt = 0

  constructor(path: string, kind: 'packets' | 'stream') {
    this.#path = path
    this.#kind = kind
  }

  /** The descriptor that connections come to; undefined before {@link listen} and after {@link end}. */
  get fd(): number | undefined {
    return this.#listener?.fd
  }

  /** Takes the path, whoever has it. @throws OpenFolder, SystemError, Node's errors of files */
  listen(): void {
    this.#listener = listenOver(this.#path, this.#kind)
  }

  /** Milliseconds until the next look; undefined when nobody listens. */
  deadline(now: number): number | undefined {
    return this.#listener === undefined ? undefined : this.#lookedAt + lookTime - now
  }

  /**
   * Looks whose the socket's file is, from time to time, and makes a file that was removed anew.
   * @returns true when another agent has the path now
   */
  isTaken(now: number): boolean {
    if (this.#listener === undefined || now - this.#lookedAt < lookTime) return false
    this.#lookedAt = now
    try {
      const owner = ownerOf(this.#listener)
      if (owner === 'nobody') this.#listenAnew(this.#listener)
      return owner === 'other'
    } catch (error) {
      // The next look tries again.
      tellOnce(`Cannot listen at ${this.#path} any more: ${errorText(error)}`)
      return false
    }
  }

  /** Ends the socket, and removes its file if it is still there. */
  end(): void {
    if (this.#listener !== undefined) endListener(this.#listener)
    this.#listener = undefined
  }

  #listenAnew({ fd, path }: Listener): void {
    this.listen()
    close(fd)
    tell(`${path} was removed: the agent listens there anew`)
  }
}
