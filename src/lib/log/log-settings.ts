/** Finds the log's level and file: the node's file counts before the environment, that before the network config. Never throws. */
import { existsSync } from 'node:fs'
import { OutOfBounds } from '../bounded-path.ts'
import { shown as asJson, get, isObject, type JsonObject, parse } from '../json.ts'
import { readTrusted } from '../trusted-file.ts'

/** From the rarest to the most frequent lines; the names of sriov-cni's `logLevel`. */
export const levels = ['panic', 'error', 'warning', 'info', 'debug'] as const

export type Level = (typeof levels)[number]

/** The sources of settings that a call has. */
export interface LogSources {
  /** Path of the node's file, `{ "level": ..., "file": ... }`; it need not exist. */
  readonly nodeFile?: string | undefined
  /** Variables: VF_FLOWER_LOG_LEVEL and VF_FLOWER_LOG_FILE count. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** The network config: `logLevel` and `logFile` count. */
  readonly config?: JsonObject | undefined
  /** Resolves the config's `logFile`; throws OutOfBounds. Without `bounds` the config is trusted like the other sources. */
  readonly bounds?: ((path: string) => string) | undefined
}

/** The settings that count. */
export interface LogSettings {
  /** Lines of this level and of those before it in `levels` are written. */
  readonly level: Level
  /** Absolute path; undefined is stderr. */
  readonly file: string | undefined
  /** The network config names the path: an existing file must be a log of ours, for root only. */
  readonly isStrict?: boolean
  /** False if no source names a level or a file: then warnings are plain lines on stderr, and nothing else is written. */
  readonly configured: boolean
  /** The values that could not be used, one line each. */
  readonly warnings: readonly string[]
}

/** The settings without any source. */
export const defaultSettings: LogSettings = {
  level: 'warning',
  file: undefined,
  configured: false,
  warnings: [],
}

/** The settings of a call. A value that can't be used counts as absent, and `warnings` names it. */
export function logSettings({ nodeFile, env = {}, config = {}, bounds }: LogSources): LogSettings {
  const warnings: string[] = []
  const node = nodeFile === undefined ? {} : readNodeFile(nodeFile, warnings)
  const first = <T>(
    candidates: readonly (readonly [name: string, value: unknown])[],
    read: (value: unknown) => T | undefined,
    allowed: string,
  ): T | undefined => {
    for (const [name, value] of candidates) {
      if (value === undefined || value === null || value === '') continue
      const usable = read(value)
      if (usable !== undefined) return usable
      warnings.push(`Cannot use ${name} ${shown(value)}: must be ${allowed}`)
    }
    return undefined
  }
  const level = first(
    [
      [`level in ${nodeFile}:`, get(node, 'level')],
      ['VF_FLOWER_LOG_LEVEL', env.VF_FLOWER_LOG_LEVEL],
      ['logLevel', get(config, 'logLevel')],
    ],
    levelOf,
    'panic, error, warning, info or debug',
  )
  const trusted = first(
    [
      [`file in ${nodeFile}:`, get(node, 'file')],
      ['VF_FLOWER_LOG_FILE', env.VF_FLOWER_LOG_FILE],
    ],
    pathOf,
    pathWords,
  )
  const own =
    trusted === undefined ? first([['logFile', get(config, 'logFile')]], pathOf, pathWords) : undefined
  const file = trusted ?? (own === undefined ? undefined : within(own, bounds, warnings))
  return {
    level: level ?? defaultSettings.level,
    file,
    ...(trusted === undefined && file !== undefined && bounds !== undefined ? { isStrict: true } : {}),
    configured: level !== undefined || file !== undefined,
    warnings,
  }
}

const pathWords = 'an absolute path'

function within(path: string, bounds: LogSources['bounds'], warnings: string[]): string | undefined {
  try {
    return bounds === undefined ? path : bounds(path)
  } catch (error) {
    if (!(error instanceof OutOfBounds)) throw error
    warnings.push(`Cannot use logFile ${shown(path)}: ${error.message}`)
    return undefined
  }
}

function levelOf(value: unknown): Level | undefined {
  if (typeof value !== 'string') return undefined
  const given = value.toLowerCase()
  const name = given === 'verbose' ? 'debug' : given === 'warn' ? 'warning' : given
  return levels.find((level) => level === name)
}

function pathOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.startsWith('/') && !value.includes('\0') ? value : undefined
}

function readNodeFile(path: string, warnings: string[]): JsonObject {
  try {
    // Most nodes have no file, and this check is cheaper than an exception.
    if (!existsSync(path)) return {}
    const value = parse(readTrusted(path))
    if (isObject(value)) return value
    warnings.push(`Cannot use ${path}: must be a JSON object`)
  } catch (error) {
    warnings.push(`Cannot use ${path}: ${error instanceof Error ? error.message : String(error)}`)
  }
  return {}
}

function shown(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? asJson(value)
    : `of type ${Array.isArray(value) ? 'array' : typeof value}`
}
