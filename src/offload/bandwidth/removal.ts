/** Removal of rate limits, by what is there. */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel, OwnPlace } from '../../kernel/api/kernel.ts'
import { parsePciAddress } from '../../lib/pci-address.ts'
import { portsOf, readPciFunction } from '../../nic/pci.ts'
import { invert } from '../../ops/invert.ts'
import { meterPriorities, ratePriority } from '../../ops/marks/rate-numbers.ts'
import type { Op } from '../../ops/op.ts'
import type { LimitRecord, OffloadJournal } from '../../records/offload.ts'
import type { FeatureRemoval, Removal } from '../feature.ts'
import { rateIdentityOf } from '../state/identity.ts'
import { type FilterPlaces, removeFilters } from '../state/own-filters.ts'

export const bandwidthRemoval: FeatureRemoval = {
  recorded: ({ limits }) => limits !== undefined,
  filters: ({ limits = [], representor }) =>
    limits.some((limit) => hasFilters(limit, representor !== undefined)),
  places: placesOf,
  cookie: (attachment, sha256) => rateIdentityOf(attachment, sha256).cookie,
  removeFromPod,
  remove: removeRates,
}

/**
 * By the record only what it names is touched: which interface has a shaper is not asked of the pod, which can make itself look like
 * another one. What it names bears the attachment's mark, if a later ADD has not got the interface's number.
 */
function removeFromPod({ machine, kernel, attachment, pod, journal, step }: Removal): void {
  if (pod === undefined) return
  const { cookie, ifb } = rateIdentityOf(attachment, machine.sha256)
  const rates = kernel.rates()
  const link = () => kernel.link('pod', attachment.ifname)
  if (journal === undefined || isOpen(journal)) {
    step(() => removeFilters(kernel, [cookie], 'pod'))
    step(() => rates.removeIfb('pod', ifb))
    const found = step(link)
    for (const mark of journal === undefined ? [cookie] : [cookie, undefined])
      if (found !== undefined) step(() => rates.removeShaper('pod', found.ifindex, mark))
  }
  const ops = opsOf(journal).filter(isInPod)
  const led = ops.flatMap((op) => (op.do === 'detour.add' ? placeOf(op.detour, detours) : []))
  if (led.length > 0) step(() => removeFilters(kernel, [cookie], 'pod', led))
  if (ops.some((op) => op.do === 'ifb.add')) step(() => rates.removeIfb('pod', ifb))
  for (const op of ops) {
    if (op.do === 'shaper.add')
      for (const ifindex of numberOf(op.shaper))
        step(() => rates.removeShaper('pod', ifindex, op.shaper.cookie))
    // A clsact in the pod leaves no note on the host that it is ours.
    if (op.do === 'clsact.add') {
      const found = step(link)
      if (found !== undefined) step(() => kernel.run({ ...op, do: 'clsact.del', ifindex: found.ifindex }))
    }
  }
}

/**
 * Filters before the ifb: one that leads to an ifb that is gone would drop everything. What was set on VF or port goes back to
 * what it was only where it still is as we set it, and no newer attachment has the device: else it is somebody else's.
 */
function removeRates(removal: Removal): void {
  const { machine, kernel, attachment, pod, journal, step, touched } = removal
  const { cookie, ifb, limiter } = rateIdentityOf(attachment, machine.sha256)
  const rates = kernel.rates()
  const ops = opsOf(journal).filter((op) => !isInPod(op))
  const unknown = journal === undefined || isOpen(journal)
  if (unknown || ops.some((op) => op.do === 'ifb.add')) step(() => rates.removeIfb('host', ifb))
  // Filters of port mappings that had it are gone: DEL takes the features in reverse order.
  if (journal === undefined || journal.representor !== undefined) {
    const named = ops.flatMap((op) => (op.do === 'limiter.add' ? [op.limiter.index] : []))
    const near = Array.from({ length: limiterTries }, (_, at) => limiter + at)
    for (const { index } of step(() => rates.limitersAt([...new Set([...named, ...near])], cookie)) ?? [])
      step(() => rates.removeSharedPolicer(index))
  }
  for (const op of ops) {
    if (op.do === 'shaper.add') {
      for (const ifindex of numberOf(op.shaper)) {
        step(() => rates.removeShaper('host', ifindex, op.shaper.cookie))
        touched(ifindex)
      }
    }
    // With its filters and the pod gone only the record knows the other end of a veth.
    if (op.do === 'clsact.add') for (const ifindex of numberOf(op)) touched(ifindex)
  }
  const peer = unknown && pod !== undefined ? step(() => peerOfPod(kernel, attachment.ifname)) : undefined
  if (peer !== undefined) {
    for (const mark of journal === undefined ? [cookie] : [cookie, undefined])
      step(() => rates.removeShaper('host', peer.ifindex, mark))
    touched(peer.ifindex)
  }
  const device = journal?.device
  const isOurs = device === undefined || !removal.isTakenOver(device)
  for (const op of ops) if (isRestorable(op) && isOurs) step(() => restore(kernel, onUplinkNow(op, device)))
}

/** An ADD tries at most so many indexes, from the one that follows from the attachment; each before was another's policer. */
const limiterTries = 16

/** The interface of an operation that knows its number. That of an ifb it does not, and what is on that goes with it. */
function numberOf({ ifindex }: { readonly ifindex?: number }): number[] {
  return ifindex === undefined ? [] : [ifindex]
}

function isInPod(op: Op): boolean {
  if (op.do === 'detour.add') return op.detour.side === 'pod'
  if (op.do === 'shaper.add') return op.shaper.side === 'pod'
  return 'side' in op && op.side === 'pod'
}

/** Each interface is looked at in the priority that a filter of its kind has. */
function placesOf(journal: OffloadJournal): FilterPlaces {
  const { uplink, representor, limits = [] } = journal
  const interfaces = opsOf(journal).flatMap((op): OwnPlace[] => {
    if (op.do === 'detour.add' && op.detour.side === 'host') return placeOf(op.detour, detours)
    if (op.do === 'police.add') return placeOf(op.police, [ratePriority.police])
    return op.do === 'meter.add' ? placeOf(op.meter, meterPriorities) : []
  })
  // A way that was given up is in no list.
  const isAnyGone = limits.some(({ refusals }) => refusals !== undefined)
  if (isAnyGone && representor !== undefined) interfaces.push(...placeOf(representor, [ratePriority.police]))
  if (isAnyGone && uplink !== undefined) interfaces.push(...placeOf(uplink, meterPriorities))
  return { placed: [], interfaces, isOpen: isOpen(journal) }
}

const detours = [ratePriority.detour]

function placeOf(on: { readonly ifindex?: number }, priorities: readonly number[]): OwnPlace[] {
  return numberOf(on).map((ifindex) => ({ ifindex, priorities }))
}

/**
 * True where a limit of which the ADD has not come to its end does not name what it may have made: versions before wrote down only
 * what DEL must put back.
 */
function isOpen({ limits = [] }: OffloadJournal): boolean {
  return limits.some(
    ({ where, ops }) => where === undefined && ops.every((op) => isRestorable(op) || op.do === 'clsact.add'),
  )
}

/**
 * True also for an ADD that has not come to its end: nobody knows what it has made. The same goes for ways that it has given up on a representor: taking
 * one back can have failed, and the record has the way that serves alone.
 */
function hasFilters({ where, ops, refusals }: LimitRecord, hasRepresentor: boolean): boolean {
  return where === undefined || (hasRepresentor && refusals !== undefined) || ops.some(isHostFilter)
}

function isHostFilter(op: Op): boolean {
  if (op.do === 'detour.add') return op.detour.side === 'host'
  return op.do === 'police.add' || op.do === 'meter.add'
}

function opsOf(journal: OffloadJournal | undefined): readonly Op[] {
  return (journal?.limits ?? []).flatMap(({ ops }) => ops)
}

function peerOfPod(kernel: Kernel, ifname: string): LinkFacts | undefined {
  const link = kernel.link('pod', ifname)
  return link === undefined ? undefined : kernel.peer(link)
}

/** A PF may have got another name since the ADD. */
function onUplinkNow(op: Op, device: string | undefined): Op {
  const address = device === undefined ? undefined : parsePciAddress(device)
  if (op.do !== 'vf.set' || address === undefined) return op
  const pf = readPciFunction(address)?.vf?.pf
  const ports = pf === undefined ? [] : portsOf(pf)
  // Each port of a PF shows all of its VFs.
  const [name = op.pf] = ports
  return ports.includes(op.pf) ? op : { ...op, pf: name }
}

function restore(kernel: Kernel, op: Op): void {
  if (!isAsSet(kernel, op)) return
  const back = invert(op)
  if (back !== undefined) kernel.run(back)
}

/** True when a setting of VF or port is what the operation made it. Gone with its device: nothing to restore. */
function isAsSet(kernel: Kernel, op: Op): boolean {
  if (op.do === 'vf.set') {
    const now = kernel.link('host', op.pf, { vfs: true })?.vfs?.get(op.vf)?.rate
    return now !== undefined && now.max === op.set.rate?.max && now.min === op.set.rate?.min
  }
  if (op.do !== 'devlink.rate.set') return false
  const now = kernel.rates().ratesOfPort(op.handle)
  return now !== undefined && now.max === op.set.max && now.share === op.set.share
}

/** Settings that were there before, and had a value: the others are made by us, and found by their names. */
function isRestorable(op: Op): boolean {
  return op.do === 'vf.set' || op.do === 'devlink.rate.set'
}
