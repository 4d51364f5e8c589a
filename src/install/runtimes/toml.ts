/** Config files of container runtimes, which are TOML. */
import { parse } from 'smol-toml'
import { errorText } from '../../lib/error-text.ts'
import { isObject } from '../../lib/json.ts'
import { readOwnText } from '../../sys/files.ts'

/** A table of a config, of which nothing is known yet. */
export type Table = Readonly<Record<string, unknown>>

/** A config that can't be used. The message names the file, and the line where there is one. */
export class ConfigProblem extends Error {
  override readonly name = 'ConfigProblem'

  constructor(file: string, reason: string) {
    super(`Cannot use "${file}": ${reason}`)
  }
}

/** The config at `path`; undefined where there is none. `shown` is the path for people. @throws ConfigProblem */
export function readToml(path: string, shown: string): Table | undefined {
  let text: string | undefined
  try {
    text = readOwnText(path)
  } catch (error) {
    throw new ConfigProblem(shown, errorText(error))
  }
  if (text === undefined) return undefined
  try {
    return parse(text)
  } catch (error) {
    // The parser adds lines with the place in the file.
    throw new ConfigProblem(shown, errorText(error).split('\n')[0] ?? '')
  }
}

/** The table at a key; undefined where there is none. @throws ConfigProblem for another kind of value */
export function tableAt(table: Table | undefined, key: string, file: string): Table | undefined {
  const value = own(table, key)
  if (value === undefined || isTable(value)) return value
  throw new ConfigProblem(file, `"${key}" is no table`)
}

/** The folder at a key; undefined where there is none. @throws ConfigProblem for anything but an absolute path */
export function folderAt(table: Table | undefined, key: string, file: string): string | undefined {
  const value = own(table, key)
  // An empty text is how a runtime writes a key that is not set.
  return value === undefined || value === '' ? undefined : folder(value, key, file)
}

/** The folders of the list at a key; undefined where there is none. @throws ConfigProblem */
export function foldersAt(
  table: Table | undefined,
  key: string,
  file: string,
): readonly string[] | undefined {
  const value = own(table, key)
  if (value === undefined) return undefined
  if (!Array.isArray(value))
    throw new ConfigProblem(file, `${key} is ${JSON.stringify(value)}; must be a list of paths`)
  return value.map((one: unknown) => folder(one, key, file))
}

/** The texts of the list at a key, none where there is none. @throws ConfigProblem */
export function textsAt(table: Table | undefined, key: string, file: string): readonly string[] {
  const value = own(table, key) ?? []
  if (Array.isArray(value) && value.every((one: unknown) => typeof one === 'string')) return value
  throw new ConfigProblem(file, `${key} is ${JSON.stringify(value)}; must be a list of texts`)
}

function folder(value: unknown, key: string, file: string): string {
  const isFolder =
    typeof value === 'string' &&
    value.startsWith('/') &&
    !/[\0\n]/.test(value) &&
    !value.split('/').includes('..')
  if (isFolder) return value
  throw new ConfigProblem(file, `${key} has ${shownValue(value)}; must be an absolute path`)
}

/** A bigint, which the parser never makes here, would have no JSON. */
function shownValue(value: unknown): string {
  return typeof value === 'object' || typeof value === 'string' ? JSON.stringify(value) : String(value)
}

/** A name such as `__proto__` is a key like any other. */
function own(table: Table | undefined, key: string): unknown {
  return table !== undefined && Object.hasOwn(table, key) ? table[key] : undefined
}

function isTable(value: unknown): value is Table {
  return isObject(value) && !(value instanceof Date)
}
