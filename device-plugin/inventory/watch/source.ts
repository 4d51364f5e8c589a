/** A socket of notifications that is opened again when it is lost. */
import type { Clock } from './window.ts'

/** Open notifications, see `openNotifications` of src/sys. */
export interface Subscription {
  join(group: number): void
  close(): void
}

/** The door to the kernel, as a parameter: src/sys needs libc. */
export interface WatchPort {
  /** `openNotifications` of src/sys/notifications.ts. */
  subscribe(
    protocol: number,
    groups: readonly number[],
    handler: { take(datagrams: Uint8Array): void; lost(error: unknown): void },
    filter?: Uint8Array,
  ): Subscription
  /** `openNetlink` of src/sys/netlink.ts. */
  connect(protocol: number): {
    send(message: Uint8Array): void
    recv(): Uint8Array
    close(): void
  }
}

/** One protocol with its groups. */
export interface SourceOptions {
  readonly port: WatchPort
  readonly clock: Clock
  readonly protocol: number
  readonly groups: readonly number[]
  /** A program of struct sock_filter: the kernel drops the datagrams to which it answers 0. */
  readonly filter?: Uint8Array
  /** @throws RangeError for datagrams that can't be decoded */
  take(datagrams: Uint8Array): void
  /** The socket is open, for the first time or again: fills in what came before it. Errors count as failures to open. */
  opened?(subscription: Subscription): void
  /** Notifications may be missing from here on. */
  lost(error: unknown): void
}

/** Milliseconds before the first repetition of an attempt to open, and the most; each one doubles the time. */
const firstDelay = 1_000
const longestDelay = 60_000

/**
 * Keeps notifications of one protocol open. A lost socket is opened again at once, and after a failure later and later. Each time
 * `lost` is called first, so that the scan that follows sees everything that no notification told of.
 */
export class Source {
  readonly #options: SourceOptions
  #subscription: Subscription | undefined
  #callOff: (() => void) | undefined
  #delay = firstDelay
  #openedAt = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor(options: SourceOptions) {
    this.#options = options
    this.#open(false)
  }

  get isOpen(): boolean {
    return this.#subscription !== undefined
  }

  close(): void {
    this.#isClosed = true
    this.#callOff?.()
    this.#subscription?.close()
    this.#subscription = undefined
  }

  #open(isAgain: boolean): void {
    const { port, clock, protocol, groups, filter } = this.#options
    this.#callOff = undefined
    try {
      const handler = {
        take: (datagrams: Uint8Array) => this.#take(datagrams),
        lost: (error: unknown) => this.#lost(error),
      }
      const opened = port.subscribe(protocol, groups, handler, filter)
      this.#subscription = opened
      this.#options.opened?.(opened)
      this.#openedAt = clock.now()
      if (isAgain) this.#options.lost(undefined)
    } catch (error) {
      this.#subscription?.close()
      this.#subscription = undefined
      this.#options.lost(error)
      this.#later()
    }
  }

  #take(datagrams: Uint8Array): void {
    try {
      this.#options.take(datagrams)
    } catch (error) {
      this.#options.lost(error)
    }
  }

  #lost(error: unknown): void {
    this.#subscription = undefined
    if (this.#isClosed) return
    this.#options.lost(error)
    // A socket that is lost as soon as it is open must not keep the process busy.
    if (this.#options.clock.now() - this.#openedAt < firstDelay) this.#later()
    else {
      this.#delay = firstDelay
      this.#open(true)
    }
  }

  #later(): void {
    this.#callOff = this.#options.clock.after(this.#delay, () => this.#open(true))
    this.#delay = Math.min(longestDelay, 2 * this.#delay)
  }
}
