/**
 * Kinds of values in configs and policies: one object reads a value, says in words what is allowed, and says the same as JSON
 * Schema. A table of keys (config-keys.ts) gives each key its kind, so that check, page and schema can not differ.
 */

import { isObject, type JsonObject, type JsonValue, shown } from '../lib/json.ts'
import { isFolderPath } from '../lib/path.ts'
import { type PciAddress, parsePciAddress } from '../lib/pci-address.ts'
import { allowedRanges, type PortRange, tryParseRanges } from '../lib/port-ranges.ts'
import { CniError, code } from './error.ts'

/** A kind of value. */
export interface Kind<T> {
  /** The allowed values, as an error names them after "must be". */
  readonly allowed: string
  /** The allowed values as JSON Schema, in the form that a config should have. */
  readonly schema: JsonObject
  /**
   * The value as the program uses it. `path` is the name of the key for an error.
   * @throws CniError 7 for a value that is not allowed
   */
  readonly read: (value: JsonValue, path: string) => T
}

/** A kind whose values are judged as a whole. */
export interface Leaf<T> extends Kind<T> {
  /** The value as the program uses it, undefined for a value that is not allowed. */
  readonly parse: (value: JsonValue) => T | undefined
}

/** The refusal of a value: code 7 with the key, the value and the allowed values. */
export function invalid(path: string, value: JsonValue, allowed: string): CniError {
  return new CniError(code.invalidConfig, `Cannot use ${path} ${shown(value)}: must be ${allowed}`)
}

/** A kind from a parser, words and a schema. */
export function leaf<T>(
  parse: (value: JsonValue) => T | undefined,
  allowed: string,
  schema: JsonObject,
): Leaf<T> {
  const read = (value: JsonValue, path: string): T => {
    const found = parse(value)
    if (found === undefined) throw invalid(path, value, allowed)
    return found
  }
  return { allowed, schema, parse, read }
}

/** Text that `parse` takes; `schema` narrows the type string. */
export function text<T = string>(
  parse: (text: string) => T | undefined,
  allowed: string,
  schema: JsonObject = {},
): Leaf<T> {
  return leaf((value) => (typeof value === 'string' ? parse(value) : undefined), allowed, {
    type: 'string',
    ...schema,
  })
}

/** Text that `judge` takes, as it is. */
export function textThat(
  judge: (text: string) => boolean,
  allowed: string,
  schema?: JsonObject,
): Leaf<string> {
  return text((value) => (judge(value) ? value : undefined), allowed, schema)
}

/** true and false. */
export const flag: Leaf<boolean> = leaf(
  (value) => (typeof value === 'boolean' ? value : undefined),
  'true or false',
  { type: 'boolean' },
)

/** A whole number from `first` to `last`; `unit` stands behind the range, in parentheses. */
export function integer(first: number, last: number, unit?: string): Leaf<number> {
  return leaf(
    (value) =>
      typeof value === 'number' && Number.isSafeInteger(value) && first <= value && value <= last
        ? value
        : undefined,
    `an integer from ${first} to ${last}${unit === undefined ? '' : ` (${unit})`}`,
    { type: 'integer', minimum: first, maximum: last },
  )
}

/** One of some words; `allowed` where they are not to be joined by "or". */
export function choice<const T extends string>(words: readonly T[], allowed = listed(words)): Leaf<T> {
  return leaf((value) => words.find((word) => word === value), allowed, { enum: [...words] })
}

function listed(words: readonly string[]): string {
  const quoted = words.map((word) => `"${word}"`)
  return [quoted.slice(0, -1).join(', '), ...quoted.slice(-1)].filter((part) => part !== '').join(' or ')
}

/** Any object, taken as it is: somebody else reads its members. */
export const anyObject: Leaf<JsonObject> = leaf(
  (value) => (isObject(value) ? value : undefined),
  'an object',
  {
    type: 'object',
  },
)

/** The path of a folder, in which files can be made. */
export const folder: Leaf<string> = textThat(isFolderPath, 'an absolute path', { pattern: '^/[^\\u0000]+$' })

/** The example that errors name. */
export const pciWords = 'a PCI address such as 0000:3b:02.1'
export const pciPattern = '([0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\\.[0-7]'

/** The address of a PCI function. */
export const pciAddress: Leaf<PciAddress> = text(parsePciAddress, pciWords, { pattern: `^${pciPattern}$` })

/** One port or range, as JSON Schema. */
export const portsSchema: JsonObject = {
  anyOf: [
    { type: 'integer', minimum: 1, maximum: 65535 },
    { type: 'string', pattern: '^[0-9]{1,5}(-[0-9]{1,5})?$' },
  ],
}

/** A list of ports and ranges; one of them may stand without a list. */
export const portRanges: Leaf<readonly PortRange[]> = leaf(tryParseRanges, allowedRanges, {
  anyOf: [...(portsSchema.anyOf as readonly JsonObject[]), { type: 'array', items: portsSchema }],
})
