/** The operator's settings of the agent, /etc/vf-flower/agent.json. Without the file, and without a key, the defaults hold. */
import * as z from 'zod/mini'
import { readTrusted } from '../lib/trusted-file.ts'
import { errorCode } from '../sys/errno.ts'

/** Path of the file. */
export const settingsFile = '/etc/vf-flower/agent.json'

/** Settings that can't be used. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
}

const whole = (least: number, most: number) => z.int().check(z.gte(least), z.lte(most))

/** The keys, each with its range. */
const form = z.strictObject({
  workers: z.optional(whole(1, 64)),
  maxWorkers: z.optional(whole(1, 64)),
  callsPerWorker: z.optional(whole(1, 1e9)),
  workerMemory: z.optional(whole(32, 4096)),
  metrics: z.optional(z.string()),
})

/** Settings with their defaults. */
export interface Settings {
  /** Workers that are kept, 1 to 64. */
  readonly workers: number
  /** Workers at most, 1 to 64, not below `workers`. */
  readonly maxWorkers: number
  /** Calls after which a worker is replaced. */
  readonly callsPerWorker: number
  /** Resident memory with which a worker is replaced, in MiB; 32 to 4096. */
  readonly workerMemory: number
  /** A TCP address for /metrics: ADDRESS:PORT, or [ADDRESS]:PORT for IPv6. Without it only the unix socket serves it. */
  readonly metrics?: string | undefined
}

/** The settings without a file. */
export const defaultSettings: Settings = {
  ...{ workers: 2, maxWorkers: 16, callsPerWorker: 10_000, workerMemory: 160 },
}

/** Words for what each key may be. */
const allowed: Readonly<Record<string, string>> = {
  workers: 'an integer from 1 to 64',
  maxWorkers: 'an integer from 1 to 64',
  callsPerWorker: 'an integer from 1 to 1000000000',
  workerMemory: 'an integer from 32 to 4096 (MiB)',
  metrics: 'ADDRESS:PORT or [ADDRESS]:PORT',
}

/** Reads the settings from a text. @throws SettingsError with the key, the value and what is allowed */
export function parseSettings(text: string, file = settingsFile): Settings {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new SettingsError(`Cannot use ${file}: ${(error as Error).message}`)
  }
  const read = form.safeParse(value)
  if (!read.success) {
    const [issue] = read.error.issues
    if (issue?.code === 'unrecognized_keys') {
      const names = issue.keys.map((key) => `"${key}"`).join(', ')
      throw new SettingsError(
        `Cannot use ${file}: unknown key ${names}; must be one of ${Object.keys(allowed).join(', ')}`,
      )
    }
    const key = String(issue?.path[0] ?? '')
    if (key === '') throw new SettingsError(`Cannot use ${file}: must be an object`)
    const given = JSON.stringify((value as Record<string, unknown>)[key])
    throw new SettingsError(`Cannot use ${file}: ${key} is ${given}; must be ${allowed[key]}`)
  }
  const given = Object.fromEntries(Object.entries(read.data).filter(([, one]) => one !== undefined))
  const settings: Settings = { ...defaultSettings, ...given }
  const { workers, maxWorkers, metrics } = settings
  if (read.data.maxWorkers === undefined)
    return checked({ ...settings, maxWorkers: Math.max(workers, maxWorkers) }, file)
  if (maxWorkers < workers)
    throw new SettingsError(
      `Cannot use ${file}: maxWorkers is ${maxWorkers}; must be ${workers} (workers) or more`,
    )
  return checked({ ...settings, metrics }, file)
}

function checked(settings: Settings, file: string): Settings {
  const { metrics } = settings
  if (metrics !== undefined && !/^(?:\[[0-9a-fA-F:.]+\]|[0-9.]+):\d{1,5}$/.test(metrics))
    throw new SettingsError(
      `Cannot use ${file}: metrics is ${JSON.stringify(metrics)}; must be ${allowed.metrics}`,
    )
  return settings
}

/** Reads the file, which only root may be able to write. @throws SettingsError */
export function readSettings(file = settingsFile): Settings {
  let text: string
  try {
    text = readTrusted(file)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return defaultSettings
    throw new SettingsError(`Cannot use ${file}: ${(error as Error).message}`)
  }
  return parseSettings(text, file)
}
