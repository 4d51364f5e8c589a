/** Removal of rate limits, by what is there. */
import type { LinkFacts } from '../kernel/facts.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { parsePciAddress } from '../lib/pci-address.ts'
import { readPciFunction, uplinkOf } from '../nic/pci.ts'
import { invert, type Op } from '../ops/op.ts'
import { removeFilters } from './filters.ts'
import { rateIdentityOf } from './identity.ts'
import type { Removal, RemovalPart } from './part.ts'
import type { LimitRecord, OffloadJournal } from './record.ts'

export const ratesRemoval: RemovalPart = {
  recorded: ({ limits }) => limits !== undefined,
  filters: ({ limits = [], representor }) =>
    limits.some((limit) => hasFilters(limit, representor !== undefined)),
  cookie: (attachment, sha256) => rateIdentityOf(attachment, sha256).cookie,
  remove: removeRates,
}

/**
 * Filters before the ifb: one that leads to an ifb that is gone would drop everything. What was set on VF or port goes back to
 * what it was only where it still is as we set it, and no newer attachment has the device: else it is somebody else's.
 */
function removeRates(removal: Removal): void {
  const { machine, kernel, attachment, pod, journal, expected, step, touched } = removal
  const { cookie, ifb } = rateIdentityOf(attachment, machine.sha256)
  const rates = kernel.rates()
  const sides = pod === undefined ? (['host'] as const) : (['host', 'pod'] as const)
  for (const side of sides) {
    if (side === 'pod') step(() => removeFilters(kernel, [cookie], side))
    step(() => rates.removeIfb(side, ifb))
  }
  // Filters of port mappings that had it are gone: DEL takes the parts in reverse order.
  if (journal === undefined || journal.representor !== undefined) {
    for (const { index } of step(() => rates.limiters(cookie)) ?? []) step(() => rates.removeLimiter(index))
  }
  const link = pod === undefined ? undefined : step(() => kernel.link('pod', attachment.ifname))
  if (link !== undefined) {
    step(() => rates.removeShaper('pod', link.ifindex))
    const peer = link.kind === 'veth' ? step(() => peerOf(kernel, link)) : undefined
    if (peer !== undefined) {
      step(() => rates.removeShaper('host', peer.ifindex))
      touched(peer.ifindex)
    }
  }
  // With its filters and the pod gone only the record knows the other end of a veth.
  for (const op of opsOf(journal)) {
    if (op.do === 'clsact.add' && op.side === 'host' && op.ifindex !== undefined) touched(op.ifindex)
  }
  if (!expected) return
  const device = journal?.device
  const isOurs = device === undefined || !removal.isTakenOver(device)
  for (const op of opsOf(journal)) {
    if (isRestorable(op)) {
      if (isOurs) step(() => restore(kernel, onUplinkNow(op, device)))
    } else if (isPodClsact(op) && link !== undefined)
      step(() => kernel.run({ ...op, do: 'clsact.del', ifindex: link.ifindex }))
  }
}

/**
 * Where an ADD has not come to its end nobody knows. The same goes for ways that it has given up on a representor: taking
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

/** A PF may have got another name since the ADD. */
function onUplinkNow(op: Op, device: string | undefined): Op {
  const address = device === undefined ? undefined : parsePciAddress(device)
  if (op.do !== 'vf.set' || address === undefined) return op
  const pf = readPciFunction(address)?.vf?.pf
  const name = pf === undefined ? undefined : uplinkOf(pf)
  return name === undefined ? op : { ...op, pf: name }
}

function restore(kernel: Kernel, op: Op): void {
  if (!isAsSet(kernel, op)) return
  const back = invert(op)
  if (back !== undefined) kernel.run(back)
}

/** True when a setting of VF or port is what the operation made it. Gone with its device: nothing to restore. */
export function isAsSet(kernel: Kernel, op: Op): boolean {
  if (op.do === 'vf.set') {
    const now = kernel.link('host', op.pf, { vfs: true })?.vfs?.get(op.vf)?.rate
    return now !== undefined && now.max === op.set.rate?.max && now.min === op.set.rate?.min
  }
  if (op.do !== 'devlink.rate.set') return false
  const now = kernel.rates().ratesOfPort(op.handle)
  return now !== undefined && now.max === op.set.max && now.share === op.set.share
}

/**
 * The other end of a veth pair, if it is on the host. Numbers count anew in each namespace: both ends must agree, and neither
 * have the other in its own namespace.
 */
export function peerOf(kernel: Kernel, link: LinkFacts): LinkFacts | undefined {
  if (link.lowerNetns === undefined) return undefined
  return kernel.links('host').find(({ ifindex, kind, lower, lowerNetns }) => {
    return kind === 'veth' && ifindex === link.lower && lower === link.ifindex && lowerNetns !== undefined
  })
}

/** Settings that were there before, and had a value: the others are made by us, and found by their names. */
export function isRestorable(op: Op): boolean {
  return op.do === 'vf.set' || op.do === 'devlink.rate.set'
}

/** A clsact in the pod leaves no note on the host that it is ours. */
function isPodClsact(op: Op): op is Extract<Op, { do: 'clsact.add' | 'clsact.del' }> {
  return op.do === 'clsact.add' && op.side === 'pod'
}
