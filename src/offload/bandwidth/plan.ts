/**
 * The strategies to limit each kind of port, best one first: in the NIC, then on the host, then in the pod. Pure: wishes and facts
 * in, operations out. A way is carried out whole or the next one is tried.
 */
import { CniError, code } from '../../cni/error.ts'
import type { LinkFacts, PortRateFacts } from '../../kernel/api/facts.ts'
import type { MacPolicer, Op, PortRates, Side, VfAttributes } from '../../ops/op.ts'
import type { Limit, RateWishes } from '../config/bandwidth.ts'
import type { PortKind } from '../port/kinds.ts'
import type { Port } from '../port/port.ts'
import { ignoredPolice, policedByPort, rateStep } from '../port/rate-quirks.ts'
import type { RateIdentity } from '../state/identity.ts'
import { type DirectWay, isOpenVswitch } from './bridge-path.ts'
import { bytesOfMegabits, megabits, policerNumbers, shaperNumbers } from './numbers.ts'

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
  readonly ops: readonly Op[]
  readonly notes: readonly string[]
  /** Index of the policer that the filters of port mappings must have too: else it would not be one limit. */
  readonly limiter?: number
}

/** A direction with its ways, best first; never without one. */
export interface BandwidthPlan {
  readonly direction: 'toPod' | 'fromPod'
  readonly limit: Limit
  readonly ways: readonly BandwidthStrategy[]
  /** Why ways in the NIC were not even tried. */
  readonly passedOver: readonly string[]
}

/** @throws CniError 7 when a limit can't be enforced, or not outside the pod where that is asked for */
export function planRates(wishes: RateWishes, facts: RateFacts, identity: RateIdentity): BandwidthPlan[] {
  const of = strategies[facts.port.kind]
  return (['toPod', 'fromPod'] as const).flatMap((direction) => {
    const limit = wishes[direction]
    if (limit === undefined) return []
    return [goal(direction, limit, of[direction](limit, facts, identity), wishes.outside, facts)]
  })
}

interface Ways {
  readonly ways: readonly BandwidthStrategy[]
  readonly passedOver: readonly string[]
}

function goal(
  direction: BandwidthPlan['direction'],
  limit: Limit,
  { ways, passedOver }: Ways,
  outside: boolean,
  { port }: RateFacts,
): BandwidthPlan {
  const allowed = outside ? ways.filter(({ where }) => where !== 'pod') : ways
  if (allowed.length > 0) return { direction, limit, ways: allowed, passedOver }
  const key = direction === 'toPod' ? 'ingressRate' : 'egressRate'
  const reason =
    ways.length > 0
      ? 'only inside the pod, and bandwidth.require is "outside"'
      : `"${port.name}" has no interface that the kernel could shape`
  const words = [reason, ...passedOver].join('; ')
  throw new CniError(code.invalidConfig, `Cannot limit ${key} ${limit.rate} of a ${port.kind} port: ${words}`)
}

/** The strategies of each direction, by kind of port. */
const strategies: Readonly<
  Record<PortKind, Readonly<Record<BandwidthPlan['direction'], (...of: StrategyParameters) => Ways>>>
> = {
  veth: { toPod: pairToPod, fromPod: pairFromPod },
  representor: { toPod: nicToPod, fromPod: nicFromPod },
  userspace: { toPod: nicToPod, fromPod: nicFromPod },
  legacy: { toPod: podToPod, fromPod: nicFromPod },
  nic: { toPod: podToPod, fromPod: podFromPod },
  other: { toPod: podToPod, fromPod: podFromPod },
}

type StrategyParameters = readonly [limit: Limit, facts: RateFacts, identity: RateIdentity]

/** Behind a pair: by the end on the host, where it is on the host. */
function pairToPod(...of: StrategyParameters): Ways {
  const [limit, { peer }, identity] = of
  return peer === undefined
    ? podToPod(...of)
    : { ways: [shaperWay('host', peer, limit, 'ingress', identity)], passedOver: [] }
}

function pairFromPod(...of: StrategyParameters): Ways {
  const [limit, { peer, hasIngress }, identity] = of
  return peer === undefined
    ? podFromPod(...of)
    : { ways: [detourWay('host', peer, limit, 'egress', identity, hasIngress.peer)], passedOver: [] }
}

/** In the eSwitch, else in the pod. */
function nicToPod(...of: StrategyParameters): Ways {
  const nic = meteredWays(...of)
  return { ways: [...nic.ways, ...podToPod(...of).ways], passedOver: nic.passedOver }
}

function nicFromPod(...of: StrategyParameters): Ways {
  const nic = nicWays(...of)
  return { ways: [...nic.ways, ...podFromPod(...of).ways], passedOver: nic.passedOver }
}

/** In the pod, where it has an interface. */
function podToPod(...[limit, { port, hasIngress }, identity]: StrategyParameters): Ways {
  const { link } = port
  const ways = link === undefined ? [] : [detourWay('pod', link, limit, 'ingress', identity, hasIngress.pod)]
  return { ways, passedOver: [] }
}

function podFromPod(...[limit, { port }, identity]: StrategyParameters): Ways {
  const { link } = port
  return {
    ways: link === undefined ? [] : [shaperWay('pod', link, limit, 'egress', identity)],
    passedOver: [],
  }
}

/**
 * In the eSwitch: one policer that every filter has which leads to the pod, those of port mappings and one for all other
 * frames to its MAC address.
 */
function meteredWays(limit: Limit, facts: RateFacts, identity: RateIdentity): Ways {
  const { port, driver, direct, unmetered, mapped, steersInNic, takenPolicerIndexes } = facts
  const representor = port.wire?.representor
  if (port.wire === undefined || representor === undefined) return { ways: [], passedOver: [] }
  const without = (reason: string): Ways => ({ ways: [], passedOver: [`police: ${reason}`] })
  const ignored = ignoredPolice(driver)
  if (ignored !== undefined) return without(ignored)
  if (unmetered !== undefined) return without(unmetered)
  if (!steersInNic) return without('port mappings are steered in software (offload "off")')
  if (direct === undefined && !mapped) {
    const pair = `"${representor.name}" and "${port.wire.uplink.name}"`
    return without(`no filter would have it, without port mappings and a bridge of ${pair}`)
  }
  const { uplink, uplinkHasIngress } = port.wire
  let limiter = identity.limiter
  while (takenPolicerIndexes.includes(limiter)) limiter++
  const { cookie } = identity
  const { spec, notes } = policerNumbers(limit, representor.mtu, 'ingress')
  const on = ({ name, ifindex }: LinkFacts) => ({ link: name, ifindex })
  const ops: Op[] = [
    { do: 'limiter.add', limiter: { index: limiter, ...spec, cookie }, offload: 'require' },
    ...(uplinkHasIngress ? [] : [clsact('host', uplink)]),
    ...tagsOf(direct).map(
      (tag) =>
        ({
          do: 'meter.add',
          meter: { ...on(uplink), out: on(representor), mac: port.mac, ...tag, limiter, cookie },
        }) as const,
    ),
  ]
  return { ways: [{ where: 'nic', means: 'police', ops, notes, limiter }], passedOver: [] }
}

/** The match of each filter for frames beside those of port mappings. */
function tagsOf(direct: DirectWay['direct']): Pick<MacPolicer, 'vlan' | 'family'>[] {
  if (direct === undefined) return []
  if (direct.vlan === 'any') return [{}]
  return direct.vlan === 0 ? [{ family: 4 }, { family: 6 }] : [{ vlan: direct.vlan }]
}

function nicWays(limit: Limit, facts: RateFacts, identity: RateIdentity): Ways {
  const { port } = facts
  if (port.vf === undefined || port.wire === undefined) return { ways: [], passedOver: [] }
  const { uplink, representor } = port.wire
  if (representor === undefined) return vfWays(limit, facts, uplink, port.vf.index)
  // Drivers have one limiter for both: tx_max would take the place of what the PF was told, and DEL take it away.
  const byPort = facts.vfLimited ? vfWays(limit, facts, uplink, port.vf.index) : portWays(limit, facts)
  const reason = policeHindrance(limit, facts, representor)
  // A reason why the second best is not there concerns who has not got the best.
  if (reason !== undefined)
    return byPort.ways.length > 0
      ? byPort
      : { ways: [], passedOver: [...byPort.passedOver, `police: ${reason}`] }
  const { spec, notes } = policerNumbers(limit, representor.mtu, 'egress')
  const police: Op = {
    do: 'police.add',
    police: { link: representor.name, ifindex: representor.ifindex, ...spec, cookie: identity.cookie },
    offload: 'require',
  }
  const ops = facts.hasIngress.representor ? [police] : [clsact('host', representor), police]
  return {
    ways: [...byPort.ways, { where: 'nic', means: 'police', ops, notes }],
    passedOver: byPort.passedOver,
  }
}

/** By the PF: in legacy mode, and where it has limited the VF before. */
function vfWays(limit: Limit, { vfRate, driver }: RateFacts, uplink: LinkFacts, vf: number): Ways {
  const step = rateStep(driver)
  const whole = megabits(limit, step)
  if (whole === undefined) return { ways: [], passedOver: [`max_tx_rate: ${notWhole(limit, step)}`] }
  const was = vfRate ?? { min: 0, max: 0 }
  const max = lower(was.max, whole)
  const set = { min: was.min > max ? 0 : was.min, max }
  const op: Op = { do: 'vf.set', pf: uplink.name, vf, set: { rate: set }, was: { rate: was } }
  const notes = notesOf(limit, whole, max, step)
  return { ways: [{ where: 'nic', means: 'max_tx_rate', ops: [op], notes }], passedOver: [] }
}

/** By the VF's devlink port. */
function portWays(limit: Limit, { portRates, portBefore }: RateFacts): Ways {
  if (portRates === undefined) return { ways: [], passedOver: ['tx_max: the driver has no devlink rates'] }
  const whole = megabits(limit)
  if (whole === undefined) return { ways: [], passedOver: [`tx_max: ${notWhole(limit)}`] }
  const { handle, ...now } = portRates
  const was = portBefore ?? now
  const set = { max: lower(was.max, bytesOfMegabits(whole)), share: was.share }
  const op: Op = {
    ...{ do: 'devlink.rate.set', handle, set, was },
    ...(portBefore === undefined ? {} : { now }),
  }
  const notes = notesOf(limit, whole, set.max / bytesOfMegabits(1))
  return { ways: [{ where: 'nic', means: 'tx_max', ops: [op], notes }], passedOver: [] }
}

/** Why no policer on the representor would do; undefined where one may. */
function policeHindrance(
  limit: Limit,
  { driver, portRates, vfLimited }: RateFacts,
  representor: LinkFacts,
): string | undefined {
  if (isOpenVswitch(representor)) return `"${representor.name}" is a port of Open vSwitch`
  const byPort = policedByPort(driver)
  if (byPort === undefined) return ignoredPolice(driver)
  return portRates !== undefined || vfLimited || megabits(limit) === undefined ? byPort : undefined
}

function notWhole({ rate }: Limit, step = 1): string {
  const what = step === 1 ? 'whole number of' : `multiple of ${step}`
  return `${rate} bit/s is no ${what} Mbit/s, not even within 5 %`
}

/** A limit that is there already (0 = none) is not raised: whoever set it meant it. */
function lower(already: number, wanted: number): number {
  return already === 0 ? wanted : Math.min(already, wanted)
}

/** Notes on differences from the wish: `whole` Mbit/s were to be set, `used` are. */
function notesOf({ rate }: Limit, whole: number, used: number, step = 1): string[] {
  if (used < whole) return [`egressRate ${rate}: the VF is limited to ${used} Mbit/s already, which stays`]
  const takes = step === 1 ? 'whole Mbit/s' : `multiples of ${step} Mbit/s`
  return rate === whole * 1e6 ? [] : [`egressRate ${rate}: the NIC takes ${takes}; ${whole} are used`]
}

/** A tbf that an interface sends through. */
function shaperWay(
  side: Side,
  link: LinkFacts,
  limit: Limit,
  name: string,
  { cookie }: RateIdentity,
): BandwidthStrategy {
  const { spec, notes } = shaperNumbers(limit, link.mtu, name)
  const on = { side, link: link.name, ifindex: link.ifindex }
  const op: Op = { do: 'shaper.add', shaper: { ...on, ...spec, cookie } }
  return { where: side, means: 'tbf', ops: [op], notes }
}

/** An ifb with a tbf that everything goes through which an interface receives; the filter last, when all is there. */
function detourWay(
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
    ops: [
      { do: 'ifb.add', side, name: ifb, mac: ifbMac, mtu: link.mtu },
      { do: 'shaper.add', shaper: { side, link: ifb, ...spec, cookie } },
      ...(hasIngress ? [] : [clsact(side, link)]),
      { do: 'detour.add', detour: { side, link: link.name, ifindex: link.ifindex, through: ifb, cookie } },
    ],
    notes,
  }
}

function clsact(side: Side, { name, ifindex }: LinkFacts): Op {
  return { do: 'clsact.add', side, link: name, ifindex }
}
