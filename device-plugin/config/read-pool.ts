/** One entry of `resourceList`: its check, and the pool that it describes. */
import { shown } from '../../src/lib/json.ts'
import { parsePciAddress } from '../../src/lib/pci-address.ts'
import type { DeviceType } from '../inventory/snapshot.ts'
import type { KeyRow } from './keys/key-rows.ts'
import { type PoolValues, poolSchema } from './keys/keys.ts'
import { selectorKeys } from './keys/selector-keys.ts'
import type { HealthConfig, PoolConfig } from './plugin-config.ts'
import { environmentName } from './resource-name.ts'
import { selectorOf } from './selector.ts'
import { type Findings, follow, joined, member, type Node, plain } from './text/document.ts'
import { atKey, without } from './text/official.ts'

/** Hysteresis of a config without `badAfter` and `goodAfter`, in seconds. */
export const healthDefaults = { badAfter: 5, goodAfter: 10 } as const

/** Reads one entry, whose keys are in official spelling. Returns undefined after a mistake, which is among the findings. */
export function readPool(node: Node, defaultPrefix: string, findings: Findings): PoolConfig | undefined {
  const pool = fitting(node, findings)
  const parsed = poolSchema.safeParse(plain(pool))
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues)
      findings.add('error', ...mistake(pool, path, message))
    return undefined
  }
  const { data } = parsed
  checkSelectors(pool, data, findings)
  const prefix = data.resourcePrefix ?? defaultPrefix
  const name = data.resourceName
  const variable = environmentName(prefix, name)
  if (variable.includes('-'))
    findings.add(
      'note',
      member(pool, 'resourceName') ?? pool,
      `makes the environment variable ${variable}, which a shell can not read: it has "-"`,
    )
  const { additionalInfo, preferredAllocation = 'packed', allowHostUsed = false } = data
  const { reset = 'none', restoreAfter = 0 } = data
  return {
    ...{ resource: `${prefix}/${name}`, prefix, name },
    deviceType: data.deviceType ?? 'netDevice',
    excludeTopology: data.excludeTopology ?? false,
    selectors: selectorNodes(pool).map((one, index) =>
      selectorOf(data.selectors[index] ?? {}, one, findings),
    ),
    additionalInfo: infoOf(additionalInfo ?? {}, member(pool, 'additionalInfo') ?? pool, findings),
    ...{ preferredAllocation, allowHostUsed, reset, restoreAfter: restoreAfter * 1000 },
    health: healthOf(data.health ?? {}),
  }
}

const types: readonly string[] = ['netDevice', 'accelerator', 'auxNetDevice'] satisfies DeviceType[]

/** The entry without the keys of selectors that its type of devices does not have: elsewhere they are passed over, too. */
function fitting(pool: Node, findings: Findings): Node {
  const given = member(pool, 'deviceType')
  const type = given === undefined ? 'netDevice' : plain(given)
  if (pool.kind !== 'object' || typeof type !== 'string' || !types.includes(type)) return pool
  const unfit = (key: string) => {
    const row: KeyRow | undefined = (selectorKeys as Readonly<Record<string, KeyRow>>)[key]
    const fits = row?.types === undefined || row.types.some((one) => one === type)
    return fits ? undefined : `has no effect in a pool of deviceType "${type}"`
  }
  const tell = (severity: 'warning' | 'error') => (node: Node, text: string) =>
    findings.add(severity, atKey(node), text)
  const selector = (one: Node) =>
    mapMember(without(one, unfit, tell('warning')), 'exclude', (list) =>
      mapItems(list, (entry) => without(entry, unfit, tell('error'))),
    )
  return mapMember(pool, 'selectors', (list) => mapItems(list, selector))
}

function mapMember(node: Node, key: string, change: (node: Node) => Node): Node {
  if (node.kind !== 'object') return node
  return { ...node, members: node.members.map(([name, one]) => [name, name === key ? change(one) : one]) }
}

function mapItems(node: Node, change: (node: Node) => Node): Node {
  return node.kind === 'list' ? { ...node, items: node.items.map(change) } : node
}

/** A mistake with its place: the value's, or the object's in which a key is missing. */
function mistake(
  pool: Node,
  path: readonly PropertyKey[],
  message: string,
): readonly [node: Node, text: string, key: string] {
  const [node, steps] = follow(pool, path)
  const missing = path.slice(steps).map(String)
  if (missing.length > 0) return [node, `is missing; ${message}`, missing.reduce(joined, node.path)]
  const value = plain(node)
  const isDevice =
    typeof value === 'string' && parsePciAddress(value) !== undefined && path.at(-2) === 'devices'
  const hint = isDevice ? '; PCI addresses belong to "pciAddresses"' : ''
  return [node, `is ${shown(value)}; ${message}${hint}`, node.path]
}

/** Rules that bind several keys of a selector. */
function checkSelectors(pool: Node, data: PoolValues, findings: Findings): void {
  const nodes = selectorNodes(pool)
  if (nodes.length === 0)
    findings.add(
      'warning',
      member(pool, 'selectors') ?? pool,
      'is empty and selects no device; [{}] selects all of the type',
    )
  for (const [index, values] of data.selectors.entries()) {
    const node = nodes[index] ?? pool
    const { isRdma, vdpaType, auxTypes = [], exclude = [], linkTypes = [] } = values
    if (isRdma === true && vdpaType !== undefined)
      findings.add(
        'error',
        member(node, 'vdpaType') ?? node,
        `is "${vdpaType}" beside isRdma true; must be one of the two`,
      )
    if (data.deviceType === 'auxNetDevice' && auxTypes.length === 0)
      findings.add('error', node, 'is missing or empty; must be ["sf"]', joined(node.path, 'auxTypes'))
    if (linkTypes.length > 1)
      findings.add('warning', member(node, 'linkTypes') ?? node, 'has several entries, which is no condition')
    const list = member(node, 'exclude')
    for (const [at, one] of exclude.entries())
      if (!Object.entries(one).some(isCondition)) {
        const entry = (list?.kind === 'list' ? list.items[at] : undefined) ?? node
        findings.add('error', entry, 'has no condition and would exclude all devices; must have one')
      }
  }
}

/** A list without an entry is no condition, and `isRdma` false neither: both mean "not given". */
function isCondition([key, value]: readonly [string, unknown]): boolean {
  if (value === undefined || (key === 'isRdma' && value === false)) return false
  return !Array.isArray(value) || value.length > 0
}

function selectorNodes(pool: Node): readonly Node[] {
  const list = member(pool, 'selectors')
  return list?.kind === 'list' ? list.items : []
}

function infoOf(
  info: NonNullable<PoolValues['additionalInfo']>,
  node: Node,
  findings: Findings,
): PoolConfig['additionalInfo'] {
  const out = new Map<string, Readonly<Record<string, string>>>()
  for (const [key, values] of Object.entries(info)) {
    const own = key === '*' ? key : parsePciAddress(key)
    const place = atKey(member(node, key) ?? node)
    if (own === undefined)
      findings.add('warning', place, 'is neither "*" nor a PCI address, and has no effect')
    else {
      if (own !== key) findings.add('warning', place, `is taken as "${own}"`)
      out.set(own, { ...out.get(own), ...values })
    }
  }
  return Object.fromEntries(out)
}

function healthOf(values: NonNullable<PoolValues['health']>): HealthConfig {
  const { badAfter = healthDefaults.badAfter, goodAfter = healthDefaults.goodAfter } = values
  const { carrier = true, linkState = true, driver = true, representor = true } = values
  return { carrier, linkState, driver, representor, badAfter: badAfter * 1000, goodAfter: goodAfter * 1000 }
}
