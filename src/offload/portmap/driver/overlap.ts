/** Filters that one frame can match: of such a pair only the priority says which one the frame is for. Pure. */
import { grouped } from '../../../lib/grouped.ts'
import { type Cidr, ipFamily, networkOf, overlaps, parseCidr, parseIp } from '../../../lib/ip.ts'
import type { FlowFilter } from '../../../ops/op.ts'

/** Two filters of one interface that one frame can match, and that do different things with it. */
export type Overlap = readonly [FlowFilter, FlowFilter]

/** The first pair of filters with such an overlap; undefined where the filters do the same in whatever order they are asked. */
export function firstOverlap(filters: readonly FlowFilter[]): Overlap | undefined {
  for (const near of grouped(filters, placeOf).values()) {
    // Filters of one mask match different frames, unless they are the same filter: a pod may have thousands.
    const masks = [...grouped(near, maskOf).values()]
    for (const [at, some] of masks.entries()) {
      const found = twice(some) ?? across(some, masks.slice(at + 1).flat())
      if (found !== undefined) return found
    }
  }
  return undefined
}

/** Frames of one place are never those of another one: interface, family and tag. */
function placeOf({ ifindex, link, address, vlan }: FlowFilter): string {
  return `${ifindex ?? link} ${ipFamily(address)} ${vlan ?? 'untagged'}`
}

function maskOf({ side, proto, port, peer, mac, fragments }: FlowFilter): string {
  const length = peer === undefined ? 'any' : parseCidr(peer).prefix
  return `${side} ${proto !== undefined} ${port !== undefined} ${length} ${mac !== undefined} ${fragments}`
}

/** Of filters with one mask: two with the same key. */
function twice(filters: readonly FlowFilter[]): Overlap | undefined {
  for (const same of grouped(filters, keyOf).values()) {
    const [first] = same
    const other = first && same.find((one) => actionsOf(one) !== actionsOf(first))
    if (first !== undefined && other !== undefined) return [first, other]
  }
  return undefined
}

function keyOf({ address, proto, port, peer, mac }: FlowFilter): string {
  return `${address} ${proto} ${port} ${peer === undefined ? '' : networkOf(parseCidr(peer)).ip} ${mac}`
}

function across(some: readonly FlowFilter[], others: readonly FlowFilter[]): Overlap | undefined {
  for (const one of some)
    for (const other of others)
      if (meet(one, other) && actionsOf(one) !== actionsOf(other)) return [one, other]
  return undefined
}

/** True where a frame can match both; they are of one place. */
function meet(one: FlowFilter, other: FlowFilter): boolean {
  const [left, right] = [endsOf(one), endsOf(other)]
  return (
    isOpen(one.proto, other.proto) &&
    isOpen(one.mac, other.mac) &&
    isOpen(one.fragments, other.fragments) &&
    isOpen(left.fromPort, right.fromPort) &&
    isOpen(left.toPort, right.toPort) &&
    touch(left.from, right.from) &&
    touch(left.to, right.to)
  )
}

/** The frame's source and destination, as a filter wants them; undefined: any. */
function endsOf({ address, side, peer, port }: FlowFilter) {
  const own: Cidr = { ip: parseIp(address), prefix: ipFamily(address) === 4 ? 32 : 128 }
  const other = peer === undefined ? undefined : parseCidr(peer)
  return side === 'src'
    ? { from: own, fromPort: port, to: other, toPort: undefined }
    : { from: other, fromPort: undefined, to: own, toPort: port }
}

/** True for two conditions on one field that a frame can fulfil both. */
function isOpen<T>(one: T | undefined, other: T | undefined): boolean {
  return one === undefined || other === undefined || one === other
}

function touch(one: Cidr | undefined, other: Cidr | undefined): boolean {
  return one === undefined || other === undefined || overlaps(one, other)
}

/** Everything that the filter does with a frame; whose it is does not matter. */
function actionsOf({
  link,
  ifindex,
  out,
  pop,
  push,
  dstMac,
  srcMac,
  limiter,
  to,
  verdict,
}: FlowFilter): string {
  const way = verdict ?? out?.ifindex ?? ifindex ?? link
  return JSON.stringify([way, pop, push, dstMac, srcMac, limiter, to?.address, to?.port])
}
