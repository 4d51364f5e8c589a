/** Rate limits as a part of the plugin: facts, plan and the first way that works on ADD. Their removal is in bandwidth/removal.ts. */
import { CniError, code } from '../../cni/error.ts'
import type { Result } from '../../cni/result.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { ApplyError, type Transaction } from '../../ops/apply.ts'
import { commandLine } from '../../ops/command-line.ts'
import { isLostAnswer } from '../../ops/lost-answer.ts'
import { ratePriority, unownedShaperHandle } from '../../ops/marks/rate-numbers.ts'
import { OffloadRefused } from '../../ops/offload-refused.ts'
import type { Op, Outcome } from '../../ops/op.ts'
import { isExisting } from '../../ops/port-taken.ts'
import type { LimitRecord, OffloadJournal } from '../../records/offload.ts'
import type { AddContext, Feature, LookContext, Looked, Planned, Shared, TraceContext } from '../feature.ts'
import { driverOf } from '../port/driver-quirks.ts'
import type { Port } from '../port/port.ts'
import { cookiePrefix, rateIdentityOf } from '../state/identity.ts'
import { type DirectWay, directWay } from './bridge-path.ts'
import { bytesOfMegabits } from './numbers.ts'
import { type BandwidthPlan, type BandwidthStrategy, planRates, type RateFacts } from './plan.ts'
import { ratesRemoval } from './removal.ts'

export const bandwidthFeature: Feature = {
  ...ratesRemoval,
  wanted: ({ rates }) => rates.toPod !== undefined || rates.fromPod !== undefined,
  look: lookAround,
  trace: traceOf,
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

/** What a limit goes by beside its port that no call of ours changes. */
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
  const facts = readRateFacts(context, surroundings)
  const goals = planRates(config.rates, facts, identity)
  refuseShaped(kernel, port, facts, goals)
  const ways = goals.flatMap((goal) => goal.ways)
  const created = ways.flatMap(({ ops }) =>
    ops.flatMap((op) => (op.do === 'ifb.add' && op.side === 'host' ? [op] : [])),
  )
  return {
    journal: { limits: goals.map(beforehand) },
    apply: (transaction, shared) => {
      const limits = goals.map((goal) => applyGoal(transaction, goal, shared))
      return {
        limits,
        notes: [...limits.flatMap(({ notes = [] }) => notes), ...passed, ...peerless(port)],
      }
    },
    amend: (result) =>
      created.reduce((changed, { name, mtu }) => withHostLink(kernel, changed, name, mtu), result),
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

/** How to be rid of a shaper. Those that versions before made bear no mark of their owner: a DEL finds them by its record only. */
function remedy(handle: number, side: 'host' | 'pod', name: string): string {
  const shown = `handle ${(handle >>> 16).toString(16)}:, which needs a DEL first`
  if (handle !== unownedShaperHandle) return shown
  const where = side === 'pod' ? ' in the pod' : ''
  return `${shown}; where the record of that one is lost, "tc qdisc del dev ${name} root"${where} removes it`
}

/** The pair may lead to another pod, or its end on the host may be another pod's by a number that looks the same. */
function peerless({ kind, name, peer }: Port): string[] {
  if (kind !== 'veth' || peer !== undefined) return []
  return [`the other end of "${name}" is not on the host: the limit is in the pod, which can take it away`]
}

/** What takes frames of the pod before the filter sees them that leads to the ifb: that comes last, and has no limit for them. */
function passedBy(kernel: Kernel, peer: LinkFacts): string[] {
  return kernel
    .conflicts(peer, { everyFrameAt: ratePriority.detour }, cookiePrefix)
    .filter(({ software }) => software)
    .map(
      ({ name }) =>
        `what the pod sends is not limited as far as others take it first on "${peer.name}": ${name}`,
    )
}

/** Asks the kernel for what limits of others are in force on this kind of port. */
function readRateFacts(
  { kernel, port, config, others, ratesBefore }: AddContext,
  { driver, way }: Surroundings,
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
      : { ...wayPast(way, others), takenPolicerIndexes: kernel.rates().policerIndexes() }),
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

/** What a DEL must get along with when the ADD dies on the way: what may have been made or changed, on which interfaces, and from what. */
function beforehand({ direction, limit, ways }: BandwidthPlan): LimitRecord {
  return { direction, rate: limit.rate, burst: limit.burst, ops: ways.flatMap((way) => way.ops) }
}

/**
 * Carries out the first way that is taken. One in the NIC that is refused is the reason for the next one.
 * @throws CniError 101 with the driver's words when there is no next one
 */
export function applyGoal(transaction: Transaction, goal: BandwidthPlan, shared: Shared): LimitRecord {
  const { direction, limit, passedOver } = goal
  const isOpen = (way: BandwidthStrategy) => way.limiter === undefined || shared.noPolicer === undefined
  const refusals = [...passedOver, ...(goal.ways.every(isOpen) ? [] : [`police: ${shared.noPolicer}`])]
  const ways = goal.ways.filter(isOpen)
  for (const [at, way] of ways.entries()) {
    try {
      const outcomes = transaction.attempt(way.ops)
      const ops = way.ops.map((op, index) => asMade(op, outcomes[index]))
      if (way.limiter !== undefined) shared.limiter = way.limiter
      if (way.ops.some((op) => op.do === 'meter.add')) shared.isUsed = true
      return {
        direction,
        rate: limit.rate,
        burst: limit.burst,
        where: way.where,
        means: way.means,
        lines: ops.map(commandLine),
        ops,
        ...(refusals.length === 0 ? {} : { refusals }),
        notes: [...notesOf(direction, way, refusals), ...way.notes, ...outcomes.flatMap(classifierNote)],
      }
    } catch (error) {
      if (way.where !== 'nic' || !(error instanceof ApplyError)) throw error
      // What may be left of it no record of another way would speak of: the ADD ends, with a look at what is there.
      if (isLostAnswer(error.cause) || error.stuck.length > 0) throw error
      // What a dead attachment has left is no reason for another way: it goes, and this one is tried again.
      if (isExisting(error.cause) && shared.isHeldByDead()) throw error
      const words = wordsOf(error)
      refusals.push(`${way.means}: ${words}`)
      if (at === ways.length - 1) {
        throw new CniError(
          code.offloadRefused,
          `Cannot limit what ${phrase[direction]} in the NIC: ${refusals.join('; ')}`,
          { details: commandLine(error.op), cause: error },
        )
      }
    }
  }
  throw new CniError(
    code.offloadRefused,
    `Cannot limit what ${phrase[direction]} in the NIC: ${refusals.join('; ')}`,
  )
}

const phrase = { toPod: 'comes to the pod', fromPod: 'the pod sends' } as const

/** The operation with what the kernel made its filter of, where that is not what is asked for first. */
function asMade(op: Op, outcome: Outcome | undefined): Op {
  const classifier = outcome?.classifier
  if (op.do !== 'detour.add' || classifier === undefined) return op
  return { ...op, detour: { ...op.detour, classifier } }
}

function classifierNote({ classifier, reason }: Outcome): string[] {
  return classifier === undefined
    ? []
    : [`the filter that leads to the ifb is made by classifier ${classifier}; not by ${reason}`]
}

/** Every way that was given up is said, with its reason. */
function notesOf(
  direction: BandwidthPlan['direction'],
  { where, means }: BandwidthStrategy,
  refusals: readonly string[],
): string[] {
  return refusals.length === 0
    ? []
    : [`what ${phrase[direction]} is limited by ${means} (${where}); not by ${refusals.join('; not by ')}`]
}

function wordsOf({ cause }: ApplyError): string {
  if (cause instanceof OffloadRefused) return `the driver said "${cause.refusal}"`
  return cause instanceof Error ? cause.message : String(cause)
}

/** The result with an interface of the host that we made. */
function withHostLink(kernel: Kernel, result: Result, name: string, mtu: number): Result {
  const mac = kernel.link('host', name)?.mac
  const made = { name, ...(mac === undefined ? {} : { mac }), mtu, sandbox: '' }
  return { ...result, interfaces: [...(result.interfaces ?? []), made] }
}
