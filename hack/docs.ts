/**
 * Writes the tables of docs/configuration.md that stand in the sources, and docs/schema: the keys of vf-attach
 * (src/attach/config/keys.ts), of vf-offload (src/offload/config/keys.ts) and of the operator's policy (src/cni/policy-file.ts), and
 * the error codes (src/cni/error.ts). Also the tables of docs/device-plugin-config.md: keys (device-plugin/config/keys) and flags.
 * Two tables of docs/nics.md (hack/nic-tables.ts). And the tables of docs/metrics.md with the dashboard docs/grafana/vf-flower.json (hack/dashboard.ts). A test fails when one is behind.
 *
 *     sh hack/bun.sh hack/docs.ts
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { flags } from '../device-plugin/config/command-line.ts'
import type { KeyRows } from '../device-plugin/config/keys/key-rows.ts'
import { healthKeys, poolKeys } from '../device-plugin/config/keys/keys.ts'
import { pluginConfigSchema } from '../device-plugin/config/keys/schema.ts'
import { selectorKeys } from '../device-plugin/config/keys/selector-keys.ts'
import { attachKeys } from '../src/attach/config/keys.ts'
import type { ConfigKey, KeyTable } from '../src/cni/config-keys.ts'
import { code, type ErrorName, meaning } from '../src/cni/error.ts'
import { policyKeys } from '../src/cni/policy-file.ts'
import { protocolKeys } from '../src/cni/protocol-keys.ts'
import { schemas } from '../src/ctl/schema.ts'
import type { JsonObject } from '../src/lib/json.ts'
import { offloadKeys } from '../src/offload/config/keys.ts'
import { dashboardText, metricTables } from './dashboard.ts'
import { cardMatrix, driverFactTable } from './nic-tables.ts'

export { cardMatrix } from './nic-tables.ts'

/** The page with the tables of the sources. */
export function withTables(page: string): string {
  const tables = {
    keys: keyTable(attachKeys),
    'offload keys': keyTable(offloadKeys),
    policy: policyTable(),
    codes: codeTable(),
  }
  return filled(page, tables)
}

/** The page of the device plugin's config with the tables of the sources. */
export function withDeviceTables(page: string): string {
  return filled(page, {
    'pool keys': rowTable(poolKeys),
    'selector keys': rowTable(selectorKeys),
    'health keys': rowTable(healthKeys),
    flags: flagTable(),
  })
}

/** The page of NICs with the tables of the sources, and of docs/testing.md, whose text is `testing`. */
export function withNicTables(page: string, testing: string): string {
  return filled(page, { 'cards in the tests': cardMatrix(testing), 'driver facts': driverFactTable() })
}

/** The page of metrics with the tables of the sources. */
export function withMetricTables(page: string): string {
  return filled(page, metricTables())
}

function filled(page: string, tables: Readonly<Record<string, readonly string[]>>): string {
  return Object.entries(tables).reduce((text, [name, lines]) => {
    const begin = `<!-- ${name}: from the sources, by hack/docs.ts -->\n`
    const end = `<!-- end of ${name} -->`
    const [from, to] = [text.indexOf(begin), text.indexOf(end)]
    if (from < 0 || to < from) throw new RangeError(`Cannot find the place of the table "${name}"`)
    return text.slice(0, from + begin.length) + lines.map((line) => `${line}\n`).join('') + text.slice(to)
  }, page)
}

/** A row for each key, those of objects behind them. Keys that every plugin has, and those of others, have no row. */
function keyTable(table: KeyTable): string[] {
  const own = Object.entries(table).filter(
    ([key, { of, isIdle }]) => !Object.hasOwn(protocolKeys, key) && !(isIdle === true && of.includes('CNI')),
  )
  const rows = own.flatMap(([key, one]) => rowsOf(key, one))
  return ['| key | value | default | key of | effect |', '|---|---|---|---|---|', ...rows]
}

function rowsOf(path: string, one: ConfigKey): string[] {
  const { allowed, effect, of, members = {}, isList } = one
  const inner = Object.entries(members).flatMap(([key, member]) =>
    rowsOf(`${path}${isList === true ? '[]' : ''}.${key}`, member),
  )
  return [`| \`${path}\` | ${allowed} | ${absentWords(one)} | ${of.join(', ')} | ${effect} |`, ...inner]
}

function absentWords({ default: value, without, isRequired }: ConfigKey): string {
  if (isRequired === true) return 'must be given'
  if (without !== undefined) return without
  if (value === undefined) return ''
  return typeof value === 'string' ? `\`${value}\`` : JSON.stringify(value)
}

function rowTable(table: KeyRows): string[] {
  const rows = Object.entries(table).map(([key, row]) => {
    const difference = row.isOwn === true ? 'not there' : (row.differs ?? '')
    const types = row.types === undefined ? '' : ` Pools of ${row.types.join(', ')}.`
    return `| \`${key}\` | ${row.allowed} | ${row.without} | ${row.effect}.${types} | ${difference} |`
  })
  return [
    '| key | value | default | effect | in the SR-IOV network device plugin |',
    '|---|---|---|---|---|',
    ...rows,
  ]
}

function flagTable(): string[] {
  const rows = Object.entries(flags).map(([name, { value, without, effect }]) => {
    const form = `${name.length === 1 ? '-' : '--'}${name}${value === undefined ? '' : ` ${value}`}`
    return `| \`${form}\` | ${without === '' ? '' : `\`${without}\``} | ${effect} |`
  })
  return ['| flag | default | effect |', '|---|---|---|', ...rows]
}

function policyTable(): string[] {
  const rows = Object.entries(policyKeys as KeyTable).map(
    ([name, { allowed, without, effect }]) => `| \`${name}\` | ${allowed} | ${without} | ${effect} |`,
  )
  return ['| key | value | without the key | effect |', '|---|---|---|---|', ...rows]
}

function codeTable(): string[] {
  const rows = Object.entries(code).map(([name, number]) => `| ${number} | ${meaning[name as ErrorName]} |`)
  return ['| code | meaning |', '|---|---|', ...rows]
}

/** Path of the page. */
export const configurationPage = join(import.meta.dirname, '../docs/configuration.md')
/** Path of the page of the device plugin's config. */
export const deviceConfigPage = join(import.meta.dirname, '../docs/device-plugin-config.md')
/** The schemas by the names of their files: those of `vfctl schema`, and that of `vf-device-plugin schema`. */
export const everySchema: Readonly<Record<string, () => JsonObject>> = {
  ...schemas,
  'vf-device-plugin': pluginConfigSchema,
}
/** The text of a schema's file. */
export const schemaFileText = (schema: () => JsonObject): string => `${JSON.stringify(schema(), null, 2)}\n`
/** Path of the page of NICs, and of the one that has the table of cards. */
export const nicsPage = join(import.meta.dirname, '../docs/nics.md')
export const testingPage = join(import.meta.dirname, '../docs/testing.md')
/** Path of the page of metrics. */
export const metricsPage = join(import.meta.dirname, '../docs/metrics.md')
/** The dashboard: its path, and the text that belongs there. */
export const dashboard = {
  path: join(import.meta.dirname, '../docs/grafana/vf-flower.json'),
  text: dashboardText,
}
/** Folder of the schemas, a file for each. */
export const schemaFolder = join(import.meta.dirname, '../docs/schema')

if (process.argv[1]?.endsWith('hack/docs.ts') === true) {
  writeFileSync(configurationPage, withTables(readFileSync(configurationPage, 'utf8')))
  writeFileSync(deviceConfigPage, withDeviceTables(readFileSync(deviceConfigPage, 'utf8')))
  writeFileSync(nicsPage, withNicTables(readFileSync(nicsPage, 'utf8'), readFileSync(testingPage, 'utf8')))
  writeFileSync(metricsPage, withMetricTables(readFileSync(metricsPage, 'utf8')))
  mkdirSync(dirname(dashboard.path), { recursive: true })
  writeFileSync(dashboard.path, dashboard.text())
  mkdirSync(schemaFolder, { recursive: true })
  for (const [name, schema] of Object.entries(everySchema))
    writeFileSync(join(schemaFolder, `${name}.json`), schemaFileText(schema))
}
