/**
 * One encoded filter for all filters that differ from it in nothing but ports, and one stored filter for all answers to them. A pod with
 * fifty mappings has hundreds of filters of a few forms: encoding, decoding and comparing each by itself is most of the time of its ADD.
 * Pure.
 */

import { leavesOf } from '../../netlink/leaves.ts'
import type { Request } from '../../netlink/message.ts'
import { tcMessage, tcmsg } from '../../netlink/tc/msg.ts'
import type { FlowFilter } from '../../ops/op.ts'

/** Fewer filters of one form are encoded one by one: a mold costs three of them. */
const leastOfForm = 4

/** A port in a message: two bytes in network order. */
interface Place {
  readonly at: number
  /** The port that the filter matches, or the one that it writes. */
  readonly of: 'port' | 'to'
}

/** A stored filter that was compared whole. */
interface Stored {
  readonly bytes: Buffer
  readonly places: readonly Place[]
  /** Offsets of bytes that the kernel chooses for each filter: its handle, the indexes of its actions. */
  readonly free: readonly number[]
}

/** The requests and the answers of filters of one form. */
export class FilterMold {
  readonly #request: Request
  readonly #places: readonly Place[]
  #stored: Stored | undefined

  private constructor(request: Request, places: readonly Place[]) {
    this.#request = request
    this.#places = places
  }

  /** `encode` makes the whole request of a filter. Returns undefined where the ports are not found in the request's bytes. */
  static of(spec: FlowFilter, encode: (spec: FlowFilter) => Request): FilterMold | undefined {
    const request = encode(spec)
    const places: Place[] = []
    for (const of of ['port', 'to'] as const) {
      const port = portOf(spec, of)
      if (port === undefined) continue
      const other = encode(withPort(spec, of, port ^ 0xffff)).payload
      if (other.length !== request.payload.length) return undefined
      for (let at = 0; at < other.length; at++) {
        if (other[at] === request.payload[at]) continue
        if (!hasPort(request.payload, at, port) || !hasPort(other, at, port ^ 0xffff)) return undefined
        places.push({ at, of })
        at++
      }
    }
    return new FilterMold(request, places)
  }

  /** The request for a filter of this form. */
  request(spec: FlowFilter): Request {
    const payload = this.#request.payload.slice()
    putPorts(payload, this.#places, spec)
    return { ...this.#request, payload }
  }

  /**
   * The handle of a stored filter that has every byte of the learned one but the filter's own ports, handle and indexes of actions.
   * Undefined for any other: that one is to be decoded and compared.
   */
  handleIn(echo: Uint8Array, spec: FlowFilter): number | undefined {
    if (this.#stored?.bytes.length !== echo.length) return undefined
    const { bytes, places, free } = this.#stored
    for (const at of free) bytes[at] = echo[at] as number
    putPorts(bytes, places, spec)
    return bytes.equals(echo) ? bytes.readUInt32LE(handleAt) : undefined
  }

  /** Takes over the answer for a filter of this form, which the caller has compared with what was asked for, as a whole. */
  learn(echo: Uint8Array, spec: FlowFilter): void {
    const [asked, got] = [leavesOf(tcMessage, this.#request.payload), leavesOf(tcMessage, echo)]
    const places: Place[] = []
    for (const { at, of } of this.#places) {
      const [path, leaf] = [...asked].find(([, { start, stop }]) => start <= at && at < stop) ?? []
      const other = path === undefined ? undefined : got.get(path)
      if (leaf === undefined || other === undefined) return
      const there = at - leaf.start + other.start
      if (!hasPort(echo, there, portOf(spec, of) as number)) return
      places.push({ at: there, of })
    }
    const free = four(handleAt)
    for (const [path, { start }] of got) {
      const own = asked.get(path)?.start
      // An index that was asked for names the action of another filter.
      if (parameters.test(path) && own !== undefined && four(own).every((at) => !this.#request.payload[at]))
        free.push(...four(start))
    }
    this.#stored = { bytes: Buffer.from(echo), places, free }
  }
}

const handleAt = tcmsg.offsetOf('tcm_handle') as number
/** Structs that begin with the fields of `tc_gen` (linux/pkt_cls.h), the first of which is the index. */
const parameters = /> TCA_ACT_OPTIONS > TCA_[A-Z]+_(PARMS|PARMS_EX|TBF)$/

/** A filter with all that its form depends on. */
export interface Molded {
  readonly ifindex: number
  readonly spec: FlowFilter
  readonly inHardware: boolean
}

/** The mold of each filter; undefined for a filter of a form that few have. */
export function moldsOf<F extends Molded>(
  filters: readonly F[],
  encode: (filter: F) => Request,
): (FilterMold | undefined)[] {
  if (filters.length < leastOfForm) return filters.map(() => undefined)
  const forms = filters.map(formOf)
  const counts = new Map<string, number>()
  for (const form of forms) counts.set(form, (counts.get(form) ?? 0) + 1)
  const molds = new Map<string, FilterMold | undefined>()
  return filters.map((filter, at) => {
    const form = forms[at] as string
    if ((counts.get(form) as number) < leastOfForm) return undefined
    if (!molds.has(form))
      molds.set(
        form,
        FilterMold.of(filter.spec, (spec) => encode({ ...filter, spec })),
      )
    return molds.get(form)
  })
}

/** Equal for filters that differ in nothing but the numbers of their ports. */
function formOf({ ifindex, inHardware, spec: { port, to, ...rest } }: Molded): string {
  return JSON.stringify([ifindex, inHardware, port !== undefined, to?.address ?? null, rest])
}

function portOf({ port, to }: FlowFilter, of: Place['of']): number | undefined {
  return of === 'port' ? port : to?.port
}

function withPort(spec: FlowFilter, of: Place['of'], port: number): FlowFilter {
  const { to } = spec
  return of === 'port' || to === undefined ? { ...spec, port } : { ...spec, to: { ...to, port } }
}

function hasPort(bytes: Uint8Array, at: number, port: number): boolean {
  return bytes[at] === port >> 8 && bytes[at + 1] === (port & 0xff)
}

function putPorts(bytes: Uint8Array, places: readonly Place[], spec: FlowFilter): void {
  for (const { at, of } of places) {
    const port = portOf(spec, of) as number
    bytes[at] = port >> 8
    bytes[at + 1] = port
  }
}

function four(at: number): number[] {
  return [at, at + 1, at + 2, at + 3]
}
