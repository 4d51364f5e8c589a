/** JSON files of others, which may be anything. */
import { isObject, type JsonObject } from '../lib/json.ts'
import { readOwnText } from '../sys/files.ts'

/** The object that a text has; undefined for any other text. */
export function objectIn(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** The object that a file has; undefined where there is no such file, or it can't be read. */
export function objectAt(path: string): JsonObject | undefined {
  try {
    return objectIn(readOwnText(path) ?? '')
  } catch {
    return undefined
  }
}
