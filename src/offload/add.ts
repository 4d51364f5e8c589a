import { CniError, code } from '../cni/error.ts'
import { failure } from '../cni/failure.ts'
import type { Request } from '../cni/request.ts'
import type { Result } from '../cni/result.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Machine, OpenNetns } from '../kernel/machine.ts'
import { log } from '../lib/log.ts'
import { notice } from '../lib/notice.ts'
import { addVerbFields, step } from '../lib/steps.ts'
import { ApplyError, Transaction } from '../ops/apply.ts'
import { type PluginRecord, recordSchemaVersion } from '../ops/record.ts'
import type { RecordStore } from '../ops/record-store.ts'
import { claimClsact } from './clsact.ts'
import type { OffloadConfig } from './config.ts'
import { identityOf } from './identity.ts'
import { LimiterInTheWay, type Part, type Planned, type Shared } from './part.ts'
import { type Port, readPort } from './port.ts'
import { emptyJournal, type OffloadJournal } from './record.ts'
import { sweep } from './remove.ts'
import { reportOf } from './report.ts'

/** What a verb works with. */
export interface OffloadSetting {
  readonly machine: Machine
  readonly kernel: Kernel
  readonly pod: OpenNetns
  readonly store: RecordStore<OffloadJournal>
  readonly parts: readonly Part[]
}

/**
 * ADD with the lock held: the port, the plan of every part that is wished for, record, changes, report. A failure of any
 * takes back all. Returns the result with what was made.
 */
export function addAttachment(
  setting: OffloadSetting,
  request: Request,
  config: OffloadConfig,
  prevResult: Result,
): Result {
  const { machine, kernel, pod, store, parts } = setting
  const { containerId: containerID, ifname, name: network } = request
  const attachment = { containerID, ifname, network }
  refuseSecond(setting, request)
  const port = step('port', () => readPort(kernel, request, config))
  addVerbFields({ port: port.kind, device: port.device, uplink: port.wire?.uplink.name })
  const planned = step('plan', () =>
    parts
      .filter((part) => part.wanted(config))
      .flatMap((part) => part.plan({ machine, kernel, request, config, attachment, port }) ?? []),
  )
  if (planned.length === 0) return prevResult
  const record: PluginRecord<OffloadJournal> = {
    schema: recordSchemaVersion,
    plugin: 'vf-offload',
    phase: 'applying',
    owner: { ...attachment, netns: request.netns, netnsId: pod.id, bootId: machine.bootId() },
    journal: merged(
      journalOf(port),
      planned.map(({ journal }) => journal),
    ),
  }
  const name = store.write(network, record)
  const transaction = new Transaction(kernel)
  try {
    for (const ifindex of new Set(planned.flatMap(({ clsact }) => clsact))) claimClsact(machine, ifindex)
    const journal = applyAllParts(transaction, planned, record.journal)
    const written = { ...record, phase: 'attached', journal } as const
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
      sweep({ machine, store, parts }, attachment, pod, { journal: record.journal })
      store.remove(name)
    } catch (second) {
      const { message, details } = failure(second)
      stuck.push(`${message}: ${details ?? ''}`)
    }
    throw failure(error instanceof ApplyError ? new ApplyError(error.op, error.cause, []) : error, stuck)
  }
}

/** Each part's fields after it was carried out take the place of those before. */
function applyAllParts(
  transaction: Transaction,
  planned: readonly Planned[],
  journal: OffloadJournal,
): OffloadJournal {
  const apply = (noLimiter: string | undefined) => {
    const shared: Shared = { limiter: undefined, noLimiter }
    return planned.map((part) => ({ ...part.journal, ...part.apply(transaction, shared) }))
  }
  const after = withoutLimiterIfRefused(transaction, apply)
  return merged({ ...journal, ops: [], rules: [], notes: [] }, after)
}

/** A second time without the policer in the NIC, when it is the policer that the NIC refuses. */
function withoutLimiterIfRefused<T>(
  transaction: Transaction,
  apply: (noLimiter: string | undefined) => T,
): T {
  try {
    return apply(undefined)
  } catch (error) {
    if (!(error instanceof LimiterInTheWay)) throw error
    transaction.rollback()
    return apply(error.refusal)
  }
}

/** Lists that parts share are joined; every other field belongs to one part. */
function merged(base: OffloadJournal, fields: readonly Partial<OffloadJournal>[]): OffloadJournal {
  return {
    ...Object.assign({}, base, ...fields),
    ops: [...base.ops, ...fields.flatMap(({ ops = [] }) => ops)],
    rules: [...base.rules, ...fields.flatMap(({ rules = [] }) => rules)],
    notes: [...base.notes, ...fields.flatMap(({ notes = [] }) => notes)],
  }
}

function journalOf({ kind, device, wire }: Port): OffloadJournal {
  const named = ({ name, ifindex }: { name: string; ifindex: number }) => ({ name, ifindex })
  return {
    ...emptyJournal,
    port: kind,
    ...(device === undefined ? {} : { device }),
    ...(wire === undefined ? {} : { uplink: named(wire.uplink) }),
    ...(wire?.representor === undefined ? {} : { representor: named(wire.representor) }),
  }
}

/**
 * A second ADD without a DEL between would go by the same cookie and names as the first: what takes it back when it
 * fails would take back both. The first is known by its record, and by its reserved ports where that was lost.
 */
function refuseSecond({ machine, kernel, store }: OffloadSetting, request: Request): void {
  const { containerId: containerID, ifname, name: network } = request
  const own = store
    .list()
    .find((name) => name.subject === network && name.containerID === containerID && name.ifname === ifname)
  const record = own === undefined ? undefined : store.read(own)
  if (record === undefined) {
    const { cookie } = identityOf({ containerID, ifname, network }, machine.sha256)
    if (kernel.reservedCookies(cookie).length === 0) return
  } else if (record.owner.bootId !== machine.bootId()) {
    return // of what was there before the last boot nothing is left
  }
  throw new CniError(
    code.tryAgainLater,
    `Cannot serve container "${containerID}", interface "${ifname}", network "${network}": it is served already and needs a DEL first`,
    { details: own?.path ?? 'its record is lost, its ports are reserved' },
  )
}
