import { failure } from '../../cni/failure.ts'
import type { Result } from '../../cni/result.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { OpenNetns } from '../../kernel/api/machine.ts'
import { log } from '../../lib/log/log.ts'
import { notice } from '../../lib/log/notice.ts'
import { step } from '../../lib/log/steps.ts'
import { ApplyError, Transaction } from '../../ops/apply.ts'
import { ownerMarks } from '../../ops/owner-netns.ts'
import { emptyJournal, type OffloadJournal } from '../../records/offload.ts'
import { type PluginRecord, recordSchemaVersion } from '../../records/record.ts'
import type { OffloadConfig } from '../config/config.ts'
import { type Feature, type Planned, PolicerInTheWay, type Shared } from '../feature.ts'
import type { Port } from '../port/port.ts'
import { keepingTable, settleTable } from '../portmap/host/whole-table.ts'
import { notingClsact } from '../state/clsact-owner.ts'
import { type RatesNow, ratesBefore } from '../state/device-history.ts'
import { reportOf } from '../state/report.ts'
import { otherEntries } from '../state/sibling-records.ts'
import { clearTheWay, isHeldByDead } from './dead-owners.ts'
import { type View, viewNow } from './look.ts'
import { withOwner } from './port-owners.ts'
import { earlierEntries, joined, merged } from './previous-entries.ts'
import { type RemovalContext, sweep } from './sweep.ts'

/** What a verb works with. */
export interface OffloadContext extends RemovalContext {
  readonly parts: readonly Feature[]
  readonly kernel: Kernel
  readonly pod: OpenNetns
}

/**
 * ADD with the lock held, after a look around without it: the plan of every part that has something to do, record, changes,
 * report. A failure of any takes back all; where something of dead attachments was the reason, that is removed and this begins
 * anew. Returns the result with what was made.
 */
export function addAttachment(setting: OffloadContext, seen: View, prevResult: Result): Result {
  const { machine, kernel, pod, store, parts } = setting
  const { attachment, config, request } = seen
  const { network } = attachment
  const wanted = parts.filter((part) => part.wanted(config))
  const earlier = earlierEntries(setting, attachment, wanted, seen.port.wire?.representor !== undefined)
  const view = viewNow(setting, seen)
  const { port } = view
  const others =
    port.wire?.representor === undefined
      ? []
      : [...(earlier === undefined ? [] : [earlier.journal]), ...otherEntries(setting, attachment)]
  const ratesOf = (now: RatesNow) => ratesBefore(setting, attachment, port.device, now)
  const context = { ...view, store, others, ratesBefore: ratesOf }
  const planned = step('plan', () => view.parts.map((part) => part.plan(context)))
  if (planned.length === 0) return prevResult
  const own = merged(
    journalOf(port, config),
    planned.map(({ journal }) => journal),
  )
  // Keys of an earlier entry's record that this version does not know stay in it.
  const record: PluginRecord<OffloadJournal> = {
    ...earlier,
    schema: recordSchemaVersion,
    plugin: 'vf-offload',
    phase: 'applying',
    owner: {
      ...earlier?.owner,
      ...attachment,
      netns: request.netns,
      ...ownerMarks(pod),
      bootId: machine.bootId(),
    },
    journal: joined(earlier?.journal, own),
  }
  const name = store.write(network, record)
  const transaction = new Transaction(keepingTable(setting, kernel, notingClsact(machine, kernel)))
  try {
    const journal = applyAllParts(transaction, planned, own, () => isHeldByDead(setting, port))
    settleTable(setting, kernel, journal.ops)
    const written = { ...record, phase: 'attached', journal: joined(earlier?.journal, journal) } as const
    store.write(network, written, 'volatile')
    const report = reportOf(written, config, request.args)
    store.writeReport(name, `${JSON.stringify(report, undefined, 2)}\n`)
    log.debug({ report }, 'vf-offload: what became of the wishes')
    for (const note of journal.notes) notice(`vf-offload: ${note}`)
    for (const { refusal, line } of journal.rules) {
      if (refusal !== undefined)
        notice(`vf-offload: in software, the NIC did not take it ("${refusal}"): ${line}`)
    }
    return planned.reduce((result, part) => part.amend?.(result) ?? result, prevResult)
  } catch (error) {
    transaction.rollback()
    // The last word is a sweep by cookie, as DEL does it: a step whose outcome is unknown is in no list of things done.
    const stuck: string[] = []
    try {
      sweep(setting, attachment, pod, { journal: own, phase: 'applying' })
      if (earlier === undefined) store.remove(name)
      else store.write(network, earlier, 'volatile')
    } catch (second) {
      const { message, details } = failure(second)
      stuck.push(`${message}: ${details ?? ''}`)
    }
    // Each turn removes at least one record, so there is a last one.
    if (stuck.length === 0 && clearTheWay(setting, attachment, port, error))
      return addAttachment(setting, seen, prevResult)
    const known = withOwner(error, setting)
    throw failure(known instanceof ApplyError ? new ApplyError(known.op, known.cause, []) : known, stuck)
  }
}

/** Each part's fields after it was carried out take the place of those before. */
function applyAllParts(
  transaction: Transaction,
  planned: readonly Planned[],
  journal: OffloadJournal,
  isHeldByDead: () => boolean,
): OffloadJournal {
  const apply = (noPolicer: string | undefined) => {
    const shared: Shared = { limiter: undefined, isUsed: false, noPolicer, isHeldByDead }
    const after = planned.map((part) => ({ ...part.journal, ...part.apply(transaction, shared) }))
    if (shared.limiter !== undefined && !shared.isUsed) throw new PolicerInTheWay('no filter came to have it')
    return after
  }
  const after = withoutPolicerIfRefused(transaction, apply)
  return merged({ ...journal, ops: [], rules: [], notes: [] }, after)
}

/** A second time without the policer in the NIC, when the NIC refuses it or no filter leads to the pod. */
function withoutPolicerIfRefused<T>(
  transaction: Transaction,
  apply: (noPolicer: string | undefined) => T,
): T {
  try {
    return apply(undefined)
  } catch (error) {
    if (!(error instanceof PolicerInTheWay)) throw error
    transaction.rollback()
    return apply(error.reason)
  }
}

function journalOf(
  { kind, link, peer, device, wire }: Port,
  { mappings, offload, nat }: OffloadConfig,
): OffloadJournal {
  const named = ({ name, ifindex }: { name: string; ifindex: number }) => ({ name, ifindex })
  return {
    ...emptyJournal,
    port: kind,
    ...(mappings.length === 0 ? {} : { asked: { offload, nat } }),
    ...(kind === 'veth' && link !== undefined ? { link: marksOf(link, peer) } : {}),
    ...(device === undefined ? {} : { device }),
    ...(wire === undefined ? {} : { uplink: named(wire.uplink) }),
    ...(wire?.representor === undefined ? {} : { representor: named(wire.representor) }),
  }
}

function marksOf({ ifindex, mac }: LinkFacts, peer: LinkFacts | undefined): OffloadJournal['link'] {
  return { ifindex, mac, ...(peer === undefined ? {} : { peer: peer.ifindex }) }
}
