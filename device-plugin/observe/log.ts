/**
 * The log of the device plugin: JSON lines on stderr, each written at once, so that no exit loses one. Lines that repeat are held
 * back and counted. The lines of src/ go the same way.
 */
import { addLogFields, isLogged, log, startLog } from '../../src/lib/log/log.ts'
import type { Level } from '../../src/lib/log/log-settings.ts'
import type { LogFields, PluginLog } from '../log.ts'

/** Lines of one text within `window` milliseconds: the first `burst` are written. */
const window = 60_000
const burst = 5
/** Texts that are remembered: the oldest one is forgotten first. */
const mostTexts = 256

/** Starts the log of this process. */
export function startPluginLog(level: Level, fields: LogFields = {}): PluginLog {
  startLog(() => ({ level, file: undefined, configured: true, warnings: [] }), {})
  addLogFields({ program: 'vf-device-plugin', ...fields })
  return limited(
    (name, message, more) => {
      if (name === 'warning') log.warn(more, message)
      else log[name](more, message)
    },
    { isLogged },
  )
}

/** The levels that the device plugin writes. */
export type PluginLevel = 'debug' | 'info' | 'warning' | 'error'

/**
 * A log that writes a text at most five times a minute. The next line of that text after the minute has the field `heldBack`: the
 * number of lines that were not written. `now` is in milliseconds.
 */
export function limited(
  write: (level: PluginLevel, message: string, fields: LogFields) => void,
  {
    now = () => performance.now(),
    isLogged = () => true,
  }: { readonly now?: () => number; readonly isLogged?: (level: PluginLevel) => boolean } = {},
): PluginLog {
  const seen = new Map<string, { since: number; count: number }>()
  const line = (level: PluginLevel) => {
    return (message: string, fields: LogFields = {}): void => {
      if (!isLogged(level)) return
      const at = now()
      const key = `${level} ${message}`
      const known = seen.get(key)
      if (known !== undefined && at - known.since < window) {
        if (++known.count <= burst) write(level, message, fields)
        return
      }
      seen.delete(key)
      seen.set(key, { since: at, count: 1 })
      const [oldest] = seen.keys()
      if (seen.size > mostTexts && oldest !== undefined) seen.delete(oldest)
      const heldBack = known === undefined ? 0 : known.count - burst
      write(level, message, heldBack > 0 ? { ...fields, heldBack } : fields)
    }
  }
  return { debug: line('debug'), info: line('info'), warn: line('warning'), error: line('error') }
}
