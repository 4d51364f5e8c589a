/** The config file of the device plugin, as the SR-IOV network device plugin has it, with keys of our own. */
import { shown } from '../../src/lib/json.ts'
import { ConfigError, type Finding, showFinding } from './config-error.ts'
import { fileKeys, poolKeys } from './keys/keys.ts'
import { selectorKeys } from './keys/selector-keys.ts'
import type { PluginConfig, PoolConfig } from './plugin-config.ts'
import { readPool } from './read-pool.ts'
import { environmentName } from './resource-name.ts'
import { Findings, member, type Node, plain, readDocument } from './text/document.ts'
import { type Context, misplacedKeys, official } from './text/official.ts'

/** Settings of the process that a config needs. */
export interface ConfigOptions {
  /** Prefix of pools that name none. */
  readonly resourcePrefix: string
}

/**
 * Reads a config: checked, defaults filled in.
 * @throws ConfigError with all mistakes of the text, not the first alone
 */
export function readPluginConfig(text: string, options: ConfigOptions): PluginConfig {
  const { config, findings } = examineConfig(text, options)
  if (config === undefined) throw new ConfigError(findings)
  return config
}

/** The config of a text, undefined where the text has a mistake, and all that is to be said about the text. Never throws. */
export function examineConfig(
  text: string,
  { resourcePrefix }: ConfigOptions,
): { readonly config: PluginConfig | undefined; readonly findings: readonly Finding[] } {
  const findings = new Findings(text)
  const document = parsed(text)
  if ('findings' in document) return { config: undefined, findings: document.findings }
  const pools = readPools(document, resourcePrefix, findings)
  if (findings.failed) return { config: undefined, findings: findings.all }
  const warnings = findings.all.filter(({ severity }) => severity === 'warning').map(showFinding)
  return { config: { pools, warnings }, findings: findings.all }
}

function parsed(text: string): Node | ConfigError {
  try {
    return readDocument(text)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
}

const inSelectors = misplacedKeys(selectorKeys, '; it belongs into "selectors"')
const besideSelectors = misplacedKeys(poolKeys, '; it belongs beside "selectors"')

function readPools(document: Node, prefix: string, findings: Findings): readonly PoolConfig[] {
  const context: Context = {
    findings,
    misplaced: (rows) => (rows === poolKeys ? inSelectors : rows === selectorKeys ? besideSelectors : {}),
  }
  if (document.kind !== 'object') {
    findings.add(
      'error',
      document,
      `is ${shown(plain(document))}; must be an object with the key "resourceList"`,
      'the file',
    )
    return []
  }
  const list = member(official(document, fileKeys, context), 'resourceList')
  if (list === undefined) {
    const isGiven = document.members.some(([key]) => /^resourcelist$/i.test(key))
    if (!isGiven)
      findings.add('warning', document, 'has no key "resourceList", and no pool therefore', 'the file')
    return []
  }
  if (list.kind !== 'list') {
    findings.add('error', list, `is ${shown(plain(list))}; must be ${fileKeys.resourceList.allowed}`)
    return []
  }
  const pools = list.items.map((node) => [node, readPool(node, prefix, findings)] as const)
  checkNames(pools, findings)
  return pools.flatMap(([, pool]) => pool ?? [])
}

/** Names must differ, and so should the names of environment variables, which are in upper case. */
function checkNames(pools: readonly (readonly [Node, PoolConfig | undefined])[], findings: Findings): void {
  const resources = new Map<string, string>()
  const variables = new Map<string, string>()
  for (const [node, pool] of pools) {
    if (pool === undefined) continue
    const place = member(node, 'resourceName') ?? node
    const variable = environmentName(pool.prefix, pool.name)
    const [same, like] = [resources.get(pool.resource), variables.get(variable)]
    if (same !== undefined)
      findings.add('error', place, `makes "${pool.resource}", which ${same} has; must be unique`)
    else if (like !== undefined)
      findings.add(
        'warning',
        place,
        `has the environment variable ${variable}, and so has ${like}: a container with both gets one of them`,
      )
    resources.set(pool.resource, node.path)
    variables.set(variable, node.path)
  }
}
