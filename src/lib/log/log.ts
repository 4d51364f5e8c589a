/**
 * The log of one call, or of a process that serves no calls. In: settings from the protocol layer, fields and messages from
 * anywhere. Out: JSON lines in a file or on stderr; without settings only warnings and worse, as plain lines on stderr.
 * Nothing here throws, and nothing is loaded before there is a line to write. Imports lib/ and, late, pino.
 */
import type { pino } from 'pino'
import { perCall } from '../call/call.ts'
import { fileWriter, writeStderr } from './log-file.ts'
import { defaultSettings, type Level, type LogSettings, levels } from './log-settings.ts'

type Fields = Readonly<Record<string, unknown>>
type Pino = typeof pino

interface Log {
  resolve: () => LogSettings
  settings: LogSettings | undefined
  context: Fields
  logger: pino.Logger | undefined
}

const its = perCall<Log>(() => ({
  resolve: () => defaultSettings,
  settings: undefined,
  context: {},
  logger: undefined,
}))

/** Starts a new log. `find` is called when the settings are first needed; every line has `fields`. */
export function startLog(find: () => LogSettings, fields: Fields): void {
  Object.assign(its(), { resolve: find, settings: undefined, context: fields, logger: undefined })
}

/** Adds fields to every line from now on. */
export function addLogFields(fields: Fields): void {
  const own = its()
  own.context = { ...own.context, ...fields }
}

/** True if a source names a level or a file. */
export function isLogConfigured(): boolean {
  return current().configured
}

/** True if a line of this level would be written; ask before an expensive line is put together. */
export function isLogged(level: Level): boolean {
  return levels.indexOf(level) <= levels.indexOf(current().level)
}

/** Writes a line of a level: `message` for humans, `fields` (names in camelCase, times in ms) for machines. */
export const log = {
  debug: (fields: Fields, message: string) => write('debug', fields, message),
  info: (fields: Fields, message: string) => write('info', fields, message),
  warn: (fields: Fields, message: string) => write('warning', fields, message),
  error: (fields: Fields, message: string) => write('error', fields, message),
  panic: (fields: Fields, message: string) => write('panic', fields, message),
}

function current(): LogSettings {
  const own = its()
  if (own.settings !== undefined) return own.settings
  const settings = own.resolve()
  own.settings = settings
  for (const line of settings.warnings) log.warn({}, `${own.context.plugin ?? 'vf-flower'}: ${line}`)
  return settings
}

/** pino's names of our levels. */
const methods = { panic: 'fatal', error: 'error', warning: 'warn', info: 'info', debug: 'debug' } as const

function write(level: Level, fields: Fields, message: string): void {
  if (!isLogged(level)) return
  if (!isLogConfigured()) {
    writeStderr(`${message}\n`)
    return
  }
  const own = its()
  try {
    own.logger ??= makeLogger(current())
    own.logger[methods[level]]({ ...own.context, ...fields }, message)
  } catch (error) {
    writeStderr(
      `${message} (without its log line: ${error instanceof Error ? error.message : String(error)})\n`,
    )
  }
}

function makeLogger({ file, isStrict }: LogSettings): pino.Logger {
  const pino = load()
  const write =
    file === undefined
      ? writeStderr
      : fileWriter(file, (line) => log.error({}, `${line}; logging to stderr`), isStrict)
  return pino(
    {
      // Lines of an unwanted level never come here.
      level: 'debug',
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (name) => ({ level: levels.find((level) => methods[level] === name) ?? name }) },
    },
    { write },
  )
}

/**
 * Loads pino. A plugin works synchronously, so `import()` is no way. In the executable log/pino.ts is an entry point beside the
 * program (hack/build.ts). The bundler can't foresee the name in this `require`, so pino stays out of the code that every call loads.
 */
function load(): Pino {
  const require =
    typeof Bun === 'undefined'
      ? process.getBuiltinModule('node:module').createRequire(import.meta.url)
      : import.meta.require
  const name = typeof Bun === 'undefined' ? 'pino' : ['.', 'pino.js'].join('/')
  return (require(name) as { pino: Pino }).pino
}
