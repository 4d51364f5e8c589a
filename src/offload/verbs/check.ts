/** CHECK: the record held against the node as it is now, and against what the runtime says that it wants. */
import { CniError, code } from '../../cni/error.ts'
import type { Request } from '../../cni/request.ts'
import type { Difference, DoneOp, Kernel } from '../../kernel/api/kernel.ts'
import type { OpenNetns } from '../../kernel/api/machine.ts'
import { grouped } from '../../lib/grouped.ts'
import { ipFamily } from '../../lib/ip.ts'
import { log } from '../../lib/log/log.ts'
import { notice } from '../../lib/log/notice.ts'
import { commandLine, flowFilterLine } from '../../ops/command-line.ts'
import { isOwnersNetns } from '../../ops/owner-netns.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import type { PluginRecord } from '../../records/record.ts'
import type { RecordStore } from '../../records/store.ts'
import type { OffloadConfig, PortMapping } from '../config/config.ts'
import { nodeAddresses, uplinkAddresses } from '../port/addresses.ts'
import { type Port, readPort } from '../port/port.ts'
import { servedDifferences } from '../portmap/host/services.ts'
import { isLoopback } from '../portmap/keys.ts'
import { withoutOthersPorts } from './previous-entries.ts'
import { vethDifferences } from './veth-check.ts'

/** So many differences stand in the error object; the log has all. */
const mostNamed = 10

/**
 * Compares everything that ADD did with what is there: each filter by its handle with its keys, actions, cookie and
 * place (NIC or host), each table, route and rule in the pod, the reservation; and the interfaces that the filters speak
 * of, since a filter looks well while the representor or MAC that it leads to is gone.
 * Returns the record's journal; undefined where an ADD of these wishes has nothing to write down.
 * @throws CniError 104 that names each difference, with the line expected and the line found
 */
export function checkAttachment(
  kernel: Kernel,
  pod: Omit<OpenNetns, 'fd' | 'close'>,
  store: RecordStore<OffloadJournal>,
  request: Request,
  config: OffloadConfig,
  podIPs: readonly string[],
): OffloadJournal | undefined {
  const { containerID, ifname, name: network } = request
  const own = store
    .list()
    .find((one) => one.subject === network && one.containerID === containerID && one.ifname === ifname)
  const record = own === undefined ? undefined : store.read(own)
  if (record === undefined) {
    // An ADD none of whose wishes fits an address of the pod has nothing to write down.
    if (!config.mappings.some((mapping) => isMeantFor(mapping, podIPs))) return undefined
    throw differs(['there is no record of this attachment'])
  }
  const journal = config.mappings.length === 0 ? withoutOthersPorts(record.journal) : record.journal
  const done = doneOps(journal)
  const differences = [
    ...recordDifferences(record, pod),
    ...wishDifferences(journal, config),
    ...portDifferences(kernel, journal, request, config),
    ...(config.allowServicePorts ? [] : servedDifferences(kernel, journal.keys, journal.nat === 'host')),
    ...kernel.verify(done).map((one) => words(done, one)),
  ]
  if (differences.length > 0) throw differs(differences)
  return journal
}

/** All that the record says was done, filters included. */
function doneOps({ ops, rules }: OffloadJournal): DoneOp[] {
  return [
    ...ops.map((op) => ({ op })),
    ...rules.map(({ rule, handle, where }) => ({
      op: { do: 'steer.add', rule, offload: 'off' } as const,
      handle,
      where,
    })),
  ]
}

function differs(what: readonly string[]): CniError {
  for (const line of what) log.debug({ check: line }, `differs: ${line}`)
  const more = what.length - mostNamed
  const named = what.slice(0, mostNamed).join('; ')
  const rest = more > 0 ? `; and ${more} more` : ''
  return new CniError(code.checkFailed, `Port mappings are not as ADD left them: ${named}${rest}`)
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

/** Every mapping asked for is one that ADD made, and the other way round. */
function* wishDifferences({ keys }: OffloadJournal, { mappings }: OffloadConfig): Iterable<string> {
  type Key = OffloadJournal['keys'][number]
  const isFor = (mapping: PortMapping, key: Key) =>
    mapping.proto === key.proto &&
    mapping.hostPort === key.port &&
    mapping.containerPort === key.toPort &&
    (mapping.hostIP === undefined ||
      mapping.hostIP === key.address ||
      (isWildcard(mapping.hostIP) && ipFamily(mapping.hostIP) === ipFamily(key.address)))
  const podIPs = [...new Set(keys.map(({ toAddress }) => toAddress))]
  const place = ({ proto }: Pick<Key, 'proto'>, port: number) => `${proto} ${port}`
  const keysAt = grouped(keys, (key) => place(key, key.port))
  const mappingsAt = grouped(mappings, (mapping) => place(mapping, mapping.hostPort))
  for (const mapping of mappings) {
    const { proto, hostIP = '', hostPort, containerPort } = mapping
    const found = keysAt.get(place(mapping, hostPort))
    if (!isMeantFor(mapping, podIPs) || found?.some((key) => isFor(mapping, key)) === true) continue
    yield `${proto} ${hostIP}${hostIP === '' ? '' : ' '}port ${hostPort} to ${containerPort} is asked for and was not mapped`
  }
  for (const key of keys) {
    if (mappingsAt.get(place(key, key.port))?.some((mapping) => isFor(mapping, key)) === true) continue
    yield `${key.proto} ${key.address} port ${key.port} to ${key.toPort} was mapped and is not asked for`
  }
}

/** A wish for a family that the pod has no address of is none. */
function isMeantFor({ hostIP }: PortMapping, podIPs: readonly string[]): boolean {
  return hostIP === undefined ? podIPs.length > 0 : podIPs.some((ip) => ipFamily(ip) === ipFamily(hostIP))
}

function isWildcard(ip: string): boolean {
  return ip === '0.0.0.0' || ip === '::'
}

/** The interfaces that the rules speak of: a rule says `in_hw` and looks whole while it leads nowhere. */
function* portDifferences(
  kernel: Kernel,
  journal: OffloadJournal,
  request: Request,
  config: OffloadConfig,
): Iterable<string> {
  let port: Port
  try {
    port = readPort(kernel, request, config)
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    yield error.message
    return
  }
  yield* kindDifferences(journal, port)
  if (port.kind === 'veth') yield* vethDifferences(kernel, journal, port, request.prevResult)
  const { rules, keys, limits = [] } = journal
  const { wire } = port
  // Of several rules with an old MAC one is enough to say it.
  const [to, from] = [new Set<string>(), new Set<string>()]
  for (const { rule } of rules) {
    if (rule.dstMac !== undefined) to.add(rule.dstMac)
    if (rule.srcMac !== undefined) from.add(rule.srcMac)
  }
  // A policer is passed by frames to another MAC.
  for (const op of limits.flatMap(({ ops }) => ops)) if (op.do === 'meter.add') to.add(op.meter.mac)
  for (const mac of to) {
    if (port.mac !== mac) yield `interface "${port.name}" has MAC ${port.mac}, rules send to ${mac}`
  }
  for (const mac of from) {
    if (wire !== undefined && wire.uplink.mac !== mac)
      yield `the uplink "${wire.uplink.name}" has MAC ${wire.uplink.mac}, rules send from ${mac}`
  }
  const addresses = wire === undefined ? nodeAddresses(kernel) : uplinkAddresses(kernel, wire.uplink)
  const here = new Set(addresses.map(({ address }) => address))
  const place = wire === undefined ? 'the node' : `the uplink "${wire.uplink.name}"`
  const named = new Set(config.mappings.map(({ hostIP }) => hostIP))
  for (const wanted of new Set(keys.map((key) => key.address))) {
    if (here.has(wanted) || isLoopback(wanted)) continue
    const words = `${place} does not have address ${wanted} any more`
    const isSpare = keys.some(({ address }) => ipFamily(address) === ipFamily(wanted) && here.has(address))
    // Addresses come and go, and who wished for whatever there are has the others: making the pod anew would not help.
    if (isSpare && !named.has(wanted)) notice(`vf-offload: ${words}`)
    else yield words
  }
}

function* kindDifferences({ port: then, uplink, representor }: OffloadJournal, port: Port): Iterable<string> {
  const { wire } = port
  if (then !== undefined && port.kind !== then) {
    const modes: Readonly<Record<string, string | undefined>> = { legacy: 'legacy', representor: 'switchdev' }
    const [now, before] = [modes[port.kind], modes[then]]
    yield now === undefined || before === undefined
      ? `the pod's port is of kind ${port.kind}, it was ${then}`
      : `the eSwitch of "${wire?.uplink.name}" is in mode ${now}, it was in mode ${before}`
  }
  if (wire !== undefined && uplink !== undefined && wire.uplink.ifindex !== uplink.ifindex) {
    yield `the uplink "${wire.uplink.name}" is interface ${wire.uplink.ifindex}, the rules are on ${uplink.ifindex}`
  }
  const now = wire?.representor
  if (now !== undefined && representor !== undefined && now.ifindex !== representor.ifindex) {
    yield `the representor "${now.name}" is interface ${now.ifindex}, rules lead to ${representor.ifindex}`
  }
}
