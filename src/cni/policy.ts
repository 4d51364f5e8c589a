/**
 * What the node's operator allows network configs to ask for. A config's author may be a tenant (Multus), the policy is the
 * operator's: it is the bound, and a config can only narrow it. policy-file.ts reads the file.
 */
import { existsSync } from 'node:fs'
import { boundedPath, OutOfBounds } from '../lib/bounded-path.ts'
import { fold, get, type JsonObject, shown } from '../lib/json.ts'
import type { PortRange } from '../lib/port-ranges.ts'
import { CniError, code } from './error.ts'
import type { Request } from './request.ts'

/** The operator's bounds. */
export interface Policy {
  /** Path of the file that they stand in; undefined where there is none. */
  readonly file: string | undefined
  /** Folders below which `logFile` of a config may lie. */
  readonly logFiles: readonly string[]
  /** Folders below which `stateDir` of a config may lie; each may be it itself. */
  readonly stateDirs: readonly string[]
  /** A config may take a device by which the node itself lives. */
  readonly allowNodeDevice: boolean
  /** Host ports that may be mapped; undefined = all. */
  readonly allowedHostPorts: readonly PortRange[] | undefined
  /** A config may map ports that others on the node translate. */
  readonly allowServicePorts: boolean
  /** Ports that kube-proxy gives to services, where it runs. */
  readonly nodePortRange: readonly PortRange[]
}

/** Without a file, and for each key that a file does not have. */
export const defaultPolicy: Policy = {
  file: undefined,
  // Not /run and /var/lib: there a new file stands for something (/run/nologin, an address that is leased).
  logFiles: ['/var/log'],
  stateDirs: ['/var/lib/cni', '/run'],
  allowNodeDevice: false,
  allowedHostPorts: undefined,
  allowServicePorts: true,
  nodePortRange: [{ first: 30_000, last: 32_767 }],
}

/** Where a call's policy comes from. */
export interface PolicySource {
  /** Path of the file, which need not exist. */
  readonly file: string
  /** The file's content; {@link defaultPolicy} where there is none. @throws CniError 7 for a file that can't be used */
  read(): Policy
  /** True for the first caller since the boot. */
  isFirst(): boolean
}

/** The policy of one call. */
export interface CallPolicy {
  readonly policy: Policy
  /** Why the file can't be used; `policy` is then the default one. */
  readonly problem: CniError | undefined
}

/** Reads the policy; never throws. */
export function callPolicy(source: PolicySource): CallPolicy {
  try {
    return { policy: source.read(), problem: undefined }
  } catch (error) {
    return { policy: defaultPolicy, problem: CniError.from(error) }
  }
}

/**
 * The request within the operator's bounds: its policy, and in its config the state folder as the path without links that was
 * looked at. A verb that takes away goes on with the defaults where another one is refused, and says so.
 * @throws CniError 7 for a policy that can't be read or a state folder out of bounds; not on DEL and GC
 */
export function bounded(
  request: Request,
  { policy, problem }: CallPolicy,
  warn: (line: string) => void,
): Request {
  const { command, config } = request
  const refuse = (refusal: CniError, instead: string) => {
    if (command !== 'DEL' && command !== 'GC') throw refusal
    warn(`${refusal.message}; ${command} goes on with ${instead}`)
  }
  if (problem !== undefined) refuse(problem, 'the policy that counts without that file')
  const stateDir = get(config, 'stateDir')
  // Other values are the plugin's to refuse.
  if (typeof stateDir !== 'string' || !stateDir.startsWith('/')) return { ...request, policy }
  try {
    const real = isOfFormerVersion(command, stateDir, policy, problem)
      ? boundedPath(stateDir, ['/'])
      : boundedPath(stateDir, policy.stateDirs)
    // Locks of it would lie in /run/lock, where anybody may write.
    if (policy.file === undefined && policy.stateDirs.includes(real))
      throw new OutOfBounds(`must be a folder below ${policy.stateDirs.join(' or ')}`)
    return { ...request, policy, config: real === stateDir ? config : withStateDir(config, real) }
  } catch (error) {
    if (!(error instanceof OutOfBounds)) throw error
    const words = `Cannot use stateDir ${shown(stateDir)}: ${error.message}${source(policy)}`
    refuse(new CniError(code.invalidConfig, words), 'the default folder')
    return { ...request, policy, config: withStateDir(config, undefined) }
  }
}

/** Names of the folders with records that a state folder has. */
const recordFolders = ['attach', 'offload', 'portmap', 'bandwidth']

/**
 * Former versions wrote records wherever a config said. Where no operator has set bounds, DEL and GC take away what lies there, if
 * nobody but root can have written it.
 */
function isOfFormerVersion(
  command: Request['command'],
  stateDir: string,
  { file }: Policy,
  problem: CniError | undefined,
): boolean {
  if ((command !== 'DEL' && command !== 'GC') || file !== undefined || problem !== undefined) return false
  return recordFolders.some((name) => existsSync(`${stateDir}/${name}`))
}

/**
 * The log file of a config, without links.
 * @throws OutOfBounds
 */
export function boundedLogFile({ policy }: CallPolicy, path: string): string {
  try {
    return boundedPath(path, policy.logFiles)
  } catch (error) {
    if (!(error instanceof OutOfBounds)) throw error
    throw new OutOfBounds(`${error.message}${source(policy)}`)
  }
}

/** What an operator without a policy file should know of a config that names paths; undefined where there is nothing to tell. */
export function unboundedWords({ policy }: CallPolicy, file: string, config: JsonObject): string | undefined {
  const keys = ['logFile', 'stateDir'].filter((key) => (get(config, key) ?? '') !== '')
  if (policy.file !== undefined || keys.length === 0) return undefined
  const { logFiles, stateDirs } = policy
  const folders = { logFile: logFiles, stateDir: stateDirs }
  const words = Object.entries(folders).map(([key, list]) => `${key} below ${list.join(' or ')}`)
  return `there is no ${file}: network configs may set ${words.join(' and ')} (told once until the next boot)`
}

/** Says where a bound stands that the reader can change. */
function source({ file }: Policy): string {
  return file === undefined ? '' : `, says ${file}`
}

function withStateDir(config: JsonObject, stateDir: string | undefined): JsonObject {
  const rest = Object.entries(config).filter(([key]) => fold(key) !== fold('stateDir'))
  return Object.fromEntries(stateDir === undefined ? rest : [...rest, ['stateDir', stateDir]])
}
