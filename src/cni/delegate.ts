/**
 * Delegation to an IPAM plugin (CNI specification 1.1.0, section 4 "Plugin delegation"). The plugin `ipam.type` in CNI_PATH
 * gets the complete config, and the environment with the CNI_COMMAND of the delegated verb.
 * A config without `ipam.type` wants no addresses: no IPAM plugin runs.
 */
import { accessSync, constants, statSync } from 'node:fs'
import { get, isObject, parse, shown } from '../lib/json.ts'
import { log } from '../lib/log/log.ts'
import { writeStderr } from '../lib/log/log-file.ts'
import { beginStep, since } from '../lib/log/steps.ts'
import { CniError, code } from './error.ts'
import type { Command, Request } from './request.ts'
import { parseResult, type Result } from './result.ts'
import { type Ended, maxOutput, type Spawn } from './spawn.ts'

export type { Running, Spawn } from './spawn.ts'

/** The IPAM plugin's type in the config, or undefined if the config wants none. @throws CniError 7 */
export function ipamType(request: Request): string | undefined {
  const ipam = get(request.config, 'ipam') ?? null
  if (ipam === null) return undefined
  if (!isObject(ipam)) throw new CniError(code.invalidConfig, 'Cannot use ipam: must be an object')
  const type = get(ipam, 'type') ?? ''
  if (typeof type !== 'string')
    throw new CniError(code.invalidConfig, 'Cannot use ipam.type: must be a string')
  return type === '' ? undefined : type
}

/**
 * Asks the IPAM plugin for addresses. After a failure or an unreadable answer, the plugin's DEL runs before this throws.
 *
 * @returns the plugin's result in the shape of 1.1.0; undefined if the config wants no IPAM
 * @throws CniError with the plugin's own code where the plugin reported one; 4, 7 or 105 (delegateFailed) where the plugin
 * could not run or printed no result
 */
export function ipamAdd(request: Request, spawn: Spawn): Result | undefined {
  return startIpamAdd(request, spawn)?.()
}

/**
 * As {@link ipamAdd}, in two halves: starts the plugin; the returned function waits for its end. It must be called, once.
 * @throws CniError 4, 7 or 105 where there is no such plugin; the function throws as {@link ipamAdd}
 */
export function startIpamAdd(request: Request, spawn: Spawn): (() => Result) | undefined {
  const type = ipamType(request)
  if (type === undefined) return undefined
  const file = findPlugin(type, request.path)
  const end = start(type, file, 'ADD', request, spawn)
  return () => {
    try {
      return readResult(type, end(), request.cniVersion)
    } catch (failure) {
      throw withoutTrace(failure, () => start(type, file, 'DEL', request, spawn)())
    }
  }
}

/** Gives the addresses of the attachment back. @throws as {@link ipamAdd} */
export function ipamDel(request: Request, spawn: Spawn): void {
  forward('DEL', request, spawn)
}

/** As {@link ipamDel} and {@link ipamCheck}, in two halves as {@link startIpamAdd}. */
export function startIpam(
  command: 'DEL' | 'CHECK',
  request: Request,
  spawn: Spawn,
): (() => void) | undefined {
  const type = ipamType(request)
  return type === undefined ? undefined : start(type, findPlugin(type, request.path), command, request, spawn)
}

/**
 * IPAM plugins that go by the config and by what they have noted. They look at no interface, so they can run while an interface changes
 * its place. Others may: `dhcp` asks by the interface in the pod.
 */
const blindPlugins = ['host-local', 'static', 'whereabouts']

/** True if the config's IPAM plugin may run before the interface is in the pod, and while it leaves. @throws as {@link ipamType} */
export function isIpamBlind(request: Request): boolean {
  return blindPlugins.includes(ipamType(request) ?? '')
}

/** Lets the IPAM plugin check its own part. @throws as {@link ipamAdd} */
export function ipamCheck(request: Request, spawn: Spawn): void {
  forward('CHECK', request, spawn)
}

/** Hands the list of valid attachments to the IPAM plugin. @throws as {@link ipamAdd} */
export function ipamGc(request: Request, spawn: Spawn): void {
  forward('GC', request, spawn)
}

/**
 * Asks the IPAM plugin whether it can serve an ADD.
 * @throws as {@link ipamAdd}, but 50 (pluginNotAvailable) where the plugin could not run
 */
export function ipamStatus(request: Request, spawn: Spawn): void {
  try {
    forward('STATUS', request, spawn)
  } catch (error) {
    if (!(error instanceof CniError) || error.code !== code.delegateFailed) throw error
    throw new CniError(code.pluginNotAvailable, error.message, { details: error.details, cause: error })
  }
}

/**
 * The executable of a plugin: the first executable regular file of that name in the folders of CNI_PATH. Entries that are
 * no folder or cannot be read are skipped.
 * @throws CniError 7 for a name that is no file name, 4 without CNI_PATH, 105 if there is none
 */
export function findPlugin(type: string, path: readonly string[]): string {
  if (type.includes('/') || type.includes('\0') || type === '.' || type === '..') {
    throw new CniError(code.invalidConfig, `Cannot use ipam.type ${shown(type)}: must be a file name`)
  }
  if (path.length === 0) {
    throw new CniError(code.invalidEnvironment, `Cannot find IPAM plugin ${shown(type)}: CNI_PATH is missing`)
  }
  const unusable: string[] = []
  for (const folder of path) {
    const file = `${folder}/${type}`
    const hindrance = hindranceTo(file)
    if (hindrance === undefined) return file
    if (hindrance !== '') unusable.push(`${file} ${hindrance}`)
  }
  throw new CniError(
    code.delegateFailed,
    `Cannot find IPAM plugin ${shown(type)} in CNI_PATH: ${path.join(', ')}`,
    {
      details: unusable.join('; '),
    },
  )
}

function forward(command: Command, request: Request, spawn: Spawn): void {
  const type = ipamType(request)
  if (type !== undefined) start(type, findPlugin(type, request.path), command, request, spawn)()
}

/** Starts one command of the plugin. The returned function waits for its end and returns its output. */
function start(type: string, file: string, command: Command, request: Request, spawn: Spawn): () => string {
  const endStep = beginStep(`ipam.${command}`)
  const started = performance.now()
  const end = startPatiently(file, request.stdin, childEnvironment(request.env, command), spawn)
  return () => {
    let isDone = false
    try {
      const output = outputOf(type, file, command, end(), started)
      isDone = true
      return output
    } finally {
      endStep(!isDone)
    }
  }
}

/** @throws CniError for a plugin that failed */
function outputOf(type: string, file: string, command: Command, ended: Ended, started: number): string {
  const { status, signal, stdout, stderr = '' } = ended
  if (stderr !== '') writeStderr(stderr)
  const ipam = { file, command, status, signal, stdout }
  log.debug({ ipam, ms: since(started) }, `IPAM plugin "${type}" ended its ${command}`)
  if (ended.status === 0 && ended.error === undefined) return ended.stdout
  const unreported = `IPAM plugin "${type}" ${end(ended)}`
  throw reported(type, ended.stdout) ?? new CniError(code.delegateFailed, unreported, { cause: ended.error })
}

/** Keeps CNI_ variables and PATH. Variables of loaders and interpreters (LD_*, BUN_*, NODE_*) must not change what the IPAM plugin does. */
function childEnvironment(env: Readonly<Record<string, string>>, command: Command): Record<string, string> {
  const clean: Record<string, string> = {}
  for (const [name, value] of Object.entries(env))
    if (name === 'PATH' || name.startsWith('CNI_')) clean[name] = value
  clean.CNI_COMMAND = command
  return clean
}

/** Starts a program. The returned function waits for its end, and retries for up to 5 s, as libcni does, while an installer that replaces the executable holds it open for writing (ETXTBSY). */
function startPatiently(file: string, stdin: string, env: Record<string, string>, spawn: Spawn): () => Ended {
  const first = spawn(file, stdin, env)
  return () => {
    let ended = first.end()
    for (let waits = 0; ended.error?.code === 'ETXTBSY' && waits < 50; waits++) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
      ended = spawn(file, stdin, env).end()
    }
    return ended
  }
}

function readResult(type: string, stdout: string, cniVersion: string): Result {
  try {
    return parseResult(parse(stdout), cniVersion)
  } catch (cause) {
    const why = (cause as Error).message
    throw new CniError(
      cause instanceof CniError ? cause.code : code.delegateFailed,
      `IPAM plugin "${type}" printed no result: ${quoted(stdout)}`,
      { details: why, cause },
    )
  }
}

/** The error object of a plugin that failed, if it printed one. */
function reported(type: string, stdout: string): CniError | undefined {
  try {
    const object = parse(stdout)
    if (!isObject(object)) return undefined
    const [number, msg, details] = ['code', 'msg', 'details'].map((key) => get(object, key) ?? undefined)
    if (typeof msg !== 'string' || (typeof number !== 'number' && typeof number !== 'bigint'))
      return undefined
    const words = typeof details === 'string' ? details : undefined
    const said = `IPAM plugin "${type}": ${msg}`
    if (isErrorCode(number)) return new CniError(number, said, { details: words })
    const strange = `its code is ${number}, which must be an integer from 1 to ${highestCode}`
    return new CniError(code.delegateFailed, said, {
      details: [strange, words].filter((part) => part !== undefined).join('; '),
    })
  } catch {
    return undefined
  }
}

/** Runtimes in Go read a code into an unsigned 32-bit integer. A code of 0 means success. */
const highestCode = 0xffffffff

function isErrorCode(number: number | bigint): number is number {
  return typeof number === 'number' && Number.isInteger(number) && number >= 1 && number <= highestCode
}

function end({ status, signal, stdout, error }: Ended): string {
  if (error?.code === 'ENOBUFS') return `printed more than ${maxOutput >> 20} MiB and was ended`
  if (error !== undefined) return `could not be run: ${error.message}`
  const how = status === null ? `was ended by ${signal ?? 'a signal'}` : `failed with exit code ${status}`
  return stdout === ''
    ? `${how} and said nothing on stdout`
    : `${how} and printed no error object: ${quoted(stdout)}`
}

/** Quotes the output of the plugin; a long output is cut. */
function quoted(stdout: string): string {
  return stdout === '' ? 'nothing' : shown(stdout)
}

/** Runs `undo` after a failed ADD. The error of the ADD stays the reported one. */
function withoutTrace(failure: unknown, undo: () => void): CniError {
  const error = CniError.from(failure)
  try {
    undo()
    return error
  } catch (second) {
    const details = [error.details, `DEL after it failed too: ${CniError.from(second).message}`]
      .filter(Boolean)
      .join('; ')
    return new CniError(error.code, error.message, { details, cause: failure })
  }
}

/** The reason why a file cannot run: '' where there is no file; undefined when the file can run. */
function hindranceTo(file: string): string | undefined {
  try {
    const found = statSync(file, { throwIfNoEntry: false })
    if (found?.isFile() !== true) return ''
    accessSync(file, constants.X_OK)
    return undefined
  } catch (error) {
    const { code: errno = '' } = error as { code?: string }
    return errno === 'EACCES' ? 'is not executable' : `can't be looked at (${errno})`
  }
}
