import { get, isObject, type JsonObject } from '../lib/json.ts'
import { addLogFields, isLogConfigured, isLogged, log, startLog } from '../lib/log/log.ts'
import { logSettings } from '../lib/log/log-settings.ts'
import { recordedSteps, since, startSteps, verbFields } from '../lib/log/steps.ts'
import type { Variables } from './environment.ts'
import { type CniError, code } from './error.ts'
import { boundedLogFile, type CallPolicy } from './policy.ts'

/** The call that the log lines are about. */
export interface LoggedCall {
  readonly env: Variables
  /** Name of the program; the config's `type` where it is not known. */
  readonly plugin?: string | undefined
  /** Path of the node's log settings. */
  readonly nodeFile?: string | undefined
}

/** The log of one verb: one line when it has ended. */
export interface VerbLog {
  /** Takes the decoded config, which may hold log settings. Its log file must be within `policy`, if there is one. */
  configured(config: JsonObject, policy?: CallPolicy): void
  /** Says that the request is valid. */
  parsed(): void
  succeeded(): void
  /** Starts the log again, in the call that takes this one back. */
  resumed(): void
  /** @returns false if nothing was written, because no log is configured */
  failed(error: CniError): boolean
}

/** Starts the log of a verb. Steps are recorded from now on; `configured` stops the recording where no log is configured. */
export function startVerbLog({ env, plugin, nodeFile }: LoggedCall): VerbLog {
  const started = performance.now()
  const verb = env.CNI_COMMAND ?? ''
  let config: JsonObject | undefined
  let bounds: ((path: string) => string) | undefined
  let isConfigShown = false
  const nameNetwork = (decoded: JsonObject) =>
    addLogFields({
      ...(plugin === undefined ? { plugin: get(decoded, 'type') } : {}),
      network: get(decoded, 'name'),
    })
  const begin = () => {
    startSteps(true)
    startLog(() => logSettings({ nodeFile, env, config, bounds }), {
      plugin,
      verb,
      containerID: env.CNI_CONTAINERID,
      ifname: env.CNI_IFNAME,
    })
  }
  begin()
  const fields = () => ({
    netns: env.CNI_NETNS,
    ...(config === undefined ? {} : { device: deviceOf(config) }),
    ...verbFields(),
  })
  const times = () => ({ ms: since(started), steps: recordedSteps() })
  return {
    configured: (decoded, policy) => {
      config = decoded
      if (policy !== undefined) bounds = (path) => boundedLogFile(policy, path)
      nameNetwork(config)
      if (!isLogConfigured()) startSteps(false)
    },
    parsed: () => {
      if (isLogConfigured()) log.debug({ config }, 'network config')
      isConfigShown = true
    },
    succeeded: () => {
      if (isLogConfigured()) log.info({ ...fields(), result: 'ok', ...times() }, `${verb} succeeded`)
    },
    resumed: () => {
      begin()
      if (config !== undefined) nameNetwork(config)
    },
    failed: (error) => {
      if (!isConfigShown && config !== undefined && isLogConfigured()) log.debug({ config }, 'network config')
      const isDefect = error.code === code.internal
      if (!isLogConfigured() || !isLogged(isDefect ? 'panic' : 'error')) return false
      const { code: number, message: msg, details } = error
      const stack = isDefect ? { stack: (error.cause instanceof Error ? error.cause : error).stack } : {}
      log[isDefect ? 'panic' : 'error'](
        { ...fields(), result: 'error', error: { code: number, msg, details }, ...stack, ...times() },
        `${verb} failed: ${msg}`,
      )
      return true
    },
  }
}

/** The device that the config names. A plugin with a better name adds it by `addVerbFields`. */
function deviceOf(config: JsonObject): unknown {
  const runtime = get(config, 'runtimeConfig')
  return (
    get(config, 'deviceID') ??
    get(config, 'pciBusID') ??
    (isObject(runtime) ? get(runtime, 'deviceID') : undefined)
  )
}
