/** Strategies to limit a port, and the facts by which they are chosen; those of shapers on the host and in the pod. Pure. */
import type { LinkFacts, PortRateFacts } from '../../kernel/api/facts.ts'
import type { Op, PortRates, Side, VfAttributes } from '../../ops/op.ts'
import type { Limit } from '../config/bandwidth.ts'
import type { Port } from '../port/port.ts'
import type { RateIdentity } from '../state/identity.ts'
import type { DirectWay } from './bridge-path.ts'
import { shaperNumbers } from './numbers.ts'

/** The facts of a plan, beside the port itself. */
export interface RateFacts {
  readonly port: Port
  /** The driver of a VF's PF. */
  readonly driver: string | undefined
  /** The host's end of a veth pair; undefined where there is none, or it is not on the host. */
  readonly peer: LinkFacts | undefined
  /** The PF's limit of the VF before the limits of others; undefined where the PF does not say. */
  readonly vfRate: VfAttributes['rate']
  /** The PF says that the VF is limited, and not as its devlink port has it: the PF's limit is the one in force. */
  readonly vfLimited: boolean
  /** The limit of the devlink port of the VF's representor now. */
  readonly portRates: PortRateFacts | undefined
  /** The limit before those of others that are in force still; undefined: the same. */
  readonly portBefore: PortRates | undefined
  /**
   * The way of frames beside those of port mappings to the representor: by a bridge that it shares with the uplink, in a VLAN
   * (0: untagged); undefined: they don't, or see `unmetered`.
   */
  readonly direct: DirectWay['direct']
  /** Why frames can come to the pod that no filter with a policer would see. */
  readonly unmetered: string | undefined
  /** There are port mappings to make: their filters can have a policer. */
  readonly mapped: boolean
  /** Filters of port mappings, if there will be any, are asked of the NIC. */
  readonly steersInNic: boolean
  /** Indexes of policers that are taken. */
  readonly takenPolicerIndexes: readonly number[]
  /** The interfaces that have a clsact or ingress qdisc already. */
  readonly hasIngress: { readonly peer: boolean; readonly pod: boolean; readonly representor: boolean }
}

/** The place where a limit is enforced: `pod` is where a pod with CAP_NET_ADMIN can take it away. */
export type RatePlace = 'nic' | 'host' | 'pod'

/** One way to enforce a limit. */
export interface BandwidthStrategy {
  readonly where: RatePlace
  /** For people: `max_tx_rate`. */
  readonly means: string
  /** The bytes that count: of `frame`s from the destination MAC on, of IP `packet`s without it. Absent: the driver does not say. */
  readonly counts?: 'frame' | 'packet'
  readonly ops: readonly Op[]
  readonly notes: readonly string[]
  /** Index of the policer that the filters of port mappings must have too: else it would not be one limit. */
  readonly limiter?: number
}

/** The strategies of a direction, best first, and the reasons why others in the NIC were not even tried. */
export interface Ways {
  readonly ways: readonly BandwidthStrategy[]
  readonly passedOver: readonly string[]
}

/** A tbf that an interface sends through. */
export function shaperWay(
  side: Side,
  link: LinkFacts,
  limit: Limit,
  name: string,
  { cookie }: RateIdentity,
): BandwidthStrategy {
  const { spec, notes } = shaperNumbers(limit, link.mtu, name)
  const on = { side, link: link.name, ifindex: link.ifindex }
  const op: Op = { do: 'shaper.add', shaper: { ...on, ...spec, cookie } }
  return { where: side, means: 'tbf', counts: 'frame', ops: [op], notes }
}

/** An ifb with a tbf that everything goes through which an interface receives; the filter last, when all is there. */
export function detourWay(
  side: Side,
  link: LinkFacts,
  limit: Limit,
  name: string,
  { ifb, ifbMac, cookie }: RateIdentity,
  hasIngress: boolean,
): BandwidthStrategy {
  const { spec, notes } = shaperNumbers(limit, link.mtu, name)
  return {
    where: side,
    means: 'ifb',
    // A frame that is led there has its header back (tcf_mirred_to_dev(), net/sched/act_mirred.c).
    counts: 'frame',
    ops: [
      { do: 'ifb.add', side, name: ifb, mac: ifbMac, mtu: link.mtu },
      { do: 'shaper.add', shaper: { side, link: ifb, ...spec, cookie } },
      ...(hasIngress ? [] : [clsact(side, link)]),
      { do: 'detour.add', detour: { side, link: link.name, ifindex: link.ifindex, through: ifb, cookie } },
    ],
    notes,
  }
}

/** The qdisc for filters of an interface. */
export function clsact(side: Side, { name, ifindex }: LinkFacts): Op {
  return { do: 'clsact.add', side, link: name, ifindex }
}
