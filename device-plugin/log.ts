/** The log as every part of the device plugin sees it. Who starts it is in observe/log.ts. */

/** Values of a line for machines: names in camelCase, times in milliseconds. */
export type LogFields = Readonly<Record<string, unknown>>

/** Writes lines: one sentence for people, and fields for machines. */
export interface PluginLog {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}
