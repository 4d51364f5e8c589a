/** CHECK of rate limits: each thing that the ADD made is compared with what is there now. */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { commandLine } from '../../ops/command-line.ts'
import type { Op, RateSpec, Side } from '../../ops/op.ts'
import type { LimitRecord } from '../../records/offload.ts'
import type { Limit, RateWishes } from '../config/bandwidth.ts'
import { isAsSet } from './removal.ts'

/** A sentence for each thing that is not as the ADD left it, with the command that made it; none when all is. */
export function checkRates(
  kernel: Kernel,
  limits: readonly LimitRecord[],
  uplink: { readonly ifindex: number } | undefined,
): string[] {
  return limits.flatMap(({ direction, where, ops }) =>
    where === undefined
      ? [`the limit of what ${phrase[direction]} was not finished`]
      : ops.flatMap((op) => {
          const found = differenceOf(kernel, op, uplink?.ifindex)
          return found === undefined ? [] : [`${found}: ${commandLine(op)}`]
        }),
  )
}

/** A sentence for each limit that is asked for and was not made so, and for each that was made and is not asked for. */
export function wishedOtherwise(wishes: RateWishes, limits: readonly LimitRecord[]): string[] {
  return (['toPod', 'fromPod'] as const).flatMap((direction) => {
    const [wished, made] = [wishes[direction], limits.find((limit) => limit.direction === direction)]
    const what = `what ${phrase[direction]}`
    if (made === undefined)
      return wished === undefined ? [] : [`no limit was made for ${what}, and ${bits(wished)} are asked for`]
    const limited = `${what} was limited to ${bits(made)}`
    if (wished === undefined) return [`${limited}, and no limit is asked for`]
    if (wished.rate !== made.rate || wished.burst !== made.burst)
      return [`${limited}, and ${bits(wished)} are asked for`]
    return wishes.outside && made.where === 'pod'
      ? [`${what} is limited in the pod, and bandwidth.require is "outside"`]
      : []
  })
}

function bits({ rate, burst }: Limit): string {
  return `${rate} bit/s with a burst of ${burst}`
}

const phrase = { toPod: 'comes to the pod', fromPod: 'the pod sends' } as const

function differenceOf(kernel: Kernel, op: Op, uplink: number | undefined): string | undefined {
  switch (op.do) {
    case 'shaper.add': {
      const { side, link: name } = op.shaper
      return onLink(kernel, side, op.shaper, (link) => {
        const shaper = kernel.rates().shaper(side, link.ifindex, op.shaper.cookie)
        if (shaper === undefined) return `"${name}" has no shaper of ours`
        const { limit } = op.shaper
        return rateDifference(op.shaper, shaper) ?? different('limit', limit, shaper.limit)
      })
    }
    case 'ifb.add':
      return onLink(kernel, op.side, { link: op.name }, ({ kind, up, mtu }) => {
        if (kind !== 'ifb') return `"${op.name}" is no ifb`
        return up ? different('MTU', op.mtu, mtu) : `"${op.name}" is down`
      })
    case 'detour.add': {
      const { side, link: name, through } = op.detour
      return onLink(kernel, side, op.detour, (link) => {
        // Without it, as with any other interface, the filter leads elsewhere than it is to.
        const wanted = kernel.link(side, through)?.ifindex ?? 0
        const found = kernel.rates().detourDifferences(link.ifindex, wanted, op.detour)
        return found === undefined ? `"${name}" has no filter of ours` : another(`filter on "${name}"`, found)
      })
    }
    case 'police.add': {
      const { link: name } = op.police
      return onLink(kernel, 'host', op.police, (link) => {
        const found = kernel.rates().policeDifferences(link.ifindex, op.police)
        return found === undefined
          ? `"${name}" has no policer of ours`
          : another(`policer on "${name}"`, found)
      })
    }
    case 'limiter.add': {
      const { index, cookie } = op.limiter
      const found = kernel
        .rates()
        .limiters(cookie)
        .find((one) => one.index === index)
      if (found === undefined) return 'the policer is gone'
      if (found.users === 0) return 'no filter uses the policer'
      const differences = kernel.rates().limiterDifferences(op.limiter)
      return rateDifference(op.limiter, found) ?? another('policer', differences)
    }
    case 'meter.add':
      return kernel.rates().meter(op.meter)
        ? undefined
        : `no filter in the NIC has "${op.meter.link}" limit ${op.meter.mac}`
    case 'vf.set': {
      const pf = (uplink === undefined ? undefined : kernel.link('host', uplink)?.name) ?? op.pf
      return isAsSet(kernel, { ...op, pf }) ? undefined : 'the rate is another one'
    }
    case 'devlink.rate.set':
      return isAsSet(kernel, op) ? undefined : 'the rate is another one'
    default:
      return undefined
  }
}

function another(what: string, differences: readonly string[]): string | undefined {
  return differences.length === 0 ? undefined : `the ${what} is another one (${differences.join('; ')})`
}

/** By its number where that is known: a name may be another one by now. */
function onLink(
  kernel: Kernel,
  side: Side,
  { link: name, ifindex }: { readonly link: string; readonly ifindex?: number },
  look: (link: LinkFacts) => string | undefined,
): string | undefined {
  const link = kernel.link(side, ifindex ?? name)
  return link === undefined ? `there is no "${name}"` : look(link)
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
    different('rate', wanted.bytesPerSecond, found.bytesPerSecond) ??
    (Math.abs(wanted.burst - found.burst) <= slack
      ? undefined
      : different('burst', wanted.burst, found.burst))
  )
}

function different(what: string, wanted: number, found: number): string | undefined {
  return wanted === found ? undefined : `${what} ${found} instead of ${wanted}`
}
