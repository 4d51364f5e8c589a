// The tables of net/sched behind a socket, as far as clsact and flower need.
import { type Message, NLM_F } from '../../src/netlink/message.ts'
import { RTM } from '../../src/netlink/rtnl/const.ts'
import { flowerOf, placeOf } from '../../src/netlink/tc/filter.ts'
import { type Flower, TCA_CLS_FLAGS } from '../../src/netlink/tc/kinds/flower.ts'
import { type Tc, type TcRequest, tcMessage } from '../../src/netlink/tc/msg.ts'
import { type Answer, answering } from './answers.ts'

export const { TCA_CLS_FLAGS_SKIP_SW: skipSw, TCA_CLS_FLAGS_SKIP_HW: skipHw } = TCA_CLS_FLAGS
export const { TCA_CLS_FLAGS_IN_HW: inHw, TCA_CLS_FLAGS_NOT_IN_HW: notInHw } = TCA_CLS_FLAGS

/**
 * `takes`: true when the driver accepts filters, or else the words of its refusal. `room`: number of filters that fit into the
 * NIC. `spoil` changes a filter before it is stored, like a kernel that ignores an attribute.
 */
export class Sched {
  readonly filters: Tc[] = []
  readonly qdiscs = new Map<number, string>()
  takes: true | string
  /** Handle of a filter that can't be deleted. */
  busy: number | undefined
  room = Number.POSITIVE_INFINITY
  spoil: (filter: Tc) => Tc = (filter) => filter
  #handles = 0
  readonly #kernel = answering((request) => this.#answer(request))
  readonly socket = this.#kernel.socket
  readonly open = this.#kernel.open
  readonly asked = this.#kernel.asked

  constructor(takes: true | string = 'driver has no flow tables') {
    this.takes = takes
  }

  count(type: number): number {
    return this.#kernel.asked.filter((request) => request.type === type).length
  }

  datagrams(): number {
    return this.#kernel.datagrams()
  }

  #answer(request: Message): Answer {
    const asked = tcMessage.decode(request.payload)
    const { tcm_ifindex: ifindex, tcm_parent: parent } = asked
    switch (request.type) {
      case RTM.RTM_NEWQDISC:
        if (this.qdiscs.has(ifindex)) return { errno: 17, text: 'Exclusivity flag on, cannot modify' }
        this.qdiscs.set(ifindex, asked.TCA_KIND ?? '')
        return {}
      case RTM.RTM_DELQDISC:
        for (const filter of this.filters.filter((one) => one.tcm_ifindex === ifindex)) this.#drop(filter)
        return this.qdiscs.delete(ifindex) ? {} : { errno: 22 }
      case RTM.RTM_GETQDISC:
        if (!isDump(request)) {
          const kind = this.qdiscs.get(ifindex)
          return kind === undefined ? { errno: 2 } : { messages: [this.#qdisc(ifindex, kind)] }
        }
        return { messages: this.#qdiscsOf(ifindex, parent).map(([index, kind]) => this.#qdisc(index, kind)) }
      case RTM.RTM_GETTFILTER: {
        const isWanted = isDump(request) ? isShown : isSame
        const found = this.filters.filter(
          (one) => one.tcm_ifindex === ifindex && one.tcm_parent === parent && isWanted(one, asked),
        )
        if (!isDump(request) && found.length === 0) return { errno: this.qdiscs.has(ifindex) ? 2 : 22 }
        return { messages: found.map((one) => message(RTM.RTM_NEWTFILTER, one)) }
      }
      case RTM.RTM_DELTFILTER: {
        const found = this.filters.find((one) => isSame(one, asked))
        if (found === undefined) return { errno: this.qdiscs.has(ifindex) ? 2 : 22 }
        if (found.tcm_handle === this.busy) return { errno: 16 }
        this.#drop(found)
        return {}
      }
      case RTM.RTM_NEWTFILTER:
        return this.#add(asked)
      default:
        throw new TypeError(`message ${request.type} is not known here`)
    }
  }

  #add(asked: Tc): Answer {
    if (!this.qdiscs.has(asked.tcm_ifindex)) return { errno: 22, text: "Parent Qdisc doesn't exists" }
    const keyOf = (filter: Tc) => JSON.stringify([filter.tcm_ifindex, filter.tcm_info, conditions(filter)])
    if (this.filters.some((one) => keyOf(one) === keyOf(asked)))
      return { errno: 17, text: 'Filter already exists' }
    const flags = flowerOf(asked)?.TCA_FLOWER_FLAGS ?? 0
    if (flags & skipSw && this.takes !== true) return { errno: 95, text: this.takes }
    const inNic = this.filters.filter((one) => (flowerOf(one)?.TCA_FLOWER_FLAGS ?? 0) & skipSw)
    if (flags & skipSw && inNic.length >= this.room) return { errno: 28, text: 'the table is full' }
    const stored = this.spoil({
      ...asked,
      tcm_handle: ++this.#handles,
      TCA_OPTIONS: { ...flowerOf(asked), TCA_FLOWER_FLAGS: flags | (flags & skipSw ? inHw : notInHw) },
    })
    this.filters.push(stored)
    return { messages: [message(RTM.RTM_NEWTFILTER, stored)] }
  }

  /** All qdiscs, or the clsact of one interface. */
  #qdiscsOf(ifindex: number, parent: number): [number, string][] {
    if (parent === 0) return [...this.qdiscs]
    return [...this.qdiscs].filter(([index, kind]) => index === ifindex && kind !== 'fq_codel')
  }

  #drop(filter: Tc): void {
    this.filters.splice(this.filters.indexOf(filter), 1)
  }

  #qdisc(ifindex: number, kind: string) {
    return message(RTM.RTM_NEWQDISC, { tcm_ifindex: ifindex, tcm_parent: 0xfffffff1, TCA_KIND: kind })
  }
}

function isDump({ flags }: Message): boolean {
  return (flags & NLM_F.NLM_F_DUMP) === NLM_F.NLM_F_DUMP
}

function isSame(one: Tc, asked: Tc): boolean {
  return JSON.stringify(placeOf(one)) === JSON.stringify(placeOf(asked))
}

/** Filters a dump by priority and protocol where the request names them, as tcf_chain_dump() does. */
function isShown(one: Tc, asked: Tc): boolean {
  const [{ priority, protocol, chain }, wanted] = [placeOf(one), placeOf(asked)]
  return (
    (wanted.priority === 0 || wanted.priority === priority) &&
    (wanted.protocol === 0 || wanted.protocol === protocol) &&
    (asked.TCA_CHAIN === undefined || asked.TCA_CHAIN === chain)
  )
}

/** A message of an answer. */
export function message(type: number, value: TcRequest) {
  return { type, payload: tcMessage.encode(value) }
}

/** The keys of a filter: its options without actions and flags. */
export function conditions(filter: Tc): Flower {
  const { TCA_FLOWER_ACT: _, TCA_FLOWER_FLAGS: __, ...keys } = flowerOf(filter) ?? {}
  return keys
}
