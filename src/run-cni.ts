/**
 * Connects a CNI plugin, the protocol and the process that serves a call. `runCni` serves the only call of this process; a worker of the
 * agent loads all code once and then serves one call after the other with `serveCall`.
 */
import { lstatSync, mkdirSync, writeFileSync } from 'node:fs'
import { type Plugin, servePlugin } from './cni/dispatch.ts'
import { CniError, code } from './cni/error.ts'
import { defaultPolicy, type PolicySource } from './cni/policy.ts'
import { type CallHooks, inCall, ownProcess } from './lib/call/call.ts'
import { isOwnNetns } from './sys/own-netns.ts'
import { readStdin, writeAll } from './sys/stdio.ts'

/**
 * Names that this program answers to as a CNI plugin: `sriov` and `host-device` are vf-attach, `portmap` and `bandwidth` are
 * vf-offload. Each takes the configs of the known plugin of its name.
 */
export type PluginName = OffloadName | 'vf-attach' | 'sriov' | 'host-device'
type OffloadName = 'vf-offload' | 'portmap' | 'bandwidth'

/** One call of a runtime. */
export interface RuntimeCall {
  /** The name that the program was called by. */
  readonly name: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Standard input, or a function that reads it when the protocol first needs it. */
  readonly stdin: string | (() => string)
  /** A worker of the agent has died in this call. */
  readonly isLostWorker?: boolean
}

/** The outcome of a call. */
export interface Answer {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  /**
   * Has to be called when `stdout` can't be written, with the reason: an ADD is taken back as its DEL would do it. Returns the text for
   * standard error. The exit code is 1 then.
   */
  undo(reason: string): string
}

/** Serves the only call of this process as the plugin `name`; returns the exit code. `args` are the arguments of the command line. */
export async function runCni(name: PluginName, args: readonly string[] = []): Promise<number> {
  const { env } = process
  if (env.CNI_COMMAND !== 'VERSION') await load(name, env.CNI_COMMAND)
  const call = { name, env, stdin: readStdin, isLostWorker: args.length === 1 && args[0] === '--lost-worker' }
  // Written at once: a process that is killed has told what it could.
  const answer = serveCall(call, { ...ownProcess, stderr: writeStderr })
  try {
    if (answer.stdout !== '') writeAll(1, answer.stdout)
    return answer.exitCode
  } catch (error) {
    answer.undo((error as Error).message)
    return 1
  }
}

/**
 * Serves a whole call, with nothing of the process in it. The code has to be loaded ({@link loadAll}). Never throws.
 * @returns the answer, of which nothing is written yet but what the hook `stderr` took
 */
export function serveCall(call: RuntimeCall, hooks: CallHooks): Answer {
  const { env, isLostWorker = false, stdin } = call
  const told: string[] = []
  const write = hooks.stderr ?? ((text: string) => void told.push(text))
  const own = { env, hooks, stderr: write }
  const name = pluginName(call.name)
  const isVersion = env.CNI_COMMAND === 'VERSION'
  const { exitCode, stdout, unwritten } = inCall(own, () =>
    servePlugin(() => pluginOf(name), {
      env,
      plugin: call.name,
      logOverride: `${settingsFolder}/log.json`,
      ...(isVersion ? {} : { policy }),
      isLostWorker,
      locked: (request, action) =>
        loaded.machine === undefined || loaded.lock === undefined
          ? action()
          : loaded.lock(loaded.machine, request, action),
      sameNetns: isOwnNetns,
      readStdin: () => (typeof stdin === 'string' ? stdin : stdin()),
      writeStderr: write,
    }),
  )
  const undo = (reason: string) => {
    inCall(own, () => unwritten(reason))
    return told.splice(0).join('')
  }
  return { exitCode, stdout, stderr: told.splice(0).join(''), undo }
}

/** The folder of the operator's settings, which network configs can't change. */
export const settingsFolder = '/etc/vf-flower'

/** Longest wait for a full stderr, in milliseconds: perhaps nobody reads it. */
const stderrMilliseconds = 100

function writeStderr(text: string): void {
  writeAll(2, text, stderrMilliseconds)
}

/** Code that is loaded: the same for every call. */
interface Code {
  attach?: typeof import('./attach/plugin.ts').attachPlugin
  offload?: typeof import('./offload/plugin.ts').offloadPlugin
  /** One verb alone. */
  attachDel?: typeof import('./attach/del.ts').attachDel
  attachCheck?: typeof import('./attach/check.ts').attachCheck
  offloadDel?: typeof import('./offload/del.ts').offloadDel
  machine?: typeof import('./kernel/linux-machine.ts').linuxMachine
  lock?: typeof import('./run-cni/attachment-lock.ts').withAttachmentLock
  readPolicy?: typeof import('./cni/policy-file.ts').readPolicy
  /** The reason why code could not be loaded. */
  failure?: unknown
}

const loaded: Code = {}

/**
 * Loads the code of all verbs of both plugins, and opens what is kept open, for a process that serves many calls. @throws whatever a
 * module throws, and the kernel's refusal of a socket
 */
export async function loadAll(): Promise<void> {
  loaded.machine = (await import('./kernel/linux-machine.ts')).linuxMachine
  loaded.lock = (await import('./run-cni/attachment-lock.ts')).withAttachmentLock
  loaded.attach = (await import('./attach/plugin.ts')).attachPlugin
  loaded.offload = (await import('./offload/plugin.ts')).offloadPlugin
  loaded.readPolicy = (await import('./cni/policy-file.ts')).readPolicy
  for (const piece of Object.values(await import('./kernel/linux/lazy.ts'))) piece()
  ;(await import('./kernel/linux/kept/sockets.ts')).keepHostSockets()
  ;(await import('./kernel/linux/kept/background.ts')).keepBackground()
  ;(await import('./kernel/tc/loopback-guard.ts')).keepGuards()
}

/** Loads what one call needs. A failure is kept: the runtime must get an error object for a module that fails to load, too. */
async function load(name: PluginName, command: string | undefined): Promise<void> {
  // `import` here and not at the top, because VERSION needs neither the kernel nor libc. Nothing is awaited once work has begun.
  try {
    loaded.machine = (await import('./kernel/linux-machine.ts')).linuxMachine
    if (command === 'ADD' || command === 'DEL')
      loaded.lock = (await import('./run-cni/attachment-lock.ts')).withAttachmentLock
    if (!isOffload(name)) await loadAttach(command)
    else if (command === 'DEL') loaded.offloadDel = (await import('./offload/del.ts')).offloadDel
    else loaded.offload = (await import('./offload/plugin.ts')).offloadPlugin
    // Most nodes have no file.
    if (!isAbsent(policy.file)) loaded.readPolicy = (await import('./cni/policy-file.ts')).readPolicy
  } catch (error) {
    loaded.failure = error
  }
}

async function loadAttach(command: string | undefined): Promise<void> {
  if (command === 'DEL') loaded.attachDel = (await import('./attach/del.ts')).attachDel
  else if (command === 'CHECK') loaded.attachCheck = (await import('./attach/check.ts')).attachCheck
  else loaded.attach = (await import('./attach/plugin.ts')).attachPlugin
}

function pluginName(name: string): PluginName | undefined {
  return isOffload(name) || name === 'vf-attach' || name === 'sriov' || name === 'host-device'
    ? name
    : undefined
}

function isOffload(name: string): name is OffloadName {
  return name === 'vf-offload' || name === 'portmap' || name === 'bandwidth'
}

/** @throws for code that could not be loaded */
function pluginOf(name: PluginName | undefined): Plugin {
  const { machine, attach, attachDel, attachCheck, offload, offloadDel, failure } = loaded
  if (failure !== undefined) throw failure
  if (name === undefined || machine === undefined) return never()
  if (!isOffload(name)) {
    if (attach !== undefined) return attach(machine, name)
    const own = { ...nothing, name: 'vf-attach' }
    if (attachDel !== undefined) return { ...own, del: attachDel(machine) }
    return attachCheck === undefined ? never() : { ...own, check: attachCheck(machine) }
  }
  if (offload !== undefined) return offload(machine, name)
  return offloadDel === undefined ? never() : { ...nothing, name, del: offloadDel(machine, name) }
}

function never(): never {
  throw new CniError(code.internal, 'The code of this verb is not loaded')
}

/** A plugin without verbs. */
const nothing = { name: '', about: '', add: never, del: never, check: never, gc: never, status: never }

/** The operator's policy, which each call looks for anew. Most calls pay only for the check that there is no file. */
const policy: PolicySource = {
  file: `${settingsFolder}/policy.json`,
  isFirst: isFirstSinceBoot,
  read: () => {
    if (isAbsent(policy.file)) return defaultPolicy
    // It was made since the code was loaded.
    if (loaded.readPolicy === undefined)
      throw new CniError(code.tryAgainLater, `"${policy.file}" has appeared in the middle of the call`)
    return loaded.readPolicy(policy.file)
  },
}

/** True when there is surely no file. A file that can't be checked counts as there: reading it reports the reason. */
function isAbsent(file: string): boolean {
  try {
    return lstatSync(file, { throwIfNoEntry: false }) === undefined
  } catch {
    return false
  }
}

/** Leaves a mark in a folder that a boot empties. If that fails, every caller counts as the first. */
function isFirstSinceBoot(): boolean {
  try {
    mkdirSync('/run/vf-flower', { recursive: true, mode: 0o700 })
    writeFileSync('/run/vf-flower/no-policy', '', { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'EEXIST')
  }
}
