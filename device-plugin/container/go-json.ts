/**
 * JSON text as Go's `encoding/json` prints a map: keys in the order of their UTF-8 bytes, and `<`, `>`, `&`, U+2028 and U+2029 as
 * escapes, so that the text may stand in HTML. Programs that compare the text find it unchanged.
 */

/** A text, or a map of such values by name. */
export type GoValue = string | GoMap
/** A map by name. */
export interface GoMap {
  readonly [key: string]: GoValue
}

/** The text of a value. Half of a surrogate pair becomes U+FFFD: Go reads it from a config as that. */
export function goJson(value: GoValue): string {
  if (typeof value === 'string') return quoted(value)
  const members = Object.entries(value).sort(([left], [right]) => byBytes(left, right))
  return `{${members.map(([key, member]) => `${quoted(key)}:${goJson(member)}`).join(',')}}`
}

/** Order of the UTF-8 bytes. That of UTF-16 units differs from it above U+D7FF. */
function byBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right))
}

function quoted(text: string): string {
  return JSON.stringify(text.toWellFormed()).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
