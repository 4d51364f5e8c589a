import { get, isObject, type JsonObject } from '../lib/json.ts'
import { addLogFields, isLogConfigured, isLogged, log, startLog } from '../lib/log/log.ts'
import { logSettings } from '../lib/log/log-settings.ts'
import { recordedSteps, since, startSteps, verbFields } from '../lib/log/steps.ts'
import type { Variables } from './environment.ts'
import { type CniError, code } from './error.ts'
import { boundedLogFile, type CallPolicy } from './policy.ts'

/** What a call's lines are about. */
export interface LoggedCall {
  readonly env: Variables
  /** Name of the program; the config's `type` where it is not known. */
  readonly plugin?: string | undefined
  /** Path of the node's log settings. */
  readonly nodeFile?: string | undefined
}

/** The log of one verb: one line when it has ended. */
export interface VerbLog {
  /** To be called once the config is decoded: it may hold log settings. Its log file must be within `policy`, if there is one. */
  configured(config: JsonObject, policy?: CallPolicy): void
  /** To be called once the call is known to be one. */
  parsed(): void
  succeeded(): void
  /** @returns false if nothing was written, since nobody asked for a log */
  failed(error: CniError): boolean
}

/** Starts the log of a verb; steps are recorded from now on, and on if somebody asked for a log. */
export function startVerbLog({ env, plugin, nodeFile }: LoggedCall): VerbLog {
  const started = performance.now()
  const verb = env.CNI_COMMAND ?? ''
  let config: JsonObject | undefined
  let bounds: ((path: string) => string) | undefined
  let isConfigShown = false
  startSteps(true)
  startLog(() => logSettings({ nodeFile, env, config, bounds }), {
    plugin,
    verb,
    containerID: env.CNI_CONTAINERID,
    ifname: env.CNI_IFNAME,
  })
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
      addLogFields({
        ...(plugin === undefined ? { plugin: get(config, 'type') } : {}),
        network: get(config, 'name'),
      })
      if (!isLogConfigured()) startSteps(false)
    },
    parsed: () => {
      if (isLogConfigured()) log.debug({ config }, 'network config')
      isConfigShown = true
    },
    succeeded: () => {
      if (isLogConfigured()) log.info({ ...fields(), result: 'ok', ...times() }, `${verb} succeeded`)
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

/** The device as the config names it; a plugin that knows better says so by `addVerbFields`. */
function deviceOf(config: JsonObject): unknown {
  const runtime = get(config, 'runtimeConfig')
  return (
    get(config, 'deviceID') ??
    get(config, 'pciBusID') ??
    (isObject(runtime) ? get(runtime, 'deviceID') : undefined)
  )
}
