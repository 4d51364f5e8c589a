/** Bandwidth as a feature of the plugin: facts and plan of an ADD. The filters and shapers are made in bandwidth/install.ts. */
import { CniError, code } from '../../cni/error.ts'
import type { Result } from '../../cni/result.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { ratePriority, unownedShaperHandle } from '../../ops/marks/rate-numbers.ts'
import type { OpOf } from '../../ops/op.ts'
import type { LimitRecord, OffloadJournal } from '../../records/offload.ts'
import type { AddContext, Feature, LookContext, Looked, Planned, TraceContext } from '../feature.ts'
import { traitsOf } from '../port/kinds.ts'
import { driverOf, type Port } from '../port/port.ts'
import {
  cookiePrefix,
  marksPod,
  type RateIdentity,
  rateIdentityOf,
  rateNetworkPrefix,
} from '../state/identity.ts'
import { limitsOf } from '../state/report.ts'
import { type DirectWay, directWay } from './bridge-path.ts'
import { doneLimits, limitDifferences } from './check.ts'
import { bandwidthCounters } from './counters.ts'
import { installLimits } from './install.ts'
import { bytesOfMegabits } from './numbers.ts'
import { bandwidthOrphans } from './orphans.ts'
import { type BandwidthPlan, planRates } from './plan.ts'
import { bandwidthRemoval } from './removal.ts'
import { bandwidthReadiness } from './status.ts'
import type { RateFacts } from './strategy.ts'

export const bandwidthFeature: Feature = {
  ...bandwidthRemoval,
  wanted: ({ rates }) => rates.toPod !== undefined || rates.fromPod !== undefined,
  look: lookAround,
  trace: traceOf,
  done: doneLimits,
  otherwise: 'Attachment is not limited as ADD left it',
  differences: limitDifferences,
  readiness: bandwidthReadiness,
  cookiePrefix: rateNetworkPrefix,
  orphans: bandwidthOrphans,
  shared: undefined,
  report: (journal) => ({ limits: limitsOf(journal) }),
  counters: bandwidthCounters,
}

/** By cookie, or by the name that follows from the attachment. The rate of a VF, or of its port, bears no mark. */
function traceOf({ machine, kernel, attachment, hasEswitch }: TraceContext): string | undefined {
  const { cookie, ifb } = rateIdentityOf(attachment, machine.sha256)
  for (const side of ['host', 'pod'] as const)
    if (kernel.link(side, ifb) !== undefined) return `there is its "${ifb}"`
  return hasEswitch && kernel.rates().limiters(cookie).length > 0
    ? 'there is its policer in the NIC'
    : undefined
}

/**
 * Frames that come out of an ifb in the pod do not meet the table by which a pod takes redirected frames in: they would be lost.
 * @throws CniError 7 then
 */
function refuseBesideRedirects(
  { others }: Pick<AddContext, 'others'>,
  goals: readonly BandwidthPlan[],
): void {
  const isLimited = goals.some(
    ({ direction, ways }) => direction === 'toPod' && ways.some(({ where }) => where === 'pod'),
  )
  if (!isLimited || !others.some(({ ops }) => marksPod(ops))) return
  throw new CniError(
    code.invalidConfig,
    'Cannot limit what comes to the pod: port mappings of another entry are in the NIC by redirect alone, and an ifb in the pod would keep their frames from it; port mappings and bandwidth must be in one entry',
  )
}

/** The surroundings of a limit that no call of ours changes. */
interface Surroundings {
  readonly driver: string | undefined
  /** undefined where no frames come by an eSwitch that a policer could limit. */
  readonly way: DirectWay | undefined
}

function lookAround({ kernel, config, port }: LookContext): Looked {
  const { peer, wire } = port
  const metered = wire?.representor === undefined || config.rates.toPod === undefined ? undefined : wire
  const way = metered && directWay(kernel, metered)
  const surroundings = { driver: driverOf(port), way }
  // The only way to limit what such a pod sends: a filter that leads to an ifb.
  const passed = peer === undefined || config.rates.fromPod === undefined ? [] : passedBy(kernel, peer)
  return { plan: (context) => planned(context, surroundings, passed) }
}

function planned(context: AddContext, surroundings: Surroundings, passed: readonly string[]): Planned {
  const { machine, kernel, config, attachment, port } = context
  const identity = rateIdentityOf(attachment, machine.sha256)
  const facts = readRateFacts(context, surroundings, identity)
  const goals = planRates(config.rates, facts, identity)
  refuseShaped(kernel, port, facts, goals)
  refuseBesideRedirects(context, goals)
  const ways = goals.flatMap((goal) => goal.ways)
  const created = ways.flatMap(({ ops }) =>
    ops.flatMap((op) => (op.do === 'ifb.add' && op.side === 'host' ? [op] : [])),
  )
  const policer = ways.find(({ limiter }) => limiter !== undefined)?.limiter
  return {
    journal: { limits: goals.map(beforehand) },
    ...(policer === undefined ? {} : { policer }),
    usesPolicer: ways.some(({ ops }) => ops.some((op) => op.do === 'meter.add')),
    install: (transaction, alternative) => {
      const limits = installLimits(transaction, goals, alternative, context.isHeldByDead, surroundings.driver)
      if (!Array.isArray(limits)) return limits
      return {
        limits,
        notes: [...limits.flatMap(({ notes = [] }) => notes), ...passed, ...peerless(port)],
      }
    },
    amend: (result) => created.reduce(withHostLink, result),
  }
}

/**
 * An interface has one limit: whoever lost the record of it, or wants a second one, must have the first removed.
 */
function refuseShaped(
  kernel: Kernel,
  { link }: Port,
  { peer }: RateFacts,
  goals: readonly BandwidthPlan[],
): void {
  const wanted = goals.flatMap(({ ways }) => ways.flatMap(({ ops }) => ops))
  for (const [side, at] of [
    ['host', peer],
    ['pod', link],
  ] as const) {
    const isMeant = wanted.some(
      (op) => op.do === 'shaper.add' && op.shaper.side === side && op.shaper.link === at?.name,
    )
    const handle = isMeant && at !== undefined ? kernel.rates().shapedBy(side, at.ifindex) : undefined
    if (at === undefined || handle === undefined) continue
    throw new CniError(
      code.tryAgainLater,
      `Cannot limit "${at.name}": it has a limit of ours already, ${remedy(handle, side, at.name)}`,
    )
  }
}

/**
 * The way to be rid of a shaper. Shapers of former versions bear no mark of their owner: a DEL finds them by its record only.
 */
function remedy(handle: number, side: 'host' | 'pod', name: string): string {
  const shown = `handle ${(handle >>> 16).toString(16)}:, which needs a DEL first`
  if (handle !== unownedShaperHandle) return shown
  const where = side === 'pod' ? ' in the pod' : ''
  return `${shown}; where the record of that one is lost, "tc qdisc del dev ${name} root"${where} removes it`
}

/** The pair may lead to another pod, or its end on the host may be another pod's by a number that looks the same. */
function peerless({ kind, name, peer }: Port): string[] {
  if (!traitsOf(kind).isPair || peer !== undefined) return []
  return [`the other end of "${name}" is not on the host: the limit is in the pod, which can take it away`]
}

/**
 * Notes on others that take frames of the pod first. The filter that leads to the ifb comes last, and does not limit those frames.
 */
function passedBy(kernel: Kernel, peer: LinkFacts): string[] {
  return kernel
    .conflicts(peer, { everyFrameAt: ratePriority.detour }, cookiePrefix)
    .filter(({ software }) => software)
    .map(
      ({ name }) =>
        `what the pod sends is not limited as far as others take it first on "${peer.name}": ${name}`,
    )
}

/** Asks the kernel for the limits of others that are in force on this kind of port. */
function readRateFacts(
  { kernel, port, config, others, ratesBefore }: AddContext,
  { driver, way }: Surroundings,
  { limiter }: Pick<RateIdentity, 'limiter'>,
): RateFacts {
  const { peer } = port
  const representor = port.wire?.representor
  const portRates = representor === undefined ? undefined : kernel.rates().portRates(representor.ifindex)
  const vf = port.vf && { index: port.vf.index, rate: port.wire?.uplink.vfs?.get(port.vf.index)?.rate }
  const before = ratesBefore({ vf, port: portRates })
  const vfMax = vf?.rate?.max ?? 0
  return {
    port,
    driver,
    peer,
    vfRate: before.vf,
    vfLimited: vfMax > 0 && bytesOfMegabits(vfMax) !== portRates?.max,
    portRates,
    portBefore: before.port,
    ...(way === undefined
      ? { direct: undefined, unmetered: undefined, takenPolicerIndexes: [] }
      : { ...wayPast(way, others), takenPolicerIndexes: kernel.rates().takenPolicers(limiter) }),
    mapped: config.mappings.length > 0,
    steersInNic: config.mappings.length === 0 || config.offload !== 'off',
    hasIngress: {
      peer: peer !== undefined && kernel.hasIngress(peer.ifindex),
      pod: port.link !== undefined && kernel.hasIngress(port.link.ifindex, 'pod'),
      representor: port.wire?.representorHasIngress ?? false,
    },
  }
}

/** Port mappings that another entry has made have no policer, and get none any more. */
function wayPast(way: DirectWay, others: readonly OffloadJournal[]): DirectWay {
  return others.some(({ keys }) => keys.length > 0)
    ? { direct: undefined, unmetered: 'port mappings of another entry, made before, have none' }
    : way
}

/** The record for a DEL after an ADD that died on the way: all that may have been made or changed, and the values before. */
function beforehand({ direction, limit, ways }: BandwidthPlan): LimitRecord {
  return { direction, rate: limit.rate, burst: limit.burst, ops: ways.flatMap((way) => way.ops) }
}

/** The result with an interface of the host that we made. */
function withHostLink(result: Result, { name, mac, mtu }: OpOf<'ifb.add'>): Result {
  const made = { name, mac, mtu, sandbox: '' }
  return { ...result, interfaces: [...(result.interfaces ?? []), made] }
}
