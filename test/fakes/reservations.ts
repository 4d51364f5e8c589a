// The host's port map in memory.
import type {
  FreedKey,
  OpenedPort,
  OwnedPort,
  PortTable,
  Released,
  Reservation,
  ReservationKernel,
  Reserved,
} from '../../src/kernel/api/reservations.ts'
import { PortTaken } from '../../src/ops/port-taken.ts'
import { FakeRefusal } from './refusal.ts'

type Questions =
  | 'portTable'
  | 'reservePorts'
  | 'releasePorts'
  | 'hasReservation'
  | 'reservedCookies'
  | 'openedPorts'
  | 'everyOpenedPort'

/** The reservations of a node. */
export class FakeReservations implements Pick<ReservationKernel, Questions> {
  /** Cookies of those who have something reserved. */
  readonly cookies = new Set<string>()
  #keys: { readonly key: FreedKey; readonly owner: string }[] = []
  #handle = 0n
  /** Nobody has anything reserved, and the table stayed. */
  #isEmpty = false

  portTable(): PortTable | undefined {
    const isThere = this.#isEmpty || this.cookies.size > 0
    return isThere ? { handle: this.#handle, use: 8 + this.cookies.size } : undefined
  }

  /** Reserves the keys, whatever is known of the table. Returns the handle of the table if it was made for them. */
  reserve({ keys, owner }: Pick<Reservation, 'keys' | 'owner'>): bigint | undefined {
    for (const key of keys) {
      const taken = this.#keys.find((one) => isSame(one.key, key))
      if (taken !== undefined && this.cookies.has(cookieOf(taken.owner)))
        throw new PortTaken(key, taken.owner, cookieOf(taken.owner))
    }
    const isFirst = this.portTable() === undefined
    if (isFirst) this.#handle++
    this.#isEmpty = false
    this.cookies.add(cookieOf(owner))
    this.#keys.push(...keys.map(({ address, proto, port }) => ({ key: { address, proto, port }, owner })))
    return isFirst ? this.#handle : undefined
  }

  reservePorts(reservation: Reservation, table: 'absent' | 'present'): Reserved {
    const isThere = this.portTable() !== undefined
    if (isThere !== (table === 'present')) return { changed: new FakeRefusal(isThere ? 'EEXIST' : 'ENOENT') }
    return { made: this.reserve(reservation) }
  }

  releasePorts(
    cookie: string,
    known?: Omit<Reservation, 'owner'>,
    table?: PortTable | 'incomplete' | 'unknown',
  ): Released {
    const own = this.#keys.filter(({ owner }) => cookieOf(owner) === cookie).map(({ key }) => key)
    this.#keys = this.#keys.filter(({ owner }) => cookieOf(owner) !== cookie)
    const wasThere = this.cookies.delete(cookie)
    const tableGone = wasThere && this.cookies.size === 0 && table !== 'incomplete'
    if (wasThere && this.cookies.size === 0) this.#isEmpty = !tableGone
    return { keys: own.length === 0 ? (known?.keys ?? []) : own, tableGone }
  }

  hasReservation(cookie: string): boolean {
    return this.cookies.has(cookie)
  }

  /** Nobody connects to a port of the fake. */
  openedPorts(cookie: string, keys: readonly FreedKey[]): readonly OpenedPort[] {
    const own = this.everyOpenedPort().filter((one) => one.cookie === cookie)
    return keys.flatMap((key) => own.flatMap(({ cookie: _, ...port }) => (isSame(port, key) ? [port] : [])))
  }

  everyOpenedPort(): readonly OwnedPort[] {
    return this.#keys.map(({ key, owner }) => ({ ...key, cookie: cookieOf(owner), opened: 0n }))
  }

  reservedCookies(prefix: string): readonly string[] {
    return [...this.cookies].filter((cookie) => cookie.startsWith(prefix))
  }
}

/** An owner is `COOKIE CONTAINERID/IFNAME`. */
function cookieOf(owner: string): string {
  return owner.slice(0, 32)
}

function isSame(one: FreedKey, other: FreedKey): boolean {
  return one.address === other.address && one.proto === other.proto && one.port === other.port
}
