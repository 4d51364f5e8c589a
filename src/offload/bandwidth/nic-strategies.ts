/** Strategies in the NIC: one policer that filters share, the rate of a VF or of its devlink port, a policer of all that a VF sends. Pure. */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { MacPolicer, Op } from '../../ops/op.ts'
import type { Limit } from '../config/bandwidth.ts'
import { policedByPort, policeHindrance, rateStep } from '../port/driver-words.ts'
import { driverFacts } from '../port/drivers.ts'
import type { RateIdentity } from '../state/identity.ts'
import { type DirectWay, isOpenVswitch } from './bridge-path.ts'
import { bytesOfMegabits, megabits, policerNumbers } from './numbers.ts'
import { type BandwidthStrategy, clsact, type RateFacts, type Ways } from './strategy.ts'

/**
 * In the eSwitch: one policer that every filter has which leads to the pod, those of port mappings and one for all other
 * frames to its MAC address.
 */
export function meteredWays(limit: Limit, facts: RateFacts, identity: RateIdentity): Ways {
  const { port, driver, direct, unmetered, mapped, steersInNic, takenPolicerIndexes } = facts
  const representor = port.wire?.representor
  if (port.wire === undefined || representor === undefined) return { ways: [], passedOver: [] }
  const without = (reason: string): Ways => ({ ways: [], passedOver: [`police: ${reason}`] })
  const { spec, notes } = policerNumbers(limit, representor.mtu, 'ingress', driver)
  const hindrance = policeHindrance(driver, spec.bytesPerSecond)
  if (hindrance !== undefined) return without(hindrance)
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
  return {
    ways: [{ where: 'nic', means: 'police', ...countsOfPolicer(driver), ops, notes, limiter }],
    passedOver: [],
  }
}

/** A policer of a driver that does not say counts either. */
function countsOfPolicer(driver: string | undefined): Pick<BandwidthStrategy, 'counts'> {
  return driverFacts(driver).policesIpLength === undefined ? {} : { counts: 'packet' }
}

/** The match of each filter for frames beside those of port mappings. */
function tagsOf(direct: DirectWay['direct']): Pick<MacPolicer, 'vlan' | 'family'>[] {
  if (direct === undefined) return []
  if (direct.vlan === 'any') return [{}]
  return direct.vlan === 0 ? [{ family: 4 }, { family: 6 }] : [{ vlan: direct.vlan }]
}

/** The limit of frames from the pod: by the PF, the devlink port, or a policer on the representor. */
export function nicWays(limit: Limit, facts: RateFacts, identity: RateIdentity): Ways {
  const { port } = facts
  if (port.vf === undefined || port.wire === undefined) return { ways: [], passedOver: [] }
  const { uplink, representor } = port.wire
  if (representor === undefined) return vfWays(limit, facts, uplink, port.vf.index)
  // A driver limits a VF in one place. Setting tx_max would overwrite the rate that the PF holds, and DEL would then remove that rate.
  const byPort = facts.vfLimited ? vfWays(limit, facts, uplink, port.vf.index) : portWays(limit, facts)
  const { spec, notes } = policerNumbers(limit, representor.mtu, 'egress', facts.driver)
  const reason = whyNoPolicer(limit, spec.bytesPerSecond, facts, representor)
  // With a limit by the port nobody needs to hear why there is no policer.
  if (reason !== undefined)
    return byPort.ways.length > 0
      ? byPort
      : { ways: [], passedOver: [...byPort.passedOver, `police: ${reason}`] }
  const police: Op = {
    do: 'police.add',
    police: { link: representor.name, ifindex: representor.ifindex, ...spec, cookie: identity.cookie },
    offload: 'require',
  }
  const ops = facts.hasIngress.representor ? [police] : [clsact('host', representor), police]
  return {
    // Of a policer that is the port's own limit by another name nobody knows what it counts.
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
function whyNoPolicer(
  limit: Limit,
  bytesPerSecond: number,
  { driver, portRates, vfLimited }: RateFacts,
  representor: LinkFacts,
): string | undefined {
  if (isOpenVswitch(representor)) return `"${representor.name}" is a port of Open vSwitch`
  const byPort = policedByPort(driver)
  if (byPort === undefined) return policeHindrance(driver, bytesPerSecond)
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
