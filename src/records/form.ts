/**
 * Forms of values on the disk. A form turns the result of JSON.parse into a value of the program, and back. Each field has a key on
 * the disk beside its name in the program, so that a name can change and the disk stays. Forms are written by hand: a schema library
 * would cost start time in each call.
 */

import { isObject } from '../lib/json.ts'

/** Judges a value that was read from a file. */
export type Check = (value: unknown) => boolean

/** Says that a value on the disk is not of the form that it must have. */
export class Misfit extends Error {
  /** Keys that lead to the value, the outermost first. */
  readonly path: string[] = []
  /** Says how the value must be, after its path. */
  readonly reason: string

  constructor(reason: string) {
    super(reason)
    this.name = 'Misfit'
    this.reason = reason
  }
}

/** Values that are left out because this version does not understand them, each as a path of keys. */
export type LeftOut = string[]

/** The form of a T on the disk. */
export interface Form<T> {
  /**
   * Reads `value`. With `left`, what does not fit is left out and named there, as far as the T can do without it.
   * @throws Misfit
   */
  read(value: unknown, left?: LeftOut): T
  /** Makes the value that JSON.stringify is to write. */
  write(value: T): unknown
  /** Names every key on the disk that it can have, with those above it: `vlan`, `vlan.id`. docs/records.md explains each. */
  keys(): readonly string[]
}

/** A field of an object: its key on the disk and the form of its value. */
export interface Field<T, Optional extends boolean = boolean> {
  readonly key: string
  readonly form: Form<T>
  readonly isOptional: Optional
  /** Stands for a value that the disk lacks. */
  readonly absent?: () => T
}

/** The fields of a T, by their names in the program: the compiler wants each, and no other. */
export type FieldsOf<T> = {
  readonly [K in keyof T]-?: Partial<Pick<T, K>> extends Pick<T, K>
    ? Field<Exclude<T[K], undefined>, true>
    : Field<T[K], false>
}

type AnyFields = Readonly<Record<string, Field<unknown>>>
type RequiredNames<F> = { [K in keyof F]: F[K] extends Field<unknown, false> ? K : never }[keyof F]
type ValueIn<F> = F extends Field<infer T> ? T : never
type Flat<T> = { [K in keyof T]: T[K] }

/** The object that these fields make up. */
export type ObjectOf<F extends AnyFields> = Flat<
  { [K in RequiredNames<F>]: ValueIn<F[K]> } & {
    [K in Exclude<keyof F, RequiredNames<F>>]?: ValueIn<F[K]> | undefined
  }
>
/** The T of a form. */
export type ValueOf<F> = F extends Form<infer T> ? T : never

/** A field that is always there. */
export const at = <T>(key: string, form: Form<T>): Field<T, false> => ({ key, form, isOptional: false })
/** A field that may be absent. What a later version adds is one of these, because records of former versions lack it. */
export const maybe = <T>(key: string, form: Form<T>): Field<T, true> => ({ key, form, isOptional: true })
/** A field that the program always has, and former versions did not write. */
export const orElse = <T>(key: string, form: Form<T>, absent: () => T): Field<T, false> => ({
  ...at(key, form),
  absent,
})

/**
 * Keys of an object on the disk that this version does not know, with their values. They go with the object by this symbol: a copy
 * by `...` takes them along, nothing that goes over an object's keys sees them, and they are written as they were read.
 */
const unknownKeys: unique symbol = Symbol('keys that this version does not know')
interface WithUnknown {
  readonly [unknownKeys]?: Readonly<Record<string, unknown>>
}

/** An object of these fields. */
export function object<const F extends AnyFields>(fields: F): Form<ObjectOf<F>> {
  return new ObjectForm<ObjectOf<F>>(fields)
}

/** An object of a type that the program has already. */
export function objectOf<T>(fields: FieldsOf<T>): Form<T> {
  return new ObjectForm<T>(fields as AnyFields)
}

class ObjectForm<T> implements Form<T> {
  readonly #fields: AnyFields
  /** Made with the first use: most forms are not used in a process. */
  #list: readonly (readonly [name: string, field: Field<unknown>])[] | undefined

  constructor(fields: AnyFields) {
    this.#fields = fields
  }

  read(value: unknown, left?: LeftOut): T {
    if (!isObject(value)) throw new Misfit('must be of type object')
    this.#list ??= Object.entries(this.#fields)
    const found: Record<string, unknown> = {}
    const known = left === undefined ? this.#readWhole(value, found) : this.#readPart(value, found, left)
    const keys = Object.keys(value)
    if (keys.length === known) return found as T
    const used = new Set(this.#list.map(([, { key }]) => key))
    const others = keys.flatMap((key) => (used.has(key) ? [] : [[key, value[key]] as const]))
    left?.push(...others.map(([key]) => key))
    return { ...found, [unknownKeys]: Object.fromEntries(others) } as T
  }

  /** Reads all fields; returns the number of those that are there. Records of a whole node are read this way, so it does no more. */
  #readWhole(value: Readonly<Record<string, unknown>>, found: Record<string, unknown>): number {
    const list = this.#list ?? []
    let [known, key] = [0, '']
    try {
      for (let index = 0; index < list.length; index++) {
        const [name, field] = list[index] as (typeof list)[number]
        key = field.key
        const stored = value[key]
        if (stored !== undefined) known++
        if (stored !== undefined) found[name] = field.form.read(stored)
        else if (field.absent !== undefined) found[name] = field.absent()
        // The form says in its own words how what is missing must be.
        else if (!field.isOptional) field.form.read(stored)
      }
      return known
    } catch (error) {
      if (error instanceof Misfit) error.path.unshift(key)
      throw error
    }
  }

  /** As #readWhole, without what does not fit and can be left out, which `left` gets. */
  #readPart(value: Readonly<Record<string, unknown>>, found: Record<string, unknown>, left: LeftOut): number {
    let known = 0
    for (const [name, field] of this.#list ?? []) {
      const stored = value[field.key]
      if (stored !== undefined) known++
      if (stored === undefined && field.absent !== undefined) found[name] = field.absent()
      else if (stored !== undefined || !field.isOptional) {
        const read = understood(field.key, field, stored, left)
        if (read !== undefined) found[name] = read
      }
    }
    return known
  }

  keys(): readonly string[] {
    return Object.values(this.#fields).flatMap(({ key, form }) => [key, ...below(key, form)])
  }

  write(value: T): unknown {
    this.#list ??= Object.entries(this.#fields)
    const written: Record<string, unknown> = {}
    for (const [name, { key, form }] of this.#list) {
      const member = (value as Readonly<Record<string, unknown>>)[name]
      if (member !== undefined) written[key] = form.write(member)
    }
    return { ...written, ...(value as WithUnknown)[unknownKeys] }
  }
}

/** Reads a member; undefined for one that is left out. @throws Misfit */
function understood(
  key: string,
  { form, isOptional }: Pick<Field<unknown>, 'form' | 'isOptional'>,
  value: unknown,
  left: LeftOut | undefined,
): unknown {
  const before = left?.length
  try {
    const read = form.read(value, left)
    if (left !== undefined) for (let at = before ?? 0; at < left.length; at++) left[at] = `${key}.${left[at]}`
    return read
  } catch (error) {
    if (!(error instanceof Misfit)) throw error
    error.path.unshift(key)
    if (left === undefined || !isOptional) throw error
    left.splice(before ?? 0, left.length, error.path.join('.'))
    return undefined
  }
}

function below(key: string, form: Form<unknown>): string[] {
  return form.keys().map((one) => `${key}.${one}`)
}

/** A list of such values. */
export function list<T>(form: Form<T>): Form<T[]> {
  const element = { form, isOptional: true }
  return {
    read: (value, left) => {
      if (!Array.isArray(value)) throw new Misfit('must be of type array')
      if (left === undefined) return wholeList(form, value)
      return value.flatMap((member: unknown, index) => {
        const read = understood(String(index), element, member, left)
        return read === undefined ? [] : [read as T]
      })
    },
    write: (value) => value.map((member) => form.write(member)),
    keys: () => form.keys(),
  }
}

function wholeList<T>(form: Form<T>, value: readonly unknown[]): T[] {
  let index = -1
  try {
    return value.map((member) => {
      index++
      return form.read(member)
    })
  } catch (error) {
    if (error instanceof Misfit) error.path.unshift(String(index))
    throw error
  }
}

/** A value that is understood as a whole or not at all: a part of it would be something else. */
export function whole<T>(form: Form<T>): Form<T> {
  return { read: (value) => form.read(value), write: (value) => form.write(value), keys: () => form.keys() }
}

/** An object that has values of one form, by keys that are data themselves. */
export function mapOf<T>(isKey: Check, form: Form<T>): Form<Readonly<Record<string, T>>> {
  const member = { form, isOptional: true }
  return {
    read: (value, left) => {
      if (!isObject(value)) throw new Misfit('must be of type object')
      const pairs = Object.entries(value).flatMap(([key, one]) => {
        if (!isKey(key)) throw new Misfit(notOurs)
        const read = understood(key, member, one, left)
        return read === undefined ? [] : [[key, read as T] as const]
      })
      return Object.fromEntries(pairs)
    },
    write: (value) => value,
    keys: () => [],
  }
}

/** The end of an error about a value that no version of the program has written. */
export const notOurs = 'is not as this program writes it'

/** A value that is the same in the program and on the disk. */
function same<T>(type: string, isOfType: Check, isFitting: Check): Form<T> {
  return {
    read: (value) => {
      if (isFitting(value)) return value as T
      throw new Misfit(isOfType(value) ? notOurs : `must be of type ${type}`)
    },
    write: (value) => value,
    keys: () => [],
  }
}

/** Text for which `isFitting` is true. */
export const text = (isFitting: Check): Form<string> =>
  same('string', (value) => typeof value === 'string', isFitting)
/** An integer for which `isFitting` is true. */
export const int = (isFitting: Check = Number.isSafeInteger): Form<number> =>
  same('int', Number.isInteger, isFitting)
/** A number for which `isFitting` is true. */
export const number = (isFitting: Check): Form<number> =>
  same('number', (value) => typeof value === 'number', isFitting)
/** True or false. */
export const flag: Form<boolean> = same(
  'boolean',
  (value) => typeof value === 'boolean',
  (value) => typeof value === 'boolean',
)

/** One of these words or numbers. */
export function oneOf<const W extends readonly (string | number)[]>(...words: W): Form<W[number]> {
  return {
    read: (value) => {
      if ((words as readonly unknown[]).includes(value)) return value as W[number]
      throw new Misfit(`must be ${words.join(' or ')}`)
    },
    write: (value) => value,
    keys: () => [],
  }
}

/** Whatever there is, as it is. */
export const anything: Form<unknown> = { read: (value) => value, write: (value) => value, keys: () => [] }
