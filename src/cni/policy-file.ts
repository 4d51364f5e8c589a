/**
 * The operator's policy file, /etc/vf-flower/policy.json. This module is loaded only where the file exists. The table of keys is the
 * one source of the check here and of docs/configuration.md (hack/docs.ts).
 */
import '../lib/zod-settings.ts'
import * as z from 'zod/mini'
import { isObject, type JsonObject, parse, stringify } from '../lib/json.ts'
import { allowedRanges, showRanges, tryParseRanges } from '../lib/port-ranges.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import { CniError, code } from './error.ts'
import { defaultPolicy, type Policy } from './policy.ts'

/** One key of the file. */
export interface PolicyKey {
  readonly schema: z.ZodMiniType
  /** The allowed values, as a message says them after "must be". */
  readonly allowed: string
  /** The value that counts without the key. */
  readonly absent: string
  readonly effect: string
}

const folders = z.array(z.string().check(z.regex(/^\/(?!(?:.*\/)?\.\.(?:\/|$))[^\0]*$/)))
const listOfFolders = 'an array of absolute paths without ".."'

/** All keys. A new key gets a line here and a field in Policy. */
export const policyKeys = {
  logFiles: {
    schema: folders,
    allowed: listOfFolders,
    absent: defaultPolicy.logFiles.join(', '),
    effect: '`logFile` of a network config must lie below one of these folders, or be one of these files',
  },
  stateDirs: {
    schema: folders,
    allowed: listOfFolders,
    absent: defaultPolicy.stateDirs.join(', '),
    effect: '`stateDir` of a network config must be one of these folders or lie below one',
  },
  allowNodeDevice: {
    schema: z.boolean(),
    allowed: 'true or false',
    absent: String(defaultPolicy.allowNodeDevice),
    effect: 'a network config may say `allowNodeDevice: true`',
  },
  allowedHostPorts: {
    schema: z.custom<unknown>((value) => Array.isArray(value) && tryParseRanges(value) !== undefined),
    allowed: allowedRanges,
    absent: 'all',
    effect: 'host ports that vf-offload may map; `allowedHostPorts` of a network config narrows them',
  },
  allowServicePorts: {
    schema: z.boolean(),
    allowed: 'true or false',
    absent: String(defaultPolicy.allowServicePorts),
    effect: 'a network config may say `allowServicePorts: true`',
  },
  nodePortRange: {
    schema: z.custom<unknown>((value) => tryParseRanges(value) !== undefined),
    allowed: allowedRanges,
    absent: showRanges(defaultPolicy.nodePortRange),
    effect:
      'host ports that kube-proxy gives to services: refused where it runs, whether or not one has them yet',
  },
} as const satisfies Readonly<Record<string, PolicyKey>>

/**
 * Reads the file. The file must exist and pass {@link readTrusted}. An unknown key is refused: the operator may rely on it as a
 * bound.
 * @throws CniError 7 with the path and the reason
 */
export function readPolicy(file: string): Policy {
  const config = decode(file)
  for (const [key, value] of Object.entries(config)) {
    const known = Object.hasOwn(policyKeys, key) ? policyKeys[key as keyof typeof policyKeys] : undefined
    if (known === undefined)
      throw invalid(file, `key "${key}" is not known, known are ${Object.keys(policyKeys).join(', ')}`)
    if (!known.schema.safeParse(value).success)
      throw invalid(file, `${key} ${stringify(value)}: must be ${known.allowed}`)
  }
  const given = config as Partial<
    Pick<Policy, 'logFiles' | 'stateDirs' | 'allowNodeDevice' | 'allowServicePorts'>
  >
  const { allowedHostPorts: ports, nodePortRange: range } = config
  return {
    ...defaultPolicy,
    ...given,
    file,
    allowedHostPorts: ports === undefined ? undefined : tryParseRanges(ports),
    nodePortRange: tryParseRanges(range) ?? defaultPolicy.nodePortRange,
  }
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
