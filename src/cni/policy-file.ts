/**
 * The operator's policy file, /etc/vf-flower/policy.json. This module is loaded only where the file exists. The table of keys is the
 * one source of the check here and of docs/configuration.md (hack/docs.ts).
 */
import { isObject, type JsonObject, type JsonValue, parse } from '../lib/json.ts'
import { allowedRanges, showRanges, tryParseRanges } from '../lib/port-ranges.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import { type ConfigKey, row } from './config-keys.ts'
import { CniError, code } from './error.ts'
import { defaultPolicy, type Policy } from './policy.ts'
import { flag, leaf, portRanges, portsSchema } from './value-kinds.ts'

const folder = /^\/(?!(?:.*\/)?\.\.(?:\/|$))[^\0]*$/
const isFolder = (value: JsonValue) => typeof value === 'string' && folder.test(value)
const folders = leaf(
  (value) => (Array.isArray(value) && value.every(isFolder) ? (value as readonly string[]) : undefined),
  'an array of absolute paths without ".."',
  { type: 'array', items: { type: 'string', pattern: '^/' } },
)
const listOfPorts = leaf(
  (value) => (Array.isArray(value) ? tryParseRanges(value) : undefined),
  allowedRanges,
  { type: 'array', items: portsSchema },
)
const of = ['vf-flower'] as const

/** All keys. A new key gets a line here and a field in Policy. */
export const policyKeys: {
  readonly [key in Exclude<keyof Policy, 'file'>]: ConfigKey<NonNullable<Policy[key]>>
} = {
  logFiles: row(folders, {
    of,
    without: defaultPolicy.logFiles.join(', '),
    effect: '`logFile` of a network config must lie below one of these folders, or be one of these files',
  }),
  stateDirs: row(folders, {
    of,
    without: defaultPolicy.stateDirs.join(', '),
    effect: '`stateDir` of a network config must be one of these folders or lie below one',
  }),
  allowNodeDevice: row(flag, {
    of,
    without: String(defaultPolicy.allowNodeDevice),
    effect: 'a network config may say `allowNodeDevice: true`',
  }),
  allowedHostPorts: row(listOfPorts, {
    of,
    without: 'all',
    effect: 'host ports that vf-offload may map; `allowedHostPorts` of a network config narrows them',
  }),
  allowServicePorts: row(flag, {
    of,
    without: String(defaultPolicy.allowServicePorts),
    effect: 'a network config may say `allowServicePorts: true`',
  }),
  nodePortRange: row(portRanges, {
    of,
    without: showRanges(defaultPolicy.nodePortRange),
    effect:
      'host ports that kube-proxy gives to services: refused where it runs, whether or not one has them yet',
  }),
}

/**
 * Reads the file. The file must exist and pass {@link readTrusted}. An unknown key is refused: the operator may rely on it as a
 * bound.
 * @throws CniError 7 with the path and the reason
 */
export function readPolicy(file: string): Policy {
  const config = decode(file)
  const bounds: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(config)) {
    const known = Object.hasOwn(policyKeys, key) ? policyKeys[key as keyof typeof policyKeys] : undefined
    if (known === undefined)
      throw invalid(file, `unknown key "${key}"; must be one of ${Object.keys(policyKeys).join(', ')}`)
    bounds[key] = known.read(value, `${file}: ${key}`)
  }
  return { ...defaultPolicy, ...(bounds as Partial<Policy>), file }
}

function decode(file: string): JsonObject {
  let value: unknown
  try {
    value = parse(readTrusted(file))
  } catch (error) {
    throw invalid(file, (error as Error).message)
  }
  if (!isObject(value)) throw invalid(file, 'must be a JSON object')
  return value
}

function invalid(file: string, reason: string): CniError {
  return new CniError(code.invalidConfig, `Cannot use ${file}: ${reason}`)
}
