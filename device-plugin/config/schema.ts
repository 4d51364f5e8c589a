/** JSON Schema (draft 2020-12) of the config file, for editors. */
import { z } from 'zod'
import type { JsonObject, JsonValue } from '../../src/lib/json.ts'
import { objectOf } from './key-rows.ts'
import { fileKeys } from './keys.ts'

/** The schema: official spelling, no keys that have no effect. The program takes keys in any case and passes over unknown ones. */
export function pluginConfigSchema(): JsonObject {
  const schema = objectOf(fileKeys, 'an object')
  const made = z.toJSONSchema(schema, { target: 'draft-2020-12', reused: 'inline' })
  const { $schema, ...rest } = JSON.parse(JSON.stringify(made)) as Record<string, JsonValue>
  return {
    $schema: $schema ?? '',
    title: 'config of vf-device-plugin',
    description: 'The ConfigMap file of vf-device-plugin and of the SR-IOV network device plugin.',
    ...rest,
  }
}
