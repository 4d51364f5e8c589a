import { isInterfaceName } from '../lib/interface-name.ts'
import { shown } from '../lib/json.ts'
import { CniError, code } from './error.ts'

export type Command = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION'

/** The CNI_ variables of a call. '' and empty lists stand for absent variables. */
export interface Environment {
  readonly command: Command
  readonly containerID: string
  readonly netns: string
  readonly ifname: string
  /** CNI_ARGS, `K=V;K=V`; the last of repeated keys counts. */
  readonly args: ReadonlyMap<string, string>
  /** CNI_PATH without empty entries, which would mean the working directory. */
  readonly path: readonly string[]
  /** CNI_NETNS_OVERRIDE: CNI_NETNS may be the plugin's own namespace. */
  readonly netnsOverride: boolean
}

export type Variables = Readonly<Record<string, string | undefined>>

/** The specification requires CNI_PATH for GC only. The Go skeleton requires it always, we require it to run an IPAM plugin. */
const required: Readonly<Record<Command, readonly string[]>> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  GC: ['CNI_PATH'],
  STATUS: [],
  VERSION: [],
}

/**
 * Reads and validates the CNI_ variables of CNI specification 1.1.0, "Parameters". Invalid values are reported before
 * missing ones, and all missing ones at once.
 *
 * @throws CniError 4
 */
export function readEnvironment(env: Variables): Environment {
  const command = env.CNI_COMMAND ?? ''
  if (!isCommand(command)) throw invalid(`unknown CNI_COMMAND: ${command}`)
  const wanted = required[command]
  const containerID = env.CNI_CONTAINERID ?? ''
  const ifname = env.CNI_IFNAME ?? ''
  if (containerID !== '' && wanted.includes('CNI_CONTAINERID')) checkContainerId(containerID)
  if (ifname !== '' && wanted.includes('CNI_IFNAME')) checkIfname(ifname, command === 'ADD')
  const missing = wanted.filter((name) => !env[name])
  if (missing.length > 0) throw invalid(`required env variables [${missing.join(',')}] missing`)
  return {
    command,
    containerID,
    netns: env.CNI_NETNS ?? '',
    ifname,
    args: readArgs(env.CNI_ARGS ?? '', command !== 'DEL'),
    path: (env.CNI_PATH ?? '').split(':').filter((directory) => directory !== ''),
    netnsOverride: /^(1|true)$/i.test(env.CNI_NETNS_OVERRIDE ?? ''),
  }
}

function isCommand(text: string): text is Command {
  return Object.hasOwn(required, text)
}

/** The characters that the specification allows in a container ID and in a network name. */
export function isIdentifier(text: string): boolean {
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text)
}

function checkContainerId(id: string): void {
  if (!isIdentifier(id)) throw invalid('invalid characters in containerID', id)
}

function checkIfname(name: string, isNew: boolean): void {
  const allowed = "must be 1-15 bytes, not '.' or '..', without '/', ':' or white space"
  if (!isInterfaceName(name)) throw invalid(`Cannot use CNI_IFNAME ${shown(name)}: ${allowed}`)
  // /proc/sys/net has no folder of its own for these names (sysctl_dev_name_is_allowed): our settings would go to every interface.
  if (isNew && (name === 'all' || name === 'default')) {
    const words = '/proc/sys/net has the settings of all interfaces under that name'
    throw invalid(`Cannot use CNI_IFNAME ${shown(name)}: ${words}`)
  }
}

/** Reads CNI_ARGS. Skips a malformed pair unless `strict`: DEL has to clean up after any call. */
function readArgs(text: string, strict: boolean): ReadonlyMap<string, string> {
  const args = new Map<string, string>()
  for (const pair of text.split(';')) {
    const equals = pair.indexOf('=')
    if (equals > 0) args.set(pair.slice(0, equals), pair.slice(equals + 1))
    else if (strict && pair !== '')
      throw invalid(`Cannot use CNI_ARGS pair ${shown(pair)}: must be KEY=VALUE`)
  }
  return args
}

function invalid(msg: string, details?: string): CniError {
  return new CniError(code.invalidEnvironment, msg, { details })
}
