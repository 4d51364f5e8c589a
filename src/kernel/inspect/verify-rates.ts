import type { OpOf, RateOp, RateSpec, Side } from '../../ops/op.ts'
import type { LinkFacts } from '../api/facts.ts'
import { difference, type Found, type Reach, removal, unlike, type Verifiers } from './verifier.ts'

/** Rate limits. */
export const rateVerifiers: Verifiers<RateOp['do']> = {
  'shaper.add': verifyShaper,
  'shaper.del': removal,
  'ifb.add': (reach, op) =>
    onLink(reach, op.side, { link: op.name }, ({ kind, up, mtu }) => {
      if (kind !== 'ifb') return difference(`"${op.name}" is no ifb`)
      return difference(up ? unlike('MTU', op.mtu, mtu) : `"${op.name}" is down`)
    }),
  'ifb.del': removal,
  'detour.add': verifyRedirect,
  'detour.del': removal,
  'police.add': (reach, { police }) =>
    onLink(reach, 'host', police, ({ ifindex }) => {
      const found = reach.rates().policeDifferences(ifindex, police)
      if (found === undefined) return difference(`"${police.link}" has no policer of ours`)
      return another(`policer on "${police.link}"`, found)
    }),
  'police.del': removal,
  'limiter.add': verifySharedPolicer,
  'limiter.del': removal,
  'meter.add': (reach, { meter }) =>
    difference(
      reach.rates().meter(meter) ? undefined : `no filter in the NIC has "${meter.link}" limit ${meter.mac}`,
    ),
  'meter.del': removal,
  'devlink.rate.set': (reach, { handle, set }) => {
    const now = reach.rates().ratesOfPort(handle)
    if (now?.max === set.max && now.share === set.share) return []
    const details = now === undefined ? 'none' : `${now.share} to ${now.max} bytes/s`
    return [
      {
        found: 'the rate is another one',
        details: `${details} instead of ${set.share} to ${set.max} bytes/s`,
      },
    ]
  },
}

function verifyShaper(reach: Reach, { shaper: wanted }: OpOf<'shaper.add'>): Found[] {
  const { side, link: name, cookie, limit } = wanted
  return onLink(reach, side, wanted, ({ ifindex }) => {
    const found = reach.rates().shaper(side, ifindex, cookie)
    if (found === undefined) return difference(`"${name}" has no shaper of ours`)
    return difference(rateDifference(wanted, found) ?? unlike('limit', limit, found.limit))
  })
}

function verifyRedirect(reach: Reach, { detour }: OpOf<'detour.add'>): Found[] {
  const { side, link: name, through } = detour
  return onLink(reach, side, detour, ({ ifindex }) => {
    // Without the ifb, as with any other interface, the filter leads elsewhere than it is to.
    const wanted = reach.link(side, through)?.ifindex ?? 0
    const found = reach.rates().detourDifferences(ifindex, wanted, detour)
    if (found === undefined) return difference(`"${name}" has no filter of ours`)
    return another(`filter on "${name}"`, found)
  })
}

function verifySharedPolicer(reach: Reach, { limiter }: OpOf<'limiter.add'>): Found[] {
  const found = reach
    .rates()
    .limiters(limiter.cookie)
    .find((one) => one.index === limiter.index)
  if (found === undefined) return difference('the policer is gone')
  if (found.users === 0) return difference('no filter uses the policer')
  const rate = rateDifference(limiter, found)
  return rate === undefined ? another('policer', reach.rates().limiterDifferences(limiter)) : difference(rate)
}

function another(what: string, differences: readonly string[]): Found[] {
  if (differences.length === 0) return []
  return difference(`the ${what} is another one (${differences.join('; ')})`)
}

/** By its number where that is known: a name may be another one by now. */
function onLink(
  reach: Reach,
  side: Side,
  { link: name, ifindex }: { readonly link: string; readonly ifindex?: number },
  look: (link: LinkFacts) => Found[],
): Found[] {
  const link = reach.link(side, ifindex ?? name)
  return link === undefined ? difference(`there is no "${name}"`) : look(link)
}

/**
 * A burst comes back from ticks of 64 ns: one tick's worth of bytes, and a rounding, may be missing or over. And before the
 * ticks the kernel multiplies by the time of a byte, of which it has 32 bits, or fewer for rates beyond 4 GB/s
 * (psched_ratecfg_precompute()).
 */
function rateDifference(wanted: RateSpec, found: RateSpec): string | undefined {
  const { bytesPerSecond, burst } = wanted
  const precision = Math.max(2 ** -31, bytesPerSecond / (1e9 * 2 ** 34))
  const slack = 1 + Math.ceil(bytesPerSecond * 64e-9) + Math.ceil(burst * precision)
  return (
    unlike('rate', bytesPerSecond, found.bytesPerSecond) ??
    (Math.abs(burst - found.burst) <= slack ? undefined : unlike('burst', burst, found.burst))
  )
}
