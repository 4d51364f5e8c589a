/** The explanation as text for people, and as JSON for programs. */
import type { HealthView } from '../health/health.ts'
import type { Assignment } from '../pools/pool.ts'
import { type ExplainedDevice, type Explanation, explain } from './explanation.ts'
import { table } from './table.ts'

/** Ids that one line lists. */
const listed = 4

/**
 * The explanation as JSON with two blanks for each level; see `Explanation`. Absent facts are absent keys. `only`: ids of the devices
 * to be listed; none: all.
 */
export function explainJson(
  assignment: Assignment,
  health?: HealthView,
  only: readonly string[] = [],
): string {
  return JSON.stringify(narrowed(explain(assignment, health), only), null, 2)
}

/** The explanation as text, without an end of line at the end. Sections without content are left out. `only` as for JSON. */
export function explainTable(
  assignment: Assignment,
  health?: HealthView,
  only: readonly string[] = [],
): string {
  const all = narrowed(explain(assignment, health), only)
  const sections: readonly (readonly [title: string, lines: readonly string[]])[] = [
    ['Devices', deviceLines(all.devices)],
    ['Pools', poolLines(all)],
    [
      'Used by the host ("allowHostUsed": true in the pool offers them all the same)',
      all.guarded.map(({ id, resource, reason }) => `${id}  ${resource}: ${reason}`),
    ],
    [
      'Overlaps (the first pool has the devices)',
      all.overlaps.map(
        ({ resource, later, devices }) => `${resource} before ${later.join(', ')}: ${some(devices)}`,
      ),
    ],
    ['Likely mistakes', all.hints],
    ['Not answered by the kernel', all.unanswered],
  ]
  return sections
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => `${title}:\n${lines.map((line) => `  ${line}`).join('\n')}`)
    .join('\n\n')
}

/** Devices outside of `only` are left out; what concerns the whole node stays. */
function narrowed(all: Explanation, only: readonly string[]): Explanation {
  if (only.length === 0) return all
  const isWanted = ({ id }: { readonly id: string }) => only.includes(id)
  return { ...all, devices: all.devices.filter(isWanted), guarded: all.guarded.filter(isWanted) }
}

function some(ids: readonly string[]): string {
  const rest = ids.length - listed
  return ids.slice(0, listed).join(', ') + (rest > 0 ? ` and ${rest} more` : '')
}

function deviceLines(devices: readonly ExplainedDevice[]): readonly string[] {
  if (devices.length === 0) return ['the node has none']
  const head = ['DEVICE', 'ID', 'DRIVER', 'PF#INDEX', 'NUMA', 'POOL']
  const [title = '', ...rows] = table(head, devices.map(row))
  return [title, ...devices.flatMap((device, at) => [rows[at] ?? '', ...remarks(device)])]
}

function row({ id, facts, pf, pool }: ExplainedDevice): readonly string[] {
  const vfs = facts?.vfs === undefined ? '-' : `PF, ${facts.vfs} VFs`
  return [
    id,
    facts === undefined ? '-' : `${facts.vendor}:${facts.product}`,
    facts?.driver ?? '-',
    pf === undefined ? vfs : `${pf.name ?? pf.address}#${pf.index}`,
    facts?.numaNode === undefined ? '-' : String(facts.numaNode),
    pool ?? 'none',
  ]
}

/** Lines below the row of a device. A pool for another type of devices is no reason worth a line. */
function remarks({ facts, pool, rejections, unhealthy, withheld }: ExplainedDevice): readonly string[] {
  const ofType = rejections.filter(({ reason }) => !reason.startsWith('deviceType: '))
  const told = ofType.map(({ resource, reason }) => `${resource}: ${reason}`)
  const against = told.length > 0 ? told : [`no pool has deviceType ${facts?.type}`]
  return [
    ...(withheld === undefined ? [] : [withheld]),
    ...unhealthy.map(({ reason, text }) => `unhealthy (${reason}): ${text}`),
    ...(pool === undefined && withheld === undefined ? against : []),
  ].map((line) => `    ${line}`)
}

function poolLines({ pools }: Explanation): readonly string[] {
  if (pools.length === 0) return ['the config has none']
  const head = ['RESOURCE', 'DEVICETYPE', 'DEVICES', 'HEALTHY']
  const [title = '', ...rows] = table(
    head,
    pools.map((one) => [one.resource, one.deviceType, String(one.devices), String(one.healthy)]),
  )
  return [
    title,
    ...pools.flatMap(({ misses }, at) => [rows[at] ?? '', ...misses.map((line) => `    ${line}`)]),
  ]
}
