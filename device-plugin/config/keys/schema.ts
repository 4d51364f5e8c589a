/** JSON Schema (draft 2020-12) of the config file, for editors. */
import * as z from 'zod/mini'
import { isObject, type JsonObject, type JsonValue } from '../../../src/lib/json.ts'
import { objectOf } from './key-rows.ts'
import { fileKeys } from './keys.ts'

/**
 * The schema. It has the spelling that a config should have, and no key that has no effect; the program takes keys in any case, and
 * passes over unknown ones.
 */
export function pluginConfigSchema(): JsonObject {
  const schema = z.toJSONSchema(objectOf(fileKeys, 'an object'), { reused: 'inline' })
  const { $schema = '', ...rest } = forEditors(JSON.parse(JSON.stringify(schema)) as JsonObject) as JsonObject
  return {
    $schema,
    title: 'config of vf-device-plugin',
    description: 'The file of a ConfigMap of vf-device-plugin, or of the SR-IOV network device plugin.',
    ...rest,
  }
}

/** One object instead of a list where a row says so; no word that repeats that keys are texts. */
function forEditors(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(forEditors)
  if (!isObject(value)) return value
  const { isOneOrMany, propertyNames: _, ...rest } = value
  const own = Object.fromEntries(Object.entries(rest).map(([key, one]) => [key, forEditors(one)]))
  if (isOneOrMany !== true) return own
  const { items = {}, type = 'array', ...about } = own
  return { ...about, anyOf: [{ type, items }, items] }
}
