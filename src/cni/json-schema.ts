/** JSON Schema (draft 2020-12) of a table of keys, for editors. `vfctl schema` prints it; no call of a plugin loads this. */
import type { JsonObject, JsonValue } from '../lib/json.ts'
import type { ConfigKey, KeyTable } from './config-keys.ts'

/** The words of a schema about itself. */
export interface SchemaAbout {
  readonly title: string
  readonly description: string
  /** Keys that an object must have beside those that the table requires. */
  readonly required?: readonly string[]
  /** A key that is in no table is an error; otherwise it has no effect, which the program tells. */
  readonly isClosed?: true
}

/** The schema of an object with the keys of a table. */
export function schemaOf(
  table: KeyTable,
  { title, description, required = [], isClosed }: SchemaAbout,
): JsonObject {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title,
    description,
    type: 'object',
    ...membersOf(table, required),
    ...(isClosed === true ? { additionalProperties: false } : {}),
  }
}

function membersOf(table: KeyTable, more: readonly string[] = []): JsonObject {
  const entries = Object.entries(table)
  const required = [
    ...more,
    ...entries.flatMap(([key, { isRequired }]) => (isRequired === true ? [key] : [])),
  ]
  return {
    properties: Object.fromEntries(entries.map(([key, one]) => [key, propertyOf(one)])),
    ...(required.length === 0 ? {} : { required }),
  }
}

function propertyOf({ schema, members, isList, effect, of, isIdle, default: value }: ConfigKey): JsonObject {
  const inner = members === undefined ? {} : membersOf(members)
  return {
    description: `${sentence(effect)} Key of ${of.join(' and ')}.`,
    ...schema,
    ...(isList === true ? { items: { type: 'object', ...inner } } : inner),
    ...(value === undefined ? {} : { default: value as JsonValue }),
    ...(isIdle === true ? { deprecated: true } : {}),
  }
}

/** The words of a cell of the page, as a sentence without links. */
function sentence(effect: string): string {
  const plain = effect.replaceAll(/\[([^\]]+)\]\([^)]*\)/g, '$1').replace(/^\.\.\. /, 'also ')
  const first = plain.startsWith('`') ? plain : plain.charAt(0).toUpperCase() + plain.slice(1)
  return `${first}.`
}
