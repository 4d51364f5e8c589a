/**
 * The CNI protocol, as the Go skeleton (containernetworking/cni pkg/skel) serves it for Go plugins.
 * In: environment and stdin of a container runtime. Out: the exit code, and one JSON document on stdout (result, versions or
 * error). A DEL, CHECK, GC or STATUS that succeeds prints nothing on stdout.
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

/** The verbs of a plugin. A verb throws to fail: a CniError chooses the code, any other error becomes an internal error (199). */
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

/** The process that a plugin runs in. */
export interface Process {
  readonly env: Variables
  /** Name of the program, for its log. */
  readonly plugin?: string
  /** Path of the node operator's log settings for all calls; the file need not exist. */
  readonly logOverride?: string
  /** The operator's policy; without one, network configs may name any path. */
  readonly policy?: PolicySource
  /** True if the path leads to this process's network namespace; false for another namespace, and for a path to none. */
  sameNetns(path: string): boolean
  /** Reads stdin to its end. */
  readStdin(): string
  writeStdout(text: string): void
  writeStderr(text: string): void
}

/**
 * Serves one call of a runtime from start to end. Never throws.
 *
 * @param loadPlugin loads the plugin; not called for VERSION, nor for a request that the protocol refuses
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

/** The facts about a call, as far as they are read. */
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

/** Longest cniVersion, in characters, that an error object repeats; the versions of the specification have five. */
const longestVersion = 40

function readRequest(sys: Process, call: Call): Request {
  const environment = readEnvironment(sys.env)
  const stdin = readStdin(sys)
  const config = readConfig(stdin)
  const policy = sys.policy === undefined ? undefined : callPolicy(sys.policy)
  call.log?.configured(config, policy)
  const version = configVersion(config)
  // The error object repeats the config's version. For a longer text, which is no version, the object has our newest one.
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
 * Runs an ADD and prints its result. If the result can't be printed or written, the ADD is undone as DEL would: a runtime
 * without a result takes the ADD for failed and may never call DEL.
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
 * Refuses the plugin's own namespace before any work: in that namespace a plugin would take the host's interfaces apart (the
 * Go skeleton checks after the work). A path to no namespace passes; the verb decides whether that is an error.
 *
 * On DEL the plugin's own namespace means that the pod is gone: once a process of the host gets the PID of a dead process,
 * `/proc/PID/ns/net` leads to the host's namespace. Nothing in the pod is left to restore, so DEL and the IPAM plugin's DEL
 * go on without a namespace.
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
    warn(sys, `CNI_NETNS "${netns}" is the host's own namespace now: DEL takes the pod's namespace for gone`)
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
    throw new StdoutLost(cause as Error)
  }
}

/** Writing to stdout failed: the error object can't reach the runtime there. */
class StdoutLost extends CniError {
  constructor(cause: Error) {
    super(code.ioFailure, `error writing to stdout: ${cause.message}`, { cause })
  }
}

/** Prints the error object on stdout, where runtimes read it. The stack of a defect goes to the log, or without a log to stderr. */
function reportError(thrown: unknown, { cniVersion, log }: Call, sys: Process): void {
  const error = CniError.from(thrown)
  const isLogged = log?.failed(error) ?? false
  const isDefect = error.code === code.internal && thrown instanceof Error
  if (isDefect && !isLogged) tell(sys, `${thrown.stack ?? thrown.message}\n`)
  // Stdout is lost: the exit code reports the failure, and so does stderr if that is still open.
  if (error instanceof StdoutLost) {
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
    // Stderr is closed.
  }
}
