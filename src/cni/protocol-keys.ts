/** Keys of every network config: those of the CNI specification, which request.ts reads, and those of the log (lib/log). */
import type { JsonObject } from '../lib/json.ts'
import { row } from './config-keys.ts'
import { type Leaf, leaf } from './value-kinds.ts'

/** A value that another reader of the config checks. */
export const elsewhere = (allowed: string, schema: JsonObject): Leaf<unknown> =>
  leaf((value) => value as unknown, allowed, schema)
const words = elsewhere('a text', { type: 'string' })
const flag = elsewhere('true or false', { type: 'boolean' })

/** The path of the file of device information. No plugin refuses a call for its value. */
export const deviceInfoPath = elsewhere('an absolute path', { type: 'string', pattern: '^/' })

/** The keys that all plugins have. */
export const protocolKeys = {
  cniVersion: row(words, { of: ['CNI'], effect: 'version of the specification, 0.1.0 to 1.1.0' }),
  cniVersions: row(elsewhere('an array of texts', { type: 'array', items: { type: 'string' } }), {
    of: ['CNI'],
    effect: 'versions that the list allows',
  }),
  name: row(words, { of: ['CNI'], effect: 'name of the network' }),
  type: row(words, { of: ['CNI'], effect: 'name of the plugin' }),
  capabilities: row(elsewhere('an object', { type: 'object', additionalProperties: { type: 'boolean' } }), {
    of: ['CNI'],
    effect: 'values that the runtime hands on in `runtimeConfig`',
  }),
  args: row(elsewhere('an object', { type: 'object' }), { of: ['CNI'], effect: 'arguments of the runtime' }),
  prevResult: row(elsewhere('an object', { type: 'object' }), {
    of: ['CNI'],
    effect: 'result of the plugin before, from the runtime',
  }),
  disableCheck: row(flag, { of: ['CNI'], effect: 'the runtime does not call CHECK' }),
  disableGC: row(flag, { of: ['CNI'], effect: 'the runtime does not call GC' }),
} as const

/** The keys of the log. A value that can not be used is a warning there. */
export const logKeys = {
  logLevel: row(
    elsewhere('panic, error, warning, info or debug', {
      enum: ['panic', 'error', 'warning', 'warn', 'info', 'debug', 'verbose'],
    }),
    {
      of: ['sriov-cni'],
      effect: 'how much is logged, see [Logging](#logging)',
    },
  ),
  logFile: row(elsewhere('an absolute path', { type: 'string', pattern: '^/' }), {
    of: ['sriov-cni'],
    effect: 'file of the log, see [Logging](#logging)',
  }),
} as const
