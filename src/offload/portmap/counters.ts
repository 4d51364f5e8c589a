/** The counters of port mappings for `vfctl show`: filters, and keys of the host's map. Reads only. */
import type { CountersContext } from '../feature.ts'
import { identityOf } from '../state/identity.ts'
import { isHairpin, mappingName, mappingsOf, servedLine, unproven } from '../state/report.ts'
import type { ShownMapping, ShownSections } from '../state/shown.ts'

/** Asks the kernel for each filter of the record by its handle, and for the attachment's keys in the host's map. */
export function portmapCounters(context: CountersContext): Pick<ShownSections, 'mappings' | 'rules'> {
  return { mappings: shownMappings(context), ...ruleCounters(context) }
}

/** Asks the kernel for each filter of the record by its handle. All are on the host: no pod is looked at. */
export function ruleCounters({
  kernel,
  journal: { rules },
}: Pick<CountersContext, 'kernel' | 'journal'>): Pick<ShownSections, 'rules'> {
  const counters = kernel.filterCounters(rules)
  return {
    rules: rules.map(({ mapping, line, where, refusal, rule }, at) => ({
      ...{ mapping, line, where },
      direction: rule.side === 'src' ? 'from' : 'to',
      ...(refusal === undefined ? {} : { refusal }),
      ...(isHairpin({ where, rule }) ? { delivery: unproven } : {}),
      counters: counters[at],
    })),
  }
}

/** The host's map has all addresses of a mapping, whoever else serves them. */
function shownMappings({
  machine,
  kernel,
  attachment,
  journal,
  opened: all,
}: CountersContext): ShownMapping[] {
  const { keys } = journal
  const { cookie } = identityOf(attachment, machine.sha256)
  const opened =
    keys.length === 0 ? [] : all === undefined ? kernel.openedPorts(cookie, keys) : (all().get(cookie) ?? [])
  return mappingsOf(journal).map(({ mapping, served, redirectAlone }) => ({
    ...{ mapping, served, ...(redirectAlone === undefined ? {} : { redirectAlone }) },
    host: keys
      .filter((key) => mappingName(key) === mapping)
      .map((key) => {
        const found = opened.find(
          ({ address, proto, port }) => address === key.address && proto === key.proto && port === key.port,
        )
        const connections = found?.opened
        return {
          ...{ line: servedLine(key), isThere: found !== undefined },
          ...(connections === undefined ? {} : { connections }),
        }
      }),
  }))
}
