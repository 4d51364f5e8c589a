/**
 * Tables of config keys. A row is one key: its kind of value, its default, the program that it comes from, and its effect. From the
 * tables come the check of a config, the tables of docs/configuration.md and the JSON Schema of docs/schema.
 */
import { isObject, type JsonObject, type JsonValue, type Keys, normalise, setMember } from '../lib/json.ts'
import { CniError } from './error.ts'
import { invalid, type Kind, type Leaf, leaf } from './value-kinds.ts'

/** The program or specification whose configs have a key. `vf-flower`: the key is ours. */
export type Origin = 'CNI' | 'Multus' | 'sriov-cni' | 'host-device' | 'portmap' | 'bandwidth' | 'vf-flower'

/** The words of a row about its key, beside the kind of value. */
export interface About {
  /** One sentence or more for the page and for editors. */
  readonly effect: string
  readonly of: readonly Origin[]
  /** The default in words, where no value says it. */
  readonly without?: string
  /** Without the key the config is refused. */
  readonly isRequired?: true
  /** The key has no effect: it is checked or told, and no more. */
  readonly isIdle?: true
}

/** One key of a config. */
export interface ConfigKey<T = unknown> extends Kind<T>, About {
  /** The value of a config without the key. */
  readonly default?: T
  /** The keys of an object, or of each object of a list. */
  readonly members?: KeyTable
  readonly isList?: boolean
}

/** All keys of an object, by their official spelling. */
export type KeyTable = Readonly<Record<string, ConfigKey>>

/** The values of a config by a table: undefined for a key that is absent, has no default and is not required. */
export type Values<K extends KeyTable> = { readonly [key in keyof K]: ValueOf<K[key]> }
type ValueOf<R> =
  R extends ConfigKey<infer T>
    ? R extends { readonly default: T } | { readonly isRequired: true }
      ? T
      : T | undefined
    : never

/** A row of a table: a kind of value with all that is said about its key. */
export function row<T, const A extends About & { readonly default?: NoInfer<T> }>(
  kind: Kind<T>,
  about: A,
): ConfigKey<T> & A {
  return { ...kind, ...about }
}

/** An object with the keys of a table; its values are refused one by one. */
export function section<const K extends KeyTable>(members: K, allowed = 'an object'): Kind<Values<K>> {
  return { ...objectKind(members, allowed), ...{ members } }
}

/** A list of such objects. */
export function list<const K extends KeyTable>(members: K): Kind<readonly Values<K>[]> {
  const entry = objectKind(members, 'an object')
  const read = (value: JsonValue, path: string) => {
    if (!Array.isArray(value)) throw invalid(path, value, 'an array')
    return value.map((one: JsonValue, index) => entry.read(one, `${path}[${index}]`))
  }
  const own = { members, isList: true }
  return { allowed: 'an array', schema: { type: 'array' }, read, ...own }
}

/** An object with the keys of a table that is refused as a whole: `allowed` says all that may be in it. */
export function group<const K extends KeyTable>(members: K, allowed: string): Leaf<Values<K>> {
  const { read, schema } = objectKind(members, allowed)
  const parse = (value: JsonValue) => {
    try {
      return read(value, '')
    } catch (error) {
      if (error instanceof CniError) return undefined
      throw error
    }
  }
  return { ...leaf(parse, allowed, schema), ...{ members } }
}

function objectKind<K extends KeyTable>(members: K, allowed: string): Kind<Values<K>> {
  const read = (value: JsonValue, path: string) => {
    if (!isObject(value)) throw invalid(path, value, allowed)
    return readKeys(value, members, `${path}.`)
  }
  return { allowed, schema: { type: 'object' }, read }
}

/**
 * Reads the values of all keys of a table. `config` has its keys in official spelling ({@link given}); `prefix` stands before the
 * names of keys in errors. An empty text counts as absent, as it does to plugins that are written in Go.
 * @throws CniError 7 with key, value and what is allowed
 */
export function readKeys<K extends KeyTable>(config: JsonObject, table: K, prefix = ''): Values<K> {
  const values: Record<string, unknown> = {}
  for (const [key, one] of Object.entries(table)) {
    const value = Object.hasOwn(config, key) ? config[key] : undefined
    if (value !== undefined && value !== '') values[key] = one.read(value, prefix + key)
    else if (one.isRequired === true) throw invalid(prefix + key, value ?? null, one.allowed)
    else if (one.default !== undefined) values[key] = one.default
  }
  return values as Values<K>
}

/** The config with the keys of a table in official spelling, and without those whose value is null or an empty text. */
export function given(config: JsonObject, table: KeyTable): JsonObject {
  const out: Record<string, JsonValue> = {}
  for (const [key, value] of Object.entries(normalise(config, spelling(table))))
    if (value !== '') setMember(out, key, value)
  return out
}

/** Lines for the operator about keys that are in no table. Keys of the protocol (`cni.dev/`) are not the operator's. */
export function strangers(config: JsonObject, table: KeyTable, shown: (key: string) => string): string[] {
  return Object.keys(config)
    .filter((key) => !Object.hasOwn(table, key) && !key.startsWith('cni.dev/'))
    .map((key) => `key ${shown(key)} is not known and has no effect`)
}

function spelling(table: KeyTable): Keys {
  return Object.fromEntries(
    Object.entries(table).map(([key, { members }]) => [
      key,
      members === undefined ? true : spelling(members),
    ]),
  )
}
