// Reads log lines: of parts of src/ in this process, or from a file that an executable wrote.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLog } from '../../src/lib/log/log.ts'
import { defaultSettings, type Level } from '../../src/lib/log/log-settings.ts'

export type Line = Readonly<Record<string, unknown>>

/** The lines of a text, each a JSON object. */
export function linesOf(text: string): Line[] {
  if (text === '') return []
  if (!text.endsWith('\n')) throw new Error(`the last line has no end: ${text}`)
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
}

/** The lines of a log file; none if there is no file. */
export function linesIn(path: string): Line[] {
  return existsSync(path) ? linesOf(readFileSync(path, 'utf8')) : []
}

/** The lines logged at `level` while `action` runs. The log is off again afterwards, and when `action` throws. */
export function logged(level: Level, action: () => unknown): Line[] {
  const folder = mkdtempSync(join(tmpdir(), 'log-'))
  const file = join(folder, 'log')
  try {
    startLog(() => ({ level, file, configured: true, warnings: [] }), {})
    action()
    return linesIn(file)
  } finally {
    startLog(() => defaultSettings, {})
    rmSync(folder, { recursive: true })
  }
}
