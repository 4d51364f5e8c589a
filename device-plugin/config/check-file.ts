/** `vf-device-plugin --check FILE`: all that is to be said about a config file. */
import type { Finding } from './config-error.ts'
import { readConfigFile } from './config-file.ts'
import { type ConfigOptions, examineConfig } from './read-config.ts'

/** The result of a check: `ok` without a mistake, and lines for people and for editors. */
export interface Checked {
  readonly ok: boolean
  /** A line `FILE:LINE:COLUMN: KEY: ...` for each finding, and a last line with the result. */
  readonly text: string
}

/** Checks a file. Warnings and notes do not fail the check. Never throws. */
export function checkFile(path: string, options: ConfigOptions): Checked {
  const read = readConfigFile(path)
  if ('problem' in read) return { ok: false, text: `${read.problem}\n` }
  const { config, findings } = examineConfig(read.text, options)
  const lines = findings.map((one) => lineOf(path, one))
  const ok = config !== undefined
  const mistakes = findings.filter(({ severity }) => severity === 'error').length
  const pools = config?.pools.map(({ resource }) => resource) ?? []
  const result = ok
    ? `fit for use; pools: ${pools.join(', ') || 'none'}`
    : `not fit for use; mistakes: ${mistakes}`
  return { ok, text: [...lines, `${path}: ${result}`, ''].join('\n') }
}

function lineOf(path: string, { severity, line, column, key, text }: Finding): string {
  const word = severity === 'error' ? '' : `${severity}: `
  return `${path}:${line}:${column}: ${word}${key}: ${text}`
}
