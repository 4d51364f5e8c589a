/**
 * Filters of ours among those of others, found by the bytes of their cookies and removed one by one. What a look costs depends on
 * what is in the priorities that we use, not on what else an interface has.
 */
import { fromHex } from '../../lib/hex.ts'
import type { Message } from '../../netlink/message.ts'
import { NetlinkError, type NetlinkSocket, type Scanned } from '../../netlink/socket.ts'
import {
  actionsOf,
  type DumpedFilters,
  decodeFilter,
  deleteFilter,
  deleteSlot,
  dumpFilters,
  getFilter,
  isInHardware,
  placeOf,
} from '../../netlink/tc/filter.ts'
import type { Tc } from '../../netlink/tc/msg.ts'
import { decodeQdisc, dumpQdiscs } from '../../netlink/tc/qdisc.ts'
import { countersOf } from '../../netlink/tc/stats.ts'
import { type OwnSlot, ownSlots } from '../../ops/marks/own-slots.ts'
import type { OwnFilter, OwnPlace, PlacedFilter } from '../api/filters.ts'
import type { OpenSocket } from './clsact.ts'
import { cookieOf } from './flow-filter-spec.ts'
import { kindOf, leavesSlot } from './shown-filters.ts'

/** Of a filter that is to go: it is gone, its interface is, its qdisc. */
export const gone: ReadonlySet<string> = new Set(['ENOENT', 'ENODEV', 'EINVAL'])

/**
 * Our filters by the beginning of their cookie, or several of them: in `places`, or on every clsact or ingress qdisc of the
 * namespace. Of a slot `most` datagrams are read: a pod can fill one with filters like ours, and what hides behind those is in the pod.
 */
export function findOwnFilters(
  open: OpenSocket,
  cookiePrefix: string | readonly string[],
  places?: readonly OwnPlace[],
  most?: number,
): OwnFilter[] {
  const prefixes = [cookiePrefix].flat()
  if (prefixes.length === 0) return []
  // An odd digit at the end is half a byte.
  const needles = prefixes.map((prefix) => fromHex(prefix.slice(0, prefix.length & ~1)))
  const looks = new Looks(open, most)
  const seen = new Map<string, OwnFilter>()
  try {
    for (const { ifindex, priorities } of places ?? looks.ingressDevices()) {
      for (const filter of looks.filtersWith(ifindex, needles, priorities).map(decodeFilter)) {
        const own = ownOf(looks.socket, ifindex, filter)
        if (own === undefined || !prefixes.some((prefix) => own.cookie.startsWith(prefix))) continue
        // A dump that filters change under can also show one twice.
        seen.set(`${ifindex} ${own.prio} ${own.handle}`, own)
      }
    }
  } finally {
    looks.close()
  }
  return [...seen.values()]
}

/**
 * Those of `filters` that are there, each asked for by its place and number: what is not among them is gone, or is another's by
 * now. No dump.
 */
export function findPlaced(socket: NetlinkSocket, filters: readonly PlacedFilter[]): OwnFilter[] {
  const requests = filters.map(({ ifindex, prio: priority, handle, protocol, kind }) =>
    getFilter({ ifindex, priority, handle, protocol }, kind),
  )
  return socket.batch(requests).flatMap((reply, at) => {
    const { ifindex, cookie } = filters[at] as PlacedFilter
    if (reply instanceof NetlinkError) {
      if (gone.has(reply.code)) return []
      throw reply
    }
    const own = reply.echo && ownOf(socket, ifindex, decodeFilter(reply.echo))
    return own?.cookie === cookie ? [own] : []
  })
}

/** Deletes filters that a look has shown, in few datagrams; one that is gone, with its qdisc or its interface, is fine. */
export function deleteOwnFilters(socket: NetlinkSocket, filters: readonly OwnFilter[]): void {
  const requests = filters.map(({ ifindex, prio: priority, handle, protocol, kind, withSlot = false }) => {
    const place = { ifindex, priority, handle, protocol }
    return withSlot ? deleteSlot(place, kind) : deleteFilter(place, kind)
  })
  for (const reply of socket.batch(requests)) {
    if (reply instanceof NetlinkError && !gone.has(reply.code)) throw reply
  }
}

/** Dumps that are given up when they show more than is wanted, and the socket with them. */
class Looks {
  readonly #open: OpenSocket
  readonly #most: number | undefined
  #socket: NetlinkSocket | undefined

  constructor(open: OpenSocket, most: number | undefined) {
    this.#open = open
    this.#most = most
  }

  get socket(): NetlinkSocket {
    this.#socket ??= this.#open()
    return this.#socket
  }

  /**
   * Filters of an interface that hold one of `needles`. What the kernel shows in one datagram is looked at whole. Of what is more,
   * the slots that filters of ours can be in: those of others may be tens of thousands.
   */
  filtersWith(
    ifindex: number,
    needles: readonly Uint8Array[],
    priorities?: readonly number[],
  ): readonly Message[] {
    if (priorities === undefined) {
      const whole = this.#scan(ifindex, { chain: 0 }, needles, 1)
      if (whole.isWhole) return whole.found
    }
    const slots = ownSlots.filter(({ priority }) => priorities?.includes(priority) !== false)
    return slots.flatMap((slot) => this.#inSlot(ifindex, slot, needles))
  }

  /** Every interface with clsact or ingress. */
  ingressDevices(): OwnPlace[] {
    return this.socket.dump(dumpQdiscs()).flatMap((message) => {
      const { TCA_KIND: kind, tcm_ifindex: ifindex } = decodeQdisc(message)
      return kind === 'clsact' || kind === 'ingress' ? [{ ifindex }] : []
    })
  }

  close(): void {
    this.#socket?.close()
    this.#socket = undefined
  }

  #inSlot(ifindex: number, slot: OwnSlot, needles: readonly Uint8Array[]): readonly Message[] {
    const which = { chain: 0, slot }
    const start = this.#scan(ifindex, which, needles, 1)
    // A slot has filters of one kind: one that is full of another kind has none of ours.
    if (start.isWhole || !slot.kinds.includes(start.first ? kindIn(start.first) : '')) return start.found
    return this.#scan(ifindex, which, needles, this.#most).found
  }

  #scan(ifindex: number, which: DumpedFilters, needles: readonly Uint8Array[], most?: number): Scanned {
    const result = this.socket.scan(dumpFilters(ifindex, which), needles, most)
    if (!result.isWhole) this.close()
    return result
  }
}

function kindIn(message: Message): string {
  return decodeFilter(message).TCA_KIND ?? ''
}

/** A filter as ours; undefined for one without a cookie. */
function ownOf(socket: NetlinkSocket, ifindex: number, filter: Tc): OwnFilter | undefined {
  const cookie = cookieOf(filter)
  if (cookie === undefined) return undefined
  const { priority: prio, handle, protocol } = placeOf(filter)
  const stats = actionsOf(filter)[0]?.TCA_ACT_STATS
  return {
    ...{ ifindex, prio, handle, protocol, kind: kindOf(filter) },
    ...(filter.TCA_KIND === 'u32' && isLastOfSlot(socket, ifindex, filter) ? { withSlot: true } : {}),
    cookie,
    packets: stats === undefined ? 0n : countersOf(stats).all.packets,
    inHw: isInHardware(filter),
  }
}

/** True when nothing else is in a filter's slot, whose hash table would stay. */
function isLastOfSlot(socket: NetlinkSocket, ifindex: number, filter: Tc): boolean {
  const slot = placeOf(filter)
  return leavesSlot(filter, socket.dump(dumpFilters(ifindex, { chain: 0, slot })).map(decodeFilter))
}
