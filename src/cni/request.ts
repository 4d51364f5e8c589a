import { get, isObject, type JsonObject, type JsonValue, parse, shown } from '../lib/json.ts'
import { type Command, type Environment, isIdentifier, type Variables } from './environment.ts'
import { CniError, code } from './error.ts'
import { defaultPolicy, type Policy } from './policy.ts'
import { parseResult, type Result } from './result.ts'
import { checkVersion, versionWhenAbsent } from './version.ts'

export type { Command } from './environment.ts'

/** One container interface, as `cni.dev/valid-attachments` lists it. */
export interface Attachment {
  readonly containerID: string
  readonly ifname: string
}

/** One call of a runtime, validated as far as the protocol goes. */
export interface Request extends Omit<Environment, 'netnsOverride'> {
  readonly command: Command
  /** Version of the config, '0.1.0' when it has none; always a supported one. */
  readonly cniVersion: string
  /** Network name. */
  readonly name: string
  /** Name of the plugin in the config; '' when absent. */
  readonly type: string
  /** The config with its keys as written: read a key with `get`, or use `normalise` first. */
  readonly config: JsonObject
  /** The config byte for byte, for delegated plugins. */
  readonly stdin: string
  /** In the shape of version 1.1.0, unknown fields kept. Undefined when absent, and on DEL also when unreadable. */
  readonly prevResult: Result | undefined
  /** GC only. Undefined when the runtime sent no list (or null); an empty list says that no attachment is valid. */
  readonly validAttachments: readonly Attachment[] | undefined
  /** The bounds of the node's operator. */
  readonly policy: Policy
  /** All variables that are set, for delegated plugins. */
  readonly env: Readonly<Record<string, string>>
}

/**
 * Decodes the network config.
 * @throws CniError 6 if it is no JSON object.
 */
export function readConfig(stdin: string): JsonObject {
  let value: JsonValue
  try {
    value = parse(stdin)
  } catch (cause) {
    throw new CniError(
      code.decodeFailure,
      `Cannot decode the network config at ${(cause as Error).message}`,
      {
        cause,
      },
    )
  }
  if (!isObject(value))
    throw new CniError(code.decodeFailure, 'Cannot decode the network config: must be a JSON object')
  return value
}

/**
 * The config's cniVersion, supported or not; '0.1.0' when it has none.
 * @throws CniError 6 if it is no string.
 */
export function configVersion(config: JsonObject): string {
  return text(config, 'cniVersion') || versionWhenAbsent
}

/**
 * Validates name and version and puts the request together.
 *
 * @param warn receives one line for each thing that is skipped (only on DEL, which must work with any input)
 * @throws CniError 6 or 7 for a bad config, 1 for an incompatible version
 */
export function makeRequest(
  environment: Environment,
  variables: Variables,
  stdin: string,
  config: JsonObject,
  warn: (line: string) => void,
): Request {
  const name = text(config, 'name')
  if (name === '') throw new CniError(code.invalidConfig, 'missing network name')
  if (!isIdentifier(name)) {
    throw new CniError(code.invalidConfig, 'invalid characters found in network name', { details: name })
  }
  const type = text(config, 'type')
  if (type.includes('/')) {
    throw new CniError(code.invalidConfig, `Cannot use type ${shown(type)}: must not contain '/'`)
  }
  const cniVersion = configVersion(config)
  const { netnsOverride: _, ...parameters } = environment
  const { command } = parameters
  checkVersion(cniVersion, command)
  return {
    ...parameters,
    cniVersion,
    name,
    type,
    config,
    stdin,
    prevResult: readPrevResult(config, cniVersion, command, warn),
    validAttachments: command === 'GC' ? readAttachments(config) : undefined,
    policy: defaultPolicy,
    env: defined(variables),
  }
}

function readPrevResult(
  config: JsonObject,
  cniVersion: string,
  command: Command,
  warn: (line: string) => void,
): Result | undefined {
  const value = get(config, 'prevResult') ?? null
  if (value === null || command === 'GC' || command === 'STATUS') return undefined
  try {
    return parseResult(value, cniVersion)
  } catch (error) {
    const { code, message, details } = CniError.from(error)
    const failure = new CniError(code, `Cannot read prevResult: ${message}`, { details, cause: error })
    if (command !== 'DEL') throw failure
    warn(`${failure.message}; DEL goes on without it`)
    return undefined
  }
}

/**
 * The key is `cni.dev/attachments` in specification 1.1.0 as tagged and `cni.dev/valid-attachments` in its later text; libcni
 * sends one or both. The entries of both keys are valid. An unreadable entry is an error: skipping it would make a living
 * attachment look dead.
 */
function readAttachments(config: JsonObject): readonly Attachment[] | undefined {
  let list: Attachment[] | undefined
  for (const key of ['cni.dev/valid-attachments', 'cni.dev/attachments']) {
    const value = get(config, key) ?? null
    if (value === null) continue
    if (!Array.isArray(value)) throw new CniError(code.invalidConfig, `Cannot use ${key}: must be an array`)
    list = [...(list ?? []), ...value.map((entry: JsonValue) => readAttachment(entry, key))]
  }
  return list
}

function readAttachment(entry: JsonValue, key: string): Attachment {
  const containerID = isObject(entry) ? get(entry, 'containerID') : undefined
  const ifname = isObject(entry) ? get(entry, 'ifname') : undefined
  if (typeof containerID === 'string' && containerID !== '' && typeof ifname === 'string' && ifname !== '') {
    return { containerID, ifname }
  }
  throw new CniError(
    code.invalidConfig,
    `Cannot use an entry of ${key}: must have the strings containerID and ifname`,
  )
}

function text(config: JsonObject, key: string): string {
  const value = get(config, key) ?? ''
  if (typeof value !== 'string') {
    throw new CniError(code.decodeFailure, `Cannot decode the network config: ${key} must be a string`)
  }
  return value
}

function defined(variables: Variables): Record<string, string> {
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(variables)) if (value !== undefined) env[name] = value
  return env
}
