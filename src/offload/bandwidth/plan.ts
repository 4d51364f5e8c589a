/**
 * The plan of bandwidth: the strategies to limit each kind of port, best one first: in the NIC, then on the host, then in the pod.
 * Pure: wishes and facts in, operations out. A strategy is carried out whole or the next one is tried.
 */
import { CniError, code } from '../../cni/error.ts'
import type { Limit, RateWishes } from '../config/bandwidth.ts'
import type { PortKind } from '../port/kinds.ts'
import type { RateIdentity } from '../state/identity.ts'
import { meteredWays, nicWays } from './nic-strategies.ts'
import { type BandwidthStrategy, detourWay, type RateFacts, shaperWay, type Ways } from './strategy.ts'

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
  macvlan: { toPod: podToPod, fromPod: podFromPod },
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
