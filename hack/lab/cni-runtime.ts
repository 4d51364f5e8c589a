// Does with a CNI configuration list as container runtimes do, in the lab's guest: every plugin in order for ADD, with
// the result of the one before as prevResult, and in reverse order for DEL, with the last result (libcni).
import type { ExecResult, Lab, LabProcess } from './lab.ts'

/** One plugin's part of a configuration list. */
export interface PluginConfig {
  readonly type: string
  readonly capabilities?: Readonly<Record<string, boolean>>
  readonly [key: string]: unknown
}

/** A network configuration list, CNI spec section 1. */
export interface ConfigList {
  readonly cniVersion: string
  readonly name: string
  readonly plugins: readonly PluginConfig[]
}

/** One container interface, with the runtime's values for it. */
export interface Attachment {
  readonly containerID: string
  /** Path of the namespace; empty for a DEL after the namespace is gone. */
  readonly netns: string
  readonly ifname: string
  /** Arguments by capability: each plugin gets those of its declared capabilities. */
  readonly capabilityArgs?: Readonly<Record<string, unknown>>
  /** CNI_ARGS */
  readonly args?: string
}

/** The result of an ADD. */
export interface CniResult {
  readonly interfaces?: readonly {
    readonly name: string
    readonly mac?: string
    readonly mtu?: number
    readonly sandbox?: string
    readonly pciID?: string
  }[]
  readonly ips?: readonly {
    readonly address: string
    readonly gateway?: string
    readonly interface?: number
  }[]
  readonly [key: string]: unknown
}

/** The error object of a plugin; `code` is -1 if the plugin printed something else. */
export class PluginError extends Error {
  readonly plugin: string
  readonly code: number
  readonly msg: string
  readonly details: string | undefined

  constructor(plugin: string, command: string, result: ExecResult) {
    const object = errorObject(result.stdout)
    const words = object === undefined ? `code ${result.code}: ${result.stdout}${result.stderr}` : object.msg
    super(`${plugin} ${command}: ${words}${object?.details === undefined ? '' : ` (${object.details})`}`)
    this.name = 'PluginError'
    this.plugin = plugin
    this.code = object?.code ?? -1
    this.msg = object?.msg ?? ''
    this.details = object?.details
  }
}

/** The calls of a runtime. */
export interface Runtime {
  /** ADD of the whole list. Stops at the first failure: the caller decides about DEL, as runtimes do. */
  add(list: ConfigList, attachment: Attachment): Promise<CniResult>
  /** DEL of the whole list in reverse order; stops at the first error. */
  del(list: ConfigList, attachment: Attachment, result?: CniResult): Promise<void>
  check(list: ConfigList, attachment: Attachment, result: CniResult): Promise<void>
  /** One call of one plugin; never throws for an error of the plugin. */
  call(
    command: string,
    list: ConfigList,
    plugin: PluginConfig,
    attachment: Attachment,
    extra?: CallExtra,
  ): Promise<ExecResult>
  /** The same call, started without waiting for its end. */
  start(
    command: string,
    list: ConfigList,
    plugin: PluginConfig,
    attachment: Attachment,
    extra?: CallExtra,
  ): Promise<LabProcess>
}

/** Additions to one call. */
export interface CallExtra {
  readonly prevResult?: CniResult | undefined
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Added to the plugin's config, on its top level. */
  readonly config?: Readonly<Record<string, unknown>>
  /** A command that runs the plugin, its last argument, in place of the runtime's own. */
  readonly front?: readonly string[]
  /** A process of its own serves the call, also beside an agent: one that is to kill itself. */
  readonly standalone?: boolean
  /** Milliseconds, with the default of all programs in the lab. */
  readonly timeoutMs?: number
}

/**
 * A runtime with its plugins in the folders of `path` (of the guest, which sees the host's files). `front` is a command that runs the
 * plugin, its last argument.
 */
export function cniRuntime(lab: Lab, path: readonly string[], front: readonly string[] = []): Runtime {
  const prepare = async (...[command, list, plugin, attachment, extra = {}]: Parameters<Runtime['call']>) => {
    const file = await findPlugin(lab, path, plugin.type)
    const config = {
      ...plugin,
      cniVersion: list.cniVersion,
      name: list.name,
      ...runtimeConfig(plugin, attachment),
      ...(extra.prevResult === undefined ? {} : { prevResult: extra.prevResult }),
      ...extra.config,
    }
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: attachment.containerID,
      CNI_NETNS: attachment.netns,
      CNI_IFNAME: attachment.ifname,
      CNI_PATH: path.join(':'),
      ...(attachment.args === undefined ? {} : { CNI_ARGS: attachment.args }),
      ...extra.env,
    }
    const { timeoutMs } = extra
    const limit = timeoutMs === undefined ? {} : { timeoutMs }
    const options = { env, cleanEnv: true, stdin: JSON.stringify(config), ...limit }
    // With an argument the shim asks no agent.
    const alone = extra.standalone === true ? ['alone'] : []
    return [[...(extra.front ?? front), file, ...alone], options] as const
  }
  const call: Runtime['call'] = async (...parameters) => lab.exec(...(await prepare(...parameters)))
  const succeed = async (...parameters: Parameters<Runtime['call']>): Promise<ExecResult> => {
    const result = await call(...parameters)
    if (result.code !== 0) throw new PluginError(parameters[2].type, parameters[0], result)
    return result
  }
  return {
    call,
    start: async (...parameters) => lab.spawn(...(await prepare(...parameters))),
    add: async (list, attachment) => {
      let prevResult: CniResult | undefined
      for (const plugin of list.plugins) {
        const { stdout } = await succeed('ADD', list, plugin, attachment, { prevResult })
        prevResult = JSON.parse(stdout) as CniResult
      }
      return prevResult ?? {}
    },
    del: async (list, attachment, result) => {
      for (const plugin of [...list.plugins].reverse()) {
        await succeed('DEL', list, plugin, attachment, { prevResult: result })
      }
    },
    check: async (list, attachment, result) => {
      for (const plugin of list.plugins) {
        await succeed('CHECK', list, plugin, attachment, { prevResult: result })
      }
    },
  }
}

/** The arguments of the capabilities that the plugin declares (CONVENTIONS.md, "Dynamic plugin specific fields"). */
function runtimeConfig(plugin: PluginConfig, attachment: Attachment): Record<string, unknown> {
  const given = Object.entries(attachment.capabilityArgs ?? {}).filter(
    ([capability]) => plugin.capabilities?.[capability] === true,
  )
  return given.length === 0 ? {} : { runtimeConfig: Object.fromEntries(given) }
}

const found = new Map<string, string>()

async function findPlugin(lab: Lab, path: readonly string[], type: string): Promise<string> {
  const key = `${path.join(':')} ${type}`
  const known = found.get(key)
  if (known !== undefined) return known
  for (const folder of path) {
    const { code } = await lab.exec(['test', '-x', `${folder}/${type}`])
    if (code !== 0) continue
    found.set(key, `${folder}/${type}`)
    return `${folder}/${type}`
  }
  throw new Error(`Cannot find plugin "${type}" in ${path.join(', ')}`)
}

function errorObject(stdout: string): { code: number; msg: string; details?: string } | undefined {
  try {
    const object = JSON.parse(stdout) as { code?: unknown; msg?: unknown; details?: unknown }
    if (typeof object.code !== 'number' || typeof object.msg !== 'string') return undefined
    return typeof object.details === 'string'
      ? { code: object.code, msg: object.msg, details: object.details }
      : { code: object.code, msg: object.msg }
  } catch {
    return undefined
  }
}
