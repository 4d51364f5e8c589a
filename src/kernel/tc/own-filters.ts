/**
 * Finds our own filters among foreign ones by their cookies, and removes them one by one. The cost depends on the filters in the
 * priorities that vf-offload uses, not on other filters of the interface.
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
import type { OpenSocket } from '../link/sides.ts'
import { cookieOf } from './flow-filter-spec.ts'
import { kindOf, leavesSlot } from './shown-filters.ts'

/** Errors that tell that a filter, its interface or its qdisc is gone. */
export const gone: ReadonlySet<string> = new Set(['ENOENT', 'ENODEV', 'EINVAL'])

/**
 * Our own filters whose cookie starts with one of the prefixes (hex), in `places` or on every clsact or ingress qdisc of the
 * namespace. Reads at most `most` datagrams of a slot, because a pod can fill a slot with filters like ours. A filter above that
 * limit is missed, which harms only the pod.
 */
export function findOwnFilters(
  open: OpenSocket,
  cookiePrefix: string | readonly string[],
  places?: readonly OwnPlace[],
  most?: number,
): OwnFilter[] {
  const prefixes = [cookiePrefix].flat()
  if (prefixes.length === 0) return []
  // The search is by whole bytes: an odd digit at the end is left out, and the filter below compares it.
  const needles = prefixes.map((prefix) => fromHex(prefix.slice(0, prefix.length & ~1)))
  const looks = new Looks(open, most)
  const seen = new Map<string, OwnFilter>()
  try {
    for (const { ifindex, priorities } of places ?? looks.ingressDevices()) {
      for (const filter of looks.filtersWith(ifindex, needles, priorities).map(decodeFilter)) {
        const own = ownOf(looks.socket, ifindex, filter)
        if (own === undefined || !prefixes.some((prefix) => own.cookie.startsWith(prefix))) continue
        // The map removes duplicates: a dump can show a filter twice while filters change.
        seen.set(`${ifindex} ${own.prio} ${own.handle}`, own)
      }
    }
  } finally {
    looks.close()
  }
  return [...seen.values()]
}

/**
 * Those of `filters` that still exist. Reads each by its place and handle, without a dump. A filter that is left out is gone, or
 * its place has a filter with another cookie.
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

/** Removes filters that a read has found, in few datagrams. Succeeds when a filter, its qdisc or its interface is gone. */
export function deleteOwnFilters(socket: NetlinkSocket, filters: readonly OwnFilter[]): void {
  const requests = filters.map(({ ifindex, prio: priority, handle, protocol, kind, withSlot = false }) => {
    const place = { ifindex, priority, handle, protocol }
    return withSlot ? deleteSlot(place, kind) : deleteFilter(place, kind)
  })
  for (const reply of socket.batch(requests)) {
    if (reply instanceof NetlinkError && !gone.has(reply.code)) throw reply
  }
}

/** The kinds of qdiscs that have filters on the way in, as bytes: a node has a qdisc for each interface, which need not be decoded. */
const ingressKinds = ['clsact', 'ingress'].map((kind) => new TextEncoder().encode(kind))

/** Dumps with a limit. A dump above its limit stays unread, so the next dump needs a new socket. */
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
   * Filters of an interface whose bytes contain one of `needles`. Reads one datagram of all filters first. If there are more, reads
   * only the slots that our filters use, because an interface can have tens of thousands of foreign filters.
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
    return this.socket.scan(dumpQdiscs(), ingressKinds).found.flatMap((message) => {
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
    // All filters of a slot have one kind: a slot of another kind has no filter of ours.
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

/** The facts of a filter; undefined for a filter without a cookie. */
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

/** True for the last u32 filter of a slot, whose hash table would stay without the filter. */
function isLastOfSlot(socket: NetlinkSocket, ifindex: number, filter: Tc): boolean {
  const slot = placeOf(filter)
  return leavesSlot(filter, socket.dump(dumpFilters(ifindex, { chain: 0, slot })).map(decodeFilter))
}
