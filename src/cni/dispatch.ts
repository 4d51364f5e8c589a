/**
 * The CNI protocol, as the Go skeleton (containernetworking/cni pkg/skel) serves it for Go plugins.
 * In: environment and stdin of a container runtime. Out: the exit code, and one JSON document for stdout (result, versions or
 * error). A DEL, CHECK, GC or STATUS that succeeds prints nothing on stdout.
 * Knows no kernel; may import lib/ and Node built-ins only.
 */
import { cancellable, requireCaller } from '../lib/call/call.ts'
import { stringify } from '../lib/json.ts'
import { isLogConfigured, log } from '../lib/log/log.ts'
import { step } from '../lib/log/steps.ts'

export type { Plugin } from './plugin/plugin.ts'

import { type Environment, readEnvironment, type Variables } from './environment.ts'
import { CniError, code } from './error.ts'
import { explained } from './failure.ts'
import type { Plugin } from './plugin/plugin.ts'
import { takeBack, takeBackLost } from './plugin/take-back.ts'
import { bounded, type CallPolicy, callPolicy, type PolicySource, unboundedWords } from './policy.ts'
import { configVersion, makeRequest, type Request, readConfig } from './request.ts'
import { printResult } from './result.ts'
import { startVerbLog, type VerbLog } from './verb-log.ts'
import { currentVersion, supportedVersions } from './version.ts'

/** The surroundings that a plugin runs in. */
export interface Surroundings {
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
  writeStderr(text: string): void
  /** Runs `action` while no other ADD or DEL of the same attachment runs on the node. @throws CniError 11 */
  locked?<T>(request: Request, action: () => T): T
  /** The worker that had this call is dead. An ADD then takes back first what the attachment has. */
  readonly isLostWorker?: boolean
}

/** Surroundings with a standard output. */
export interface Process extends Surroundings {
  writeStdout(text: string): void
}

/** The outcome of a call. */
export interface Served {
  /** 0, or 1 with an error object on stdout. */
  readonly exitCode: number
  readonly stdout: string
  /**
   * Has to be called when stdout can't be written, with the reason. An ADD is taken back as a DEL would: a runtime without a result takes
   * the ADD for failed and may never call DEL. Never throws.
   */
  unwritten(reason: string): void
}

/**
 * Serves one call of a runtime from start to end, and prints its answer. Never throws.
 *
 * @param loadPlugin loads the plugin; not called for VERSION, nor for a request that the protocol refuses
 * @returns the exit code: 0, or 1 after an error object was printed
 */
export function runPlugin(loadPlugin: () => Plugin, sys: Process): number {
  const { exitCode, stdout, unwritten } = servePlugin(loadPlugin, sys)
  try {
    if (stdout !== '') sys.writeStdout(stdout)
    return exitCode
  } catch (error) {
    unwritten((error as Error).message)
    return 1
  }
}

/** As {@link runPlugin}, but the answer is returned. */
export function servePlugin(loadPlugin: () => Plugin, sys: Surroundings): Served {
  const call: Call = { cniVersion: currentVersion, log: undefined, undo: undefined }
  try {
    const stdout = serve(loadPlugin, sys, call)
    call.log?.succeeded()
    return { exitCode: 0, stdout, unwritten: (reason) => giveUp(reason, call, sys) }
  } catch (thrown) {
    const error = reportError(thrown, call, sys)
    const stdout = `${stringify(error.toObject(call.cniVersion))}\n`
    return {
      exitCode: 1,
      stdout,
      unwritten: (reason) => tell(sys, `${error.message}; ${lostWords(reason)}\n`),
    }
  }
}

/** The facts about a call, as far as they are read. */
interface Call {
  cniVersion: string
  log: VerbLog | undefined
  /** Takes an ADD back that has succeeded. */
  undo: ((failure: CniError) => void) | undefined
}

/** Returns the text for stdout. */
function serve(loadPlugin: () => Plugin, sys: Surroundings, call: Call): string {
  const command = sys.env.CNI_COMMAND ?? ''
  if (command === '') {
    printAbout(loadPlugin(), sys)
    return ''
  }
  if (command === 'VERSION') return `${stringify({ cniVersion: currentVersion, supportedVersions })}\n`

  call.log = startVerbLog({ env: sys.env, plugin: sys.plugin, nodeFile: sys.logOverride })
  const request = step('parse', () => readRequest(sys, call))
  call.log.parsed()
  const plugin = loadPlugin()
  const text = verbs[request.command](plugin, request, sys)
  if (request.command === 'ADD')
    call.undo = (failure) =>
      alone(sys, request, () => takeBack(plugin, request, failure, (line) => warn(sys, line)))
  return text
}

/** Longest cniVersion, in characters, that an error object repeats; the versions of the specification have five. */
const longestVersion = 40

function readRequest(sys: Surroundings, call: Call): Request {
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

function withPolicy(request: Request, policy: CallPolicy, sys: Surroundings): Request {
  const tell = (line: string) => warn(sys, `${sys.plugin ?? request.type}: ${line}`)
  const within = bounded(request, policy, tell)
  if (request.command !== 'ADD' || sys.policy === undefined) return within
  const words = unboundedWords(policy, sys.policy.file, request.config)
  if (words !== undefined && sys.policy.isFirst()) tell(words)
  return within
}

type Verb = (plugin: Plugin, request: Request, sys: Surroundings) => string

/** The verb, which prints nothing. */
const silent =
  (verb: (plugin: Plugin, request: Request, sys: Surroundings) => void): Verb =>
  (plugin, request, sys) => {
    verb(plugin, request, sys)
    return ''
  }

/** The service of each verb: the text for stdout. A verb without an entry does not compile. */
const verbs: Readonly<Record<Request['command'], Verb>> = {
  ADD: (plugin, request, sys) => alone(sys, request, () => add(plugin, request, sys)),
  DEL: silent((plugin, request, sys) => alone(sys, request, () => plugin.del(request))),
  CHECK: silent((plugin, request) => plugin.check(request)),
  GC: silent((plugin, request) => plugin.gc(request)),
  STATUS: silent((plugin, request) => plugin.status(request)),
  // serve() has answered before anything is read.
  VERSION: () => '',
}

/** Runs `action` while no other ADD or DEL of the attachment runs. */
function alone<T>(sys: Surroundings, request: Request, action: () => T): T {
  return sys.locked === undefined ? action() : sys.locked(request, action)
}

/**
 * Runs an ADD. An ADD whose result can't be printed, or whose caller has gone, is undone as DEL would: a runtime without a result takes
 * the ADD for failed and may never call DEL.
 */
function add(plugin: Plugin, request: Request, sys: Surroundings): string {
  stillWanted()
  if (sys.isLostWorker === true) takeBackLost(plugin, request)
  const result = cancellable(() => plugin.add(request))
  try {
    const text = `${printResult(result, request.cniVersion)}\n`
    stillWanted()
    return text
  } catch (failure) {
    takeBack(plugin, request, CniError.from(failure), (line) => warn(sys, line))
    throw failure
  }
}

/** @throws CniError 11 in an ADD whose caller is gone */
function stillWanted(): void {
  explained(() => cancellable(requireCaller))
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
  sys: Surroundings,
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

function readStdin(sys: Surroundings): string {
  try {
    return sys.readStdin()
  } catch (cause) {
    throw new CniError(code.ioFailure, `error reading from stdin: ${(cause as Error).message}`, { cause })
  }
}

function printAbout(plugin: Plugin, sys: Surroundings): void {
  sys.writeStderr(`${plugin.about}\nCNI protocol versions supported: ${supportedVersions.join(', ')}\n`)
}

/** Stdout is lost after a success: the exit code reports the failure, and so does stderr if that is still open. */
function giveUp(reason: string, { log, undo }: Call, sys: Surroundings): void {
  const failure = new CniError(code.ioFailure, lostWords(reason))
  log?.resumed()
  try {
    undo?.(failure)
  } catch (second) {
    warn(sys, `Cannot undo the ADD: ${CniError.from(second).message}`)
  }
  log?.failed(failure)
  tell(sys, `${failure.message}\n`)
}

function lostWords(reason: string): string {
  return `error writing to stdout: ${reason}`
}

/** Reports an error to the log. The stack of a defect goes to the log, or without a log to stderr. */
function reportError(thrown: unknown, { log }: Call, sys: Surroundings): CniError {
  const error = CniError.from(thrown)
  const isLogged = log?.failed(error) ?? false
  const isDefect = error.code === code.internal && thrown instanceof Error
  if (isDefect && !isLogged) tell(sys, `${thrown.stack ?? thrown.message}\n`)
  return error
}

/** Writes a warning: to the log, or without a log to stderr. */
function warn(sys: Surroundings, line: string): void {
  if (isLogConfigured()) log.warn({}, line)
  else tell(sys, `${line}\n`)
}

/** Writes to stderr. A closed stderr must not cost the runtime its error object. */
function tell(sys: Surroundings, text: string): void {
  try {
    sys.writeStderr(text)
  } catch {
    // Stderr is closed.
  }
}
