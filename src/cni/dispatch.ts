/**
 * The CNI protocol, for plugins in TypeScript as the Go skeleton (containernetworking/cni pkg/skel) is for Go plugins.
 * In: environment and stdin as a container runtime gives them. Out: one JSON document on stdout (result, versions or
 * error), nothing there for a DEL, CHECK, GC or STATUS that succeeded, and the exit code.
 * Knows no kernel; may import lib/ and Node built-ins only.
 */
import { stringify } from '../lib/json.ts'
import { isLogConfigured, log } from '../lib/log/log.ts'
import { step } from '../lib/log/steps.ts'
import { type Environment, readEnvironment, type Variables } from './environment.ts'
import { CniError, code } from './error.ts'
import { bounded, type CallPolicy, callPolicy, type PolicySource, unboundedWords } from './policy.ts'
import { configVersion, makeRequest, type Request, readConfig } from './request.ts'
import { printResult, type Result } from './result.ts'
import { startVerbLog, type VerbLog } from './verb-log.ts'
import { currentVersion, supportedVersions } from './version.ts'

/** A plugin: one member for each verb, which throws to fail, a CniError to say more than "internal error". */
export interface Plugin {
  readonly name: string
  /** One line for humans who start the program by hand. */
  readonly about: string
  add(request: Request): Result
  del(request: Request): void
  check(request: Request): void
  gc(request: Request): void
  status(request: Request): void
}

/** The process around a plugin. */
export interface Process {
  readonly env: Variables
  /** Name of the program, for its log. */
  readonly plugin?: string
  /** Path of the file by which a node's operator sets the log of all calls; it need not exist. */
  readonly logOverride?: string
  /** The operator's policy; without it network configs may name any path. */
  readonly policy?: PolicySource
  /** True if the path names our own network namespace; false if it names another one or none at all. */
  sameNetns(path: string): boolean
  /** Everything up to the end of stdin. */
  readStdin(): string
  writeStdout(text: string): void
  writeStderr(text: string): void
}

/**
 * Serves one call of a runtime from start to end. Never throws.
 *
 * @param loadPlugin is not called for VERSION nor for a request that the protocol refuses
 * @returns the exit code: 0, or 1 after an error object was printed
 */
export function runPlugin(loadPlugin: () => Plugin, sys: Process): number {
  const call: Call = { cniVersion: currentVersion, log: undefined }
  try {
    serve(loadPlugin, sys, call)
    call.log?.succeeded()
    return 0
  } catch (thrown) {
    reportError(thrown, call, sys)
    return 1
  }
}

/** The facts of the call so far. */
interface Call {
  cniVersion: string
  log: VerbLog | undefined
}

function serve(loadPlugin: () => Plugin, sys: Process, call: Call): void {
  const command = sys.env.CNI_COMMAND ?? ''
  if (command === '') {
    printAbout(loadPlugin(), sys)
    return
  }
  if (command === 'VERSION') {
    write(stringify({ cniVersion: currentVersion, supportedVersions }), sys)
    return
  }

  call.log = startVerbLog({ env: sys.env, plugin: sys.plugin, nodeFile: sys.logOverride })
  const request = step('parse', () => readRequest(sys, call))
  call.log.parsed()
  perform(loadPlugin(), request, sys)
}

/** Characters that a version may have: those of the specification have five. */
const longestVersion = 40

function readRequest(sys: Process, call: Call): Request {
  const environment = readEnvironment(sys.env)
  const stdin = readStdin(sys)
  const config = readConfig(stdin)
  const policy = sys.policy === undefined ? undefined : callPolicy(sys.policy)
  call.log?.configured(config, policy)
  const version = configVersion(config)
  // An error object repeats it: of what is no version at all it has ours.
  if (version.length <= longestVersion) call.cniVersion = version
  const { environment: allowed, env } = withoutOwnNetns(environment, sys)
  const request = makeRequest(allowed, env, stdin, config, (line) => warn(sys, line))
  return policy === undefined ? request : withPolicy(request, policy, sys)
}

function withPolicy(request: Request, policy: CallPolicy, sys: Process): Request {
  const tell = (line: string) => warn(sys, `${sys.plugin ?? request.type}: ${line}`)
  const within = bounded(request, policy, tell)
  if (request.command !== 'ADD' || sys.policy === undefined) return within
  const words = unboundedWords(policy, sys.policy.file, request.config)
  if (words !== undefined && sys.policy.isFirst()) tell(words)
  return within
}

function perform(plugin: Plugin, request: Request, sys: Process): void {
  verbs[request.command](plugin, request, sys)
}

/** The service of each verb. A verb without an entry does not compile. */
const verbs: Readonly<Record<Request['command'], (plugin: Plugin, request: Request, sys: Process) => void>> =
  {
    ADD: add,
    DEL: (plugin, request) => plugin.del(request),
    CHECK: (plugin, request) => plugin.check(request),
    GC: (plugin, request) => plugin.gc(request),
    STATUS: (plugin, request) => plugin.status(request),
    // serve() has answered before anything is read.
    VERSION: () => undefined,
  }

/**
 * A runtime that has got no result takes the ADD for failed and may never call DEL: what can't be printed or written is
 * taken back, as its DEL would.
 */
function add(plugin: Plugin, request: Request, sys: Process): void {
  const result = plugin.add(request)
  try {
    write(printResult(result, request.cniVersion), sys)
  } catch (failure) {
    warn(sys, `${plugin.name}: ${CniError.from(failure).message}; the ADD is undone`)
    try {
      plugin.del({ ...request, command: 'DEL', env: { ...request.env, CNI_COMMAND: 'DEL' } })
    } catch (second) {
      const { message, details } = CniError.from(second)
      warn(
        sys,
        `${plugin.name}: Cannot undo the ADD: ${message}${details === undefined ? '' : `: ${details}`}`,
      )
    }
    throw failure
  }
}

/**
 * A plugin that worked on its own namespace would take the host's interfaces apart, hence before it does anything
 * (the Go skeleton looks afterwards). A namespace that is gone can't be ours; whether that is an error depends on the verb.
 *
 * For DEL such a path means that the pod is gone: the path of a dead process leads to the host's namespace as soon as a
 * process of the host has its number. Nothing of the pod is left to be touched, and the DEL goes on without a namespace,
 * that of an IPAM plugin too.
 * @throws CniError 8
 */
function withoutOwnNetns(
  environment: Environment,
  sys: Process,
): { readonly environment: Environment; readonly env: Variables } {
  const { command, netns, netnsOverride } = environment
  const asGiven = { environment, env: sys.env }
  if (command === 'GC' || command === 'STATUS' || netns === '' || netnsOverride) return asGiven
  if (!sys.sameNetns(netns)) return asGiven
  if (command === 'DEL') {
    warn(sys, `CNI_NETNS "${netns}" is the host's own namespace now: the pod's counts as gone`)
    return { environment: { ...environment, netns: '' }, env: { ...sys.env, CNI_NETNS: '' } }
  }
  throw new CniError(code.invalidNetns, "plugin's netns and netns from CNI_NETNS should not be the same", {
    details: netns,
  })
}

function readStdin(sys: Process): string {
  try {
    return sys.readStdin()
  } catch (cause) {
    throw new CniError(code.ioFailure, `error reading from stdin: ${(cause as Error).message}`, { cause })
  }
}

function printAbout(plugin: Plugin, sys: Process): void {
  sys.writeStderr(`${plugin.about}\nCNI protocol versions supported: ${supportedVersions.join(', ')}\n`)
}

function write(document: string, sys: Process): void {
  try {
    sys.writeStdout(`${document}\n`)
  } catch (cause) {
    throw new DeafStdout(cause as Error)
  }
}

/** stdout takes nothing: what is to be said has to go elsewhere. */
class DeafStdout extends CniError {
  constructor(cause: Error) {
    super(code.ioFailure, `error writing to stdout: ${cause.message}`, { cause })
  }
}

/** The object goes to stdout, where runtimes look for it; the stack of a defect goes to the log or to stderr, where people look. */
function reportError(thrown: unknown, { cniVersion, log }: Call, sys: Process): void {
  const error = CniError.from(thrown)
  const isLogged = log?.failed(error) ?? false
  const isDefect = error.code === code.internal && thrown instanceof Error
  if (isDefect && !isLogged) tell(sys, `${thrown.stack ?? thrown.message}\n`)
  // Nobody takes stdout: the exit code has to do, and stderr if that is still there.
  if (error instanceof DeafStdout) {
    tell(sys, `${error.message}\n`)
    return
  }
  try {
    write(stringify(error.toObject(cniVersion)), sys)
  } catch (unwritten) {
    tell(sys, `${error.message}; ${(unwritten as Error).message}\n`)
  }
}

function warn(sys: Process, line: string): void {
  if (isLogConfigured()) log.warn({}, line)
  else tell(sys, `${line}\n`)
}

/** A closed stderr must not cost the runtime its error object. */
function tell(sys: Process, text: string): void {
  try {
    sys.writeStderr(text)
  } catch {
    // Nobody listens.
  }
}
