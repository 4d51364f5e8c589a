/** CHECK: the record held against the node as it is now, and against the wishes of the runtime. */
import { CniError, code } from '../../cni/error.ts'
import type { Request } from '../../cni/request.ts'
import type { Difference, DoneOp, Kernel } from '../../kernel/api/kernel.ts'
import type { OpenNetns } from '../../kernel/api/machine.ts'
import { log } from '../../lib/log/log.ts'
import { commandLine, flowFilterLine } from '../../ops/command-line.ts'
import { isOwnersNetns } from '../../ops/owner-netns.ts'
import { emptyJournal, type OffloadJournal } from '../../records/offload.ts'
import type { PluginRecord } from '../../records/record.ts'
import type { RecordStore } from '../../records/store.ts'
import type { OffloadConfig } from '../config/config.ts'
import type { CheckContext, Feature } from '../feature.ts'
import { type Port, readPort } from '../port/port.ts'
import { withoutOthersPorts } from '../state/journal.ts'
import { portDifferences } from './check-port.ts'

/** So many differences stand in the error object; the log has all. */
const mostNamed = 10

/**
 * Compares everything that ADD did with the node. The kernel verifies each recorded operation: each filter by its handle with its
 * keys, actions, cookie and place (NIC or host), each table, route and policy rule in the pod, the reservation, each limit. Each
 * of the features for which this entry answers adds its wishes, and everything else on which it depends.
 * @throws CniError 104 that names each difference, with the line expected and the line found
 */
export function checkAttachment(
  kernel: Kernel,
  pod: Omit<OpenNetns, 'fd' | 'close'>,
  store: RecordStore<OffloadJournal>,
  request: Request,
  config: OffloadConfig,
  features: readonly Feature[],
): void {
  const { containerID, ifname, name: network } = request
  const own = store.find(network, containerID, ifname)
  const record = own === undefined ? undefined : store.read(own)
  const journal =
    record && (config.mappings.length === 0 ? withoutOthersPorts(record.journal) : record.journal)
  const port = journal && portOrWhy(kernel, request, config)
  const around = [
    ...(record === undefined ? [] : recordDifferences(record, pod)),
    ...(typeof port === 'string' ? [port] : []),
    ...(journal === undefined || port === undefined || typeof port === 'string'
      ? []
      : portDifferences(journal, port)),
  ]
  const context = { kernel, request, config, journal, port: typeof port === 'string' ? undefined : port }
  for (const [at, feature] of answering(features, config, journal).toReversed().entries())
    requireNone(feature, [...(at === 0 ? around : []), ...differencesOf(feature, context)])
}

/**
 * The features of which the entry wishes for something, and port mappings that its own ADD made and for which nobody asks any more.
 * Limits for which it does not ask may be another entry's.
 */
function answering(
  features: readonly Feature[],
  config: OffloadConfig,
  { limits: _, ...own }: OffloadJournal = emptyJournal,
): Feature[] {
  return features.filter((feature) => feature.wanted(config) || feature.recorded(own))
}

function portOrWhy(kernel: Kernel, request: Request, config: OffloadConfig): Port | string {
  try {
    return readPort(kernel, request, config)
  } catch (error) {
    if (error instanceof CniError) return error.message
    throw error
  }
}

function* differencesOf(feature: Feature, context: CheckContext): Iterable<string> {
  const { kernel, journal } = context
  yield* feature.differences(context)
  const done = journal === undefined ? [] : feature.done(journal, kernel)
  for (const one of kernel.verify(done)) yield words(done, one)
}

/** @throws CniError 104 */
function requireNone({ otherwise }: Feature, found: readonly string[]): void {
  if (found.length === 0) return
  for (const line of found) log.debug({ check: line }, `differs: ${line}`)
  const more = found.length - mostNamed
  const named = found.slice(0, mostNamed).join('; ')
  throw new CniError(code.checkFailed, `${otherwise}: ${named}${more > 0 ? `; and ${more} more` : ''}`)
}

function words(done: readonly DoneOp[], { at, expected, found, details }: Difference): string {
  const wanted = expected ?? lineOf(done[at])
  return `expected "${wanted}", found "${found}"${details === undefined ? '' : ` (${details})`}`
}

function lineOf(done: DoneOp | undefined): string {
  if (done?.op.do !== 'steer.add') return done === undefined ? '' : commandLine(done.op)
  return flowFilterLine(done.op.rule, done.where === 'nic' ? 'skip_sw' : 'skip_hw')
}

function* recordDifferences(
  { owner, phase }: PluginRecord<OffloadJournal>,
  pod: Omit<OpenNetns, 'fd' | 'close'>,
): Iterable<string> {
  if (phase !== 'attached') yield 'its ADD never came to an end'
  if (!isOwnersNetns(owner, pod)) yield `"${pod.path}" is not the namespace of the ADD`
}
