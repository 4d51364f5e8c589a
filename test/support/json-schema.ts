/** The words of JSON Schema that src/cni/json-schema.ts writes, judged: enough to hold examples against a schema. */
import { isObject, type JsonObject, type JsonValue } from '../../src/lib/json.ts'

type Judge = (value: JsonValue, word: JsonValue, schema: JsonObject) => boolean
const number = (value: JsonValue, fits: (value: number) => boolean) =>
  typeof value !== 'number' || fits(value)
const text = (value: JsonValue, fits: (value: string) => boolean) => typeof value !== 'string' || fits(value)
const schemas = (word: JsonValue) => word as readonly JsonObject[]

/** A word that is not here is a mistake of the test: it would be passed over. */
const judges: Readonly<Record<string, Judge>> = {
  $schema: () => true,
  title: () => true,
  description: () => true,
  default: () => true,
  deprecated: () => true,
  type: (value, word) => typeOf(value).includes(word as string),
  const: (value, word) => value === word,
  enum: (value, word) => (word as readonly JsonValue[]).includes(value),
  minimum: (value, word) => number(value, (one) => one >= (word as number)),
  maximum: (value, word) => number(value, (one) => one <= (word as number)),
  minLength: (value, word) => text(value, (one) => one.length >= (word as number)),
  maxLength: (value, word) => text(value, (one) => one.length <= (word as number)),
  pattern: (value, word) => text(value, (one) => new RegExp(word as string, 'u').test(one)),
  anyOf: (value, word) => schemas(word).some((schema) => problems(schema, value).length === 0),
  required: (value, word) =>
    !isObject(value) || (word as readonly string[]).every((key) => Object.hasOwn(value, key)),
  additionalProperties: (value, word, { properties = {} }) =>
    isObject(word) ||
    !isObject(value) ||
    Object.keys(value).every((key) => Object.hasOwn(properties as JsonObject, key)),
}

/** The places of a value that a schema does not allow, with the word that forbids them; none for one that it allows. */
export function problems(schema: JsonObject, value: JsonValue, path = ''): string[] {
  const own = Object.entries(schema).flatMap(([name, word]) => {
    if (name === 'properties' || name === 'items') return []
    const judge = judges[name]
    if (judge === undefined) throw new RangeError(`Cannot judge the word "${name}"`)
    return judge(value, word, schema) ? [] : [`${path} ${name}`]
  })
  const { properties = {}, items } = schema
  const members = isObject(value) ? Object.entries(properties as JsonObject) : []
  return [
    ...own,
    ...members.flatMap(([key, member]) => {
      const one = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
      return one === undefined ? [] : problems(member as JsonObject, one, `${path}/${key}`)
    }),
    ...(Array.isArray(value) && items !== undefined
      ? value.flatMap((one: JsonValue, at) => problems(items as JsonObject, one, `${path}/${at}`))
      : []),
  ]
}

function typeOf(value: JsonValue): readonly string[] {
  if (value === null) return ['null']
  if (Array.isArray(value)) return ['array']
  if (typeof value === 'number') return Number.isInteger(value) ? ['integer', 'number'] : ['number']
  return [typeof value]
}
