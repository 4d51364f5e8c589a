/** The outcome of an attachment's wishes, for people and other programs: a file beside the record, and a line of the log. Pure. */
import type { Request } from '../../cni/request.ts'
import { grouped } from '../../lib/grouped.ts'
import { commandLine } from '../../ops/command-line.ts'
import type { LimitRecord, OffloadJournal } from '../../records/offload.ts'
import type { PluginRecord } from '../../records/record.ts'
import type { OffloadConfig } from '../config/config.ts'

/** Version of the report's form. Fields may be added to it; one that changes its meaning makes a new version. */
export const reportSchemaVersion = 1

/** A rule as an operator would type it, where it runs, and in the kernel's words why not in the NIC. */
export interface ReportedRule {
  readonly line: string
  readonly where: 'nic' | 'host' | 'pod'
  readonly refusal?: string
  /** The NIC sends frames back by the port that they came by; nobody has shown that a card delivers them. */
  readonly delivery?: typeof unproven
}

/** Said of the filters of {@link isHairpin}. */
export const unproven = 'hairpin, unproven'

/** One wish. `where` its steering or translation runs: all of its filters are in one place. */
export interface ReportedMapping {
  /** `tcp 8080 -> 80` */
  readonly mapping: string
  readonly where: 'nic' | 'host'
  /** The NIC redirects its frames and rewrites none: the pod takes requests in, and answers leave with the MAC of the VF. */
  readonly redirectAlone?: true
  /** Node addresses that it is served on, and where they lead. */
  readonly served: readonly string[]
  readonly rules: readonly ReportedRule[]
}

/** A rate limit as it was carried out. */
export type ReportedLimit = Omit<LimitRecord, 'ops'>

/** The account of one attachment. */
export interface Report {
  readonly schema: typeof reportSchemaVersion
  readonly plugin: string
  readonly containerID: string
  readonly ifname: string
  readonly network: string
  readonly netns: string
  /** `NAMESPACE/NAME`, where the runtime says it (CNI_ARGS of Kubernetes). */
  readonly pod?: string
  readonly device: string | undefined
  readonly uplink: string | undefined
  readonly representor: string | undefined
  readonly asked: Pick<OffloadConfig, 'offload' | 'nat'>
  /** The place where addresses are translated. */
  readonly nat: OffloadJournal['nat']
  readonly mappings: readonly ReportedMapping[]
  /** Each rate limit, in bits/s, with the place where it is enforced and the means (tbf, ifb, max_tx_rate, tx_max, police). */
  readonly limits: readonly ReportedLimit[]
  /** Everything else that was done, in order. */
  readonly others: readonly ReportedRule[]
  /** Every refusal once, in the words of driver or kernel. */
  readonly refusals: readonly string[]
  readonly notes: readonly string[]
}

/** The sections of a report that features fill in. */
export type ReportSections = Pick<Report, 'nat' | 'mappings' | 'limits' | 'others' | 'refusals'>

/** The report of an attachment whose ADD has come to its end, with the sections of its features. */
export function reportOf(
  { plugin, owner, journal }: PluginRecord<OffloadJournal>,
  config: Pick<OffloadConfig, 'offload' | 'nat'>,
  args: Request['args'],
  sections: readonly Partial<ReportSections>[],
): Report {
  const { containerID, ifname, network, netns } = owner
  const [space, name] = [args.get('K8S_POD_NAMESPACE'), args.get('K8S_POD_NAME')]
  const none: ReportSections = { nat: undefined, mappings: [], limits: [], others: [], refusals: [] }
  const { nat, mappings, limits, others, refusals }: ReportSections = Object.assign(none, ...sections)
  return {
    schema: reportSchemaVersion,
    ...{ plugin, containerID, ifname, network, netns },
    ...(name === undefined ? {} : { pod: `${space ?? ''}/${name}` }),
    device: journal.device,
    uplink: journal.uplink?.name,
    representor: journal.representor?.name,
    asked: journal.asked ?? { offload: config.offload, nat: config.nat },
    ...{ nat, mappings, limits, others, refusals },
    notes: journal.notes,
  }
}

/** The sections of port mappings. */
export function portmapSections(journal: OffloadJournal): Partial<ReportSections> {
  const refusals = journal.rules.flatMap(({ refusal }) => refusal ?? [])
  return {
    nat: journal.nat,
    mappings: mappingsOf(journal),
    others: [
      ...journal.ops.map((op) => ({
        line:
          op.do === 'nft.load'
            ? `${op.side === 'pod' ? 'pod:' : ''}nft -f - <<END\n${op.text}END`
            : commandLine(op),
        where: 'side' in op && op.side === 'pod' ? ('pod' as const) : ('host' as const),
      })),
      ...sharedRules(journal).map(reportedRule),
    ],
    refusals: [...new Set(refusals)],
  }
}

/** Limits without the operations behind them: their lines say the same. */
export function limitsOf({ limits = [] }: OffloadJournal): ReportedLimit[] {
  return limits.map(({ ops: _ops, ...rest }) => rest)
}

/** The outcome of each wish, by the record. */
export function mappingsOf({ keys, rules }: OffloadJournal): ReportedMapping[] {
  // A pod may have a thousand mappings, on tens of addresses.
  const rulesOf = grouped(rules, ({ mapping }) => mapping)
  return [...grouped(keys, mappingName)].map(([mapping, served]) => {
    const own = rulesOf.get(mapping) ?? []
    const isNic = own.length > 0 && own.every(({ where }) => where === 'nic')
    const rewrites = own.some(({ rule: { srcMac, to } }) => srcMac !== undefined || to !== undefined)
    return {
      mapping,
      where: isNic ? 'nic' : 'host',
      ...(isNic && !rewrites ? { redirectAlone: true } : {}),
      served: served.map(servedLine),
      rules: own.map(reportedRule),
    }
  })
}

/** Rules that no single mapping has: for fragments, and for what must not be translated. */
function sharedRules({ keys, rules }: OffloadJournal): OffloadJournal['rules'] {
  const names = new Set(keys.map(mappingName))
  return rules.filter(({ mapping }) => !names.has(mapping))
}

function reportedRule(one: OffloadJournal['rules'][number]): ReportedRule {
  const { line, where, refusal } = one
  const delivery = isHairpin(one) ? ({ delivery: unproven } as const) : {}
  return { line, where, ...(refusal === undefined ? {} : { refusal }), ...delivery }
}

/** True for a filter in the NIC that sends a frame back by the port that it came by. */
export function isHairpin({ where, rule }: Pick<OffloadJournal['rules'][number], 'where' | 'rule'>): boolean {
  return where === 'nic' && rule.out === undefined && rule.verdict === undefined
}

/** The mapping that a key is of, as people write it: `tcp 8080 -> 80`. */
export function mappingName({ proto, port, toPort }: OffloadJournal['keys'][number]): string {
  return `${proto} ${port} -> ${toPort}`
}

/** The node's address and port, and where they lead. */
export function servedLine({ address, port, toAddress, toPort }: OffloadJournal['keys'][number]): string {
  return `${endpoint(address, port)} -> ${endpoint(toAddress, toPort)}`
}

function endpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** The pod that a report, or the rest of one, is about; nothing for text that does not say so. */
export function reportedBy(text: string): { readonly netns?: string; readonly device?: string } {
  try {
    const { netns, device }: Readonly<Record<string, unknown>> = JSON.parse(text)
    return {
      ...(typeof netns === 'string' ? { netns } : {}),
      ...(typeof device === 'string' ? { device } : {}),
    }
  } catch {
    return {}
  }
}
