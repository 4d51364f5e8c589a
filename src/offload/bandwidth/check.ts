/** CHECK of limits: the wishes beside the record. The kernel verifies the operations of each limit (kernel/inspect/verify.ts). */
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { DoneOp } from '../../kernel/api/verify.ts'
import type { Op } from '../../ops/op.ts'
import type { LimitRecord, OffloadJournal } from '../../records/offload.ts'
import type { Limit, RateWishes } from '../config/bandwidth.ts'
import type { CheckContext } from '../feature.ts'

/** The operations of all limits that an ADD has finished. Before that a record names operations that may not have been done. */
export function doneLimits(
  { limits = [], uplink }: Pick<OffloadJournal, 'limits' | 'uplink'>,
  kernel: Pick<Kernel, 'link'>,
): DoneOp[] {
  const pf = uplink && kernel.link('host', uplink.ifindex)?.name
  return limits.flatMap(({ where, ops }) =>
    where === undefined ? [] : ops.map((op) => ({ op: onUplink(op, pf) })),
  )
}

/** A PF may have got another name since the ADD. */
function onUplink(op: Op, pf: string | undefined): Op {
  return op.do === 'vf.set' && pf !== undefined ? { ...op, pf } : op
}

/** Sentences about limits that were not finished, and about wishes. */
export function limitDifferences({ config, journal }: CheckContext): string[] {
  const { limits } = journal ?? {}
  if (limits === undefined) return ['the ADD made none']
  const unfinished = limits.filter(({ where }) => where === undefined)
  return [
    ...wishedOtherwise(config.rates, limits),
    ...unfinished.map(({ direction }) => `the limit of what ${phrase[direction]} was not finished`),
  ]
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

/** The two directions in words. */
export const phrase = { toPod: 'comes to the pod', fromPod: 'the pod sends' } as const
