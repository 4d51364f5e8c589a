/**
 * The bounds that the node's operator sets for network configs. The author of a config may be a tenant (Multus). So the policy
 * bounds every config, and a config can only narrow the policy. policy-file.ts reads the file.
 */
import { existsSync } from 'node:fs'
import { boundedPath, OutOfBounds } from '../lib/bounded-path.ts'
import { fold, get, type JsonObject, shown } from '../lib/json.ts'
import type { PortRange } from '../lib/port-ranges.ts'
import type { Command } from './environment.ts'
import { CniError, code } from './error.ts'

/** The operator's bounds. */
export interface Policy {
  /** Path of the policy file; undefined where there is none. */
  readonly file: string | undefined
  /** Folders below which `logFile` of a config may lie. */
  readonly logFiles: readonly string[]
  /** Folders for `stateDir` of a config: one of them, or a folder below one. */
  readonly stateDirs: readonly string[]
  /** A config may take a device that the node's own network depends on. */
  readonly allowNodeDevice: boolean
  /** Host ports that may be mapped; undefined allows all. */
  readonly allowedHostPorts: readonly PortRange[] | undefined
  /** A config may map ports that other programs on the node translate. */
  readonly allowServicePorts: boolean
  /** Ports that kube-proxy gives to services; counts only where kube-proxy runs. */
  readonly nodePortRange: readonly PortRange[]
}

/** The policy without a file, and the value of each key that a file lacks. */
export const defaultPolicy: Policy = {
  file: undefined,
  // /run and /var/lib would be too wide: a new file there can have a meaning (/run/nologin, the lease of an address).
  logFiles: ['/var/log'],
  stateDirs: ['/var/lib/cni', '/run'],
  allowNodeDevice: false,
  allowedHostPorts: undefined,
  allowServicePorts: true,
  nodePortRange: [{ first: 30_000, last: 32_767 }],
}

/** The source of a call's policy. */
export interface PolicySource {
  /** Path of the file, which need not exist. */
  readonly file: string
  /** The file's content; {@link defaultPolicy} without a file. @throws CniError 7 for a file that can't be used */
  read(): Policy
  /** True for the first caller since the boot. */
  isFirst(): boolean
}

/** The policy of one call. */
export interface CallPolicy {
  readonly policy: Policy
  /** The reason why the file can't be used; `policy` is the default policy then. */
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

/** The parts of a request that a policy binds (request.ts). */
interface Bindable {
  readonly command: Command
  readonly config: JsonObject
  readonly policy: Policy
}

/**
 * Puts the operator's bounds into a request: the policy, and the config's state folder as the path without links that was
 * checked. DEL and GC must clean up, so they warn and go on with the defaults instead of refusing.
 * @throws CniError 7 for a policy that can't be read or a state folder out of bounds; not on DEL and GC
 */
export function bounded<R extends Bindable>(
  request: R,
  { policy, problem }: CallPolicy,
  warn: (line: string) => void,
): R {
  const { command, config } = request
  const refuse = (refusal: CniError, instead: string) => {
    if (command !== 'DEL' && command !== 'GC') throw refusal
    warn(`${refusal.message}; ${command} goes on with ${instead}`)
  }
  if (problem !== undefined) refuse(problem, 'the policy that counts without that file')
  const stateDir = get(config, 'stateDir')
  // The plugin itself refuses a value that is no absolute path.
  if (typeof stateDir !== 'string' || !stateDir.startsWith('/')) return { ...request, policy }
  try {
    const real = isOfFormerVersion(command, stateDir, policy, problem)
      ? boundedPath(stateDir, ['/'])
      : boundedPath(stateDir, policy.stateDirs)
    // With /run as its state folder, a call would put its locks into /run/lock, where anybody may write.
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

/** The folders with records in a state folder. */
const recordFolders = ['attach', 'offload', 'portmap', 'bandwidth']

/**
 * True for a state folder of a former version, which wrote records wherever a config said. Without a policy file, DEL and GC clean
 * up there if nobody but root can have written the folder.
 */
function isOfFormerVersion(
  command: Command,
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

/** The hint for an operator without a policy file about a config that names paths; undefined where there is nothing to tell. */
export function unboundedWords({ policy }: CallPolicy, file: string, config: JsonObject): string | undefined {
  const keys = ['logFile', 'stateDir'].filter((key) => (get(config, key) ?? '') !== '')
  if (policy.file !== undefined || keys.length === 0) return undefined
  const { logFiles, stateDirs } = policy
  const folders = { logFile: logFiles, stateDir: stateDirs }
  const words = Object.entries(folders).map(([key, list]) => `${key} below ${list.join(' or ')}`)
  return `there is no ${file}: network configs may set ${words.join(' and ')} (told once until the next boot)`
}

/** Names the policy file, if there is one, as the place where the reader can change a bound. */
function source({ file }: Policy): string {
  return file === undefined ? '' : `, says ${file}`
}

function withStateDir(config: JsonObject, stateDir: string | undefined): JsonObject {
  const rest = Object.entries(config).filter(([key]) => fold(key) !== fold('stateDir'))
  return Object.fromEntries(stateDir === undefined ? rest : [...rest, ['stateDir', stateDir]])
}
