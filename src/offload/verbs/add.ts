/** ADD with the lock held: the joint plan of all features, the record, the changes, the report. */
import { failure } from '../../cni/failure.ts'
import type { Request } from '../../cni/request.ts'
import type { Result } from '../../cni/result.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import { log } from '../../lib/log/log.ts'
import { notice } from '../../lib/log/notice.ts'
import { ApplyError, Transaction } from '../../ops/apply.ts'
import { ownerMarks } from '../../ops/owner-netns.ts'
import { emptyJournal, type OffloadJournal } from '../../records/offload.ts'
import { type PluginRecord, recordSchemaVersion } from '../../records/record.ts'
import type { RecordName } from '../../records/store.ts'
import type { OffloadConfig } from '../config/config.ts'
import type { AddContext } from '../feature.ts'
import { traitsOf } from '../port/kinds.ts'
import type { Port } from '../port/port.ts'
import { notingClsact } from '../state/clsact-owner.ts'
import { ratesBefore } from '../state/device-history.ts'
import { joined, merged } from '../state/journal.ts'
import { reportOf } from '../state/report.ts'
import { otherEntries } from '../state/sibling-records.ts'
import type { OffloadContext } from './context.ts'
import { clearTheWay, isHeldByDead } from './dead-owners.ts'
import { install, planTogether } from './joint-plan.ts'
import { type View, viewNow } from './look.ts'
import { withOwner } from './port-owners.ts'
import { earlierEntries } from './previous-entries.ts'
import { sweep } from './sweep.ts'

/**
 * Plans and installs all features of an attachment, after a look around without the lock. A failure of any feature takes back all.
 * If a thing of dead attachments was the reason, that thing is removed and this begins anew. Returns the result of the ADD.
 * @throws CniError, and PortChanged for a port that is another one since the look
 */
export function addAttachment(context: OffloadContext, seen: View, prevResult: Result): Result {
  const { machine, kernel, pod, store } = context
  const { attachment, config, request } = seen
  const { network } = attachment
  const wanted = context.features.filter((feature) => feature.wanted(config))
  const earlier = earlierEntries(context, attachment, wanted, seen.port.wire?.representor !== undefined)
  const view = viewNow(context, seen)
  const { port } = view
  const plan = planTogether(view.looked, addContext(context, view, earlier?.journal))
  if (plan.features.length === 0) return prevResult
  const own = merged(
    journalOf(port, config),
    plan.features.map(({ journal }) => journal),
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
  // All that this makes is gone after a boot, so no record needs to outlive one: none waits for a disk.
  const name = store.write(network, record, 'volatile')
  const transaction = transactionOf(context)
  try {
    const journal = install(transaction, plan, own)
    for (const { shared } of context.features) shared?.settle(context, kernel, journal.ops)
    const written = { ...record, phase: 'attached', journal: joined(earlier?.journal, journal) } as const
    store.write(network, written, 'volatile')
    tellOutcome(context, name, written, journal, view)
    return plan.features.reduce((result, feature) => feature.amend?.(result) ?? result, prevResult)
  } catch (error) {
    transaction.rollback()
    const stuck = takeBack(context, name, earlier, own, seen)
    // Each turn removes at least one record, so there is a last one.
    if (stuck.length === 0 && clearTheWay(context, attachment, port, error))
      return addAttachment(context, seen, prevResult)
    const known = withOwner(error, context)
    throw failure(known instanceof ApplyError ? new ApplyError(known.op, known.cause, []) : known, stuck)
  }
}

/** The parameters of a plan: the view, and questions to the records. */
function addContext(context: OffloadContext, view: View, earlier: OffloadJournal | undefined): AddContext {
  const { attachment, port } = view
  const others =
    port.wire?.representor === undefined
      ? []
      : [...(earlier === undefined ? [] : [earlier]), ...otherEntries(context, attachment)]
  return {
    ...view,
    store: context.store,
    others,
    ratesBefore: (now) => ratesBefore(context, attachment, port.device, now),
    isHeldByDead: () => isHeldByDead(context, port),
  }
}

/** A transaction whose operations note each clsact that they make, and keep whole the state that attachments share. */
function transactionOf({ machine, kernel, store, features }: OffloadContext): Transaction {
  const runner = features.reduce(
    (inner, { shared }) => shared?.keeping({ machine, store }, kernel, inner) ?? inner,
    notingClsact(machine, kernel),
  )
  return new Transaction(runner)
}

/** Writes the report beside the record, and tells the notes. */
function tellOutcome(
  { store, features }: OffloadContext,
  name: RecordName,
  written: PluginRecord<OffloadJournal>,
  { notes, rules }: OffloadJournal,
  { config, request }: { readonly config: OffloadConfig; readonly request: Request },
): void {
  const sections = features.map((feature) => feature.report(written.journal))
  const report = reportOf(written, config, request.args, sections)
  store.writeReport(name, `${JSON.stringify(report, undefined, 2)}\n`)
  log.debug({ report }, 'vf-offload: what became of the wishes')
  for (const note of notes) notice(`vf-offload: ${note}`)
  for (const { refusal, line } of rules) {
    if (refusal !== undefined)
      notice(`vf-offload: in software, the NIC did not take it ("${refusal}"): ${line}`)
  }
}

/**
 * After the rollback of a failed ADD: a sweep by cookie, as DEL does it. A step whose outcome is unknown is in no list of things done.
 * Then the record of the entries before, or none. Returns a line for each thing that could not be removed.
 */
function takeBack(
  context: OffloadContext,
  name: RecordName,
  earlier: PluginRecord<OffloadJournal> | undefined,
  journal: OffloadJournal,
  { attachment }: View,
): string[] {
  try {
    sweep(context, attachment, context.pod, { journal, phase: 'applying' })
    if (earlier === undefined) context.store.remove(name)
    else context.store.write(attachment.network, earlier, 'volatile')
    return []
  } catch (second) {
    const { message, details } = failure(second)
    return [`${message}: ${details ?? ''}`]
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
    ...(traitsOf(kind).isPair && link !== undefined ? { link: marksOf(link, peer) } : {}),
    ...(device === undefined ? {} : { device }),
    ...(wire === undefined ? {} : { uplink: named(wire.uplink) }),
    ...(wire?.representor === undefined ? {} : { representor: named(wire.representor) }),
  }
}

function marksOf({ ifindex, mac }: LinkFacts, peer: LinkFacts | undefined): OffloadJournal['link'] {
  return { ifindex, mac, ...(peer === undefined ? {} : { peer: peer.ifindex }) }
}
