/**
 * Rows of key tables: one key with its check (zod), its words for messages, and its words for documentation. From the tables come
 * the check of a config, its JSON Schema, and the tables of docs/device-plugin-config.md.
 */
import * as z from 'zod/mini'
import type { DeviceType } from '../../inventory/snapshot.ts'

/** One key. */
export interface KeyRow<S extends z.ZodMiniType = z.ZodMiniType> {
  readonly schema: S
  /** The allowed values, as a message says them after "must be". */
  readonly allowed: string
  /** A config without the key, in words. */
  readonly without: string
  /** One sentence or more for the page and for editors. */
  readonly effect: string
  /** Without the key the config is refused. */
  readonly isRequired?: true
  /** Differences from the SR-IOV network device plugin, for the page; undefined: none. */
  readonly differs?: string
  /** The key is of this project, and the SR-IOV network device plugin has none like it. */
  readonly isOwn?: true
  /** Device types whose pools have the key; undefined: all. Elsewhere the key has no effect. */
  readonly types?: readonly DeviceType[]
  /** Keys of the object, or of each object of the list. */
  readonly members?: KeyRows
  /** One object counts as a list with that object. */
  readonly isOneOrMany?: true
}

/** Keys of an object by their official spelling. */
export type KeyRows = Readonly<Record<string, KeyRow>>

/** The words of a row beside the kind of value. */
export type About = Omit<KeyRow, 'schema' | 'allowed'>

/** A kind of value. */
export interface Kind<S extends z.ZodMiniType> {
  readonly schema: S
  readonly allowed: string
}

/** A row of a table. */
export function key<S extends z.ZodMiniType, const A extends About>(kind: Kind<S>, about: A): KeyRow<S> & A {
  return { ...kind, ...about }
}

type Shape<R extends KeyRows> = {
  [K in keyof R]: R[K] extends { readonly isRequired: true }
    ? R[K]['schema']
    : z.ZodMiniOptional<R[K]['schema']>
}

/** The schema of an object with the keys of a table. */
export function objectOf<R extends KeyRows>(rows: R, allowed: string) {
  const shape = Object.fromEntries(
    Object.entries(rows).map(([name, { schema, effect, isRequired, isOneOrMany }]) => {
      const own = isRequired === true ? schema : z.optional(schema)
      const description = `${effect[0]?.toUpperCase()}${effect.slice(1)}.`
      return [name, own.check(z.meta({ description, ...(isOneOrMany === true ? { isOneOrMany } : {}) }))]
    }),
  ) as Shape<R>
  return z.strictObject(shape, must(allowed))
}

/** The text of an error. */
export const must = (allowed: string): { readonly error: string } => ({ error: `must be ${allowed}` })

/** true or false. */
export const flag: Kind<z.ZodMiniBoolean> = {
  schema: z.boolean(must('true or false')),
  allowed: 'true or false',
}

/** One of some words. */
export function choice<const W extends readonly [string, ...string[]]>(...words: W) {
  const quoted = words.map((word) => `"${word}"`)
  const allowed = quoted.join(', ').replace(/, ([^,]*)$/, ' or $1')
  return { schema: z.enum(words, must(allowed)), allowed }
}

/** A text of a form. */
export function textOf(pattern: RegExp, allowed: string): Kind<z.ZodMiniString> {
  return { schema: z.string(must(allowed)).check(z.regex(pattern, must(allowed))), allowed }
}

/** A list of values of one kind, perhaps empty. */
export function listOf<S extends z.ZodMiniType>(kind: Kind<S>): Kind<z.ZodMiniArray<S>> {
  const allowed = `a list, each entry ${kind.allowed}`
  return { schema: z.array(kind.schema, must(allowed)), allowed }
}

/** Seconds as a number. */
export function seconds(most: number): Kind<z.ZodMiniNumber> {
  const allowed = `a number of seconds from 0 to ${most}`
  return {
    schema: z.number(must(allowed)).check(z.minimum(0, must(allowed)), z.maximum(most, must(allowed))),
    allowed,
  }
}
