/**
 * JSON as Go's encoding/json reads it, because every CNI runtime and every peer plugin is a Go program:
 * keys match in any case, and of several matching keys the last one in the document counts.
 * Integers beyond 2^53 (token bucket bursts go up to 2^64) become `bigint`, so that they can be passed on exactly.
 */

export type JsonValue = null | boolean | number | bigint | string | JsonArray | JsonObject
export type JsonArray = readonly JsonValue[]
/** A JSON object; its own keys only, in the order of the document. */
export interface JsonObject {
  readonly [key: string]: JsonValue
}

/** Names that a reader knows, in their official spelling; a nested table describes an object or an array of objects. */
export interface Keys {
  readonly [name: string]: true | Keys
}

/** Deepest nesting. Go stops at 10000; nothing that a CNI runtime sends is deeper than ten. */
const maxDepth = 1000

/**
 * Reads one JSON document (RFC 8259, nothing after it but white space).
 *
 * - A repeated key keeps its last value *and* its last position: keys stay in the document order of the members that count.
 * - An integer literal outside ±(2^53 - 1) becomes a bigint. Fractions are doubles, as in Go.
 *
 * @throws SyntaxError `line 1, column 2: found "x", expected a value`, before which callers put the name of their document; also for
 * numbers beyond a double and nesting over 1000.
 */
export function parse(text: string): JsonValue {
  const reader: Reader = { text, at: 0, depth: 0 }
  const value = readValue(reader)
  skipSpace(reader)
  if (reader.at < text.length) throw unexpected(reader, 'the end')
  return value
}

/**
 * Prints a value as compact JSON; bigints as integers. Members whose value is undefined or a function are left
 * out, as JSON.stringify does. Non-finite numbers are refused: they would silently become null.
 *
 * @throws TypeError for a non-finite number.
 */
export function stringify(value: unknown): string {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new TypeError(`Cannot print ${value} as JSON`)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(stringify).join(',')}]`
  const members: string[] = []
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined && typeof member !== 'function')
      members.push(`${JSON.stringify(key)}:${stringify(member)}`)
  }
  return `{${members.join(',')}}`
}

/** Longest value that a message shows, in characters. */
const mostShown = 200

/** A value for a message: as JSON, cut where it is long. */
export function shown(value: unknown): string {
  // A cut text keeps its quotes, so that a reader sees its end.
  const isText = typeof value === 'string'
  const text = isText ? value : stringify(value)
  const beginning = text.slice(0, mostShown)
  return `${isText ? JSON.stringify(beginning) : beginning}${text.length > mostShown ? ' ...' : ''}`
}

/** True for a JSON object, false for null, arrays and scalars. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * The member called `name` (ASCII) in any case. When several keys match, the last in the document counts: Go assigns
 * member after member, so an exact match does *not* win over a folded one that follows it.
 * Unlike Go, a later object replaces an earlier one whole instead of being merged into it.
 */
export function get(object: JsonObject, name: string): JsonValue | undefined {
  const folded = fold(name)
  let found: string | undefined
  // Folding never changes the length of a key that equals an ASCII name.
  for (const key of Object.keys(object))
    if (key === name || (key.length === name.length && fold(key) === folded)) found = key
  return found === undefined ? undefined : object[found]
}

/**
 * Copies an object with every known key in its official spelling, so that a schema can validate it.
 * Keys not in the table keep their spelling and value. A known key whose value is null is left out: to Go null
 * means "not given". Of several spellings of one key the last in the document counts, as in {@link get}.
 */
export function normalise(object: JsonObject, keys: Keys): JsonObject {
  const official = new Map<string, string>()
  for (const name of Object.keys(keys)) official.set(fold(name), name)
  const out: Record<string, JsonValue> = {}
  for (const key of Object.keys(object)) {
    const name = official.get(fold(key))
    const value = object[key] as JsonValue
    if (name === undefined) setMember(out, key, value)
    else if (value === null) delete out[name]
    else setMember(out, name, normaliseValue(value, keys[name] as true | Keys))
  }
  return out
}

/**
 * Case folding of encoding/json for ASCII names: besides A-Z two letters outside ASCII fold to one inside,
 * U+017F (long s) and U+212A (Kelvin sign, which toLowerCase already knows).
 */
export function fold(key: string): string {
  return key.toLowerCase().replaceAll('\u017f', 's')
}

/** Assigns a member as the last one. `__proto__` works too, which plain assignment would lose. */
export function setMember(object: Record<string, JsonValue>, key: string, value: JsonValue): void {
  if (Object.hasOwn(object, key)) delete object[key]
  if (key !== '__proto__') object[key] = value
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
}

function normaliseValue(value: JsonValue, keys: true | Keys): JsonValue {
  if (keys === true) return value
  if (isObject(value)) return normalise(value, keys)
  if (Array.isArray(value)) return value.map((entry: JsonValue) => normaliseValue(entry, keys))
  return value
}

interface Reader {
  readonly text: string
  at: number
  depth: number
}

const numberLiteral = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y

function readValue(r: Reader): JsonValue {
  skipSpace(r)
  switch (r.text[r.at]) {
    case '{':
      return nested(r, readObject)
    case '[':
      return nested(r, readArray)
    case '"':
      return readString(r)
    case 't':
      return readWord(r, 'true', true)
    case 'f':
      return readWord(r, 'false', false)
    case 'n':
      return readWord(r, 'null', null)
    default:
      return readNumber(r)
  }
}

function nested<T>(r: Reader, read: (r: Reader) => T): T {
  if (++r.depth > maxDepth) throw new SyntaxError(`${where(r)}: nested deeper than ${maxDepth}`)
  r.at++
  const value = read(r)
  r.depth--
  return value
}

function readObject(r: Reader): JsonObject {
  const object: Record<string, JsonValue> = {}
  if (accept(r, '}')) return object
  do {
    skipSpace(r)
    if (r.text[r.at] !== '"') throw unexpected(r, 'a key in quotes')
    const key = readString(r)
    if (!accept(r, ':')) throw unexpected(r, "':'")
    setMember(object, key, readValue(r))
  } while (accept(r, ','))
  if (!accept(r, '}')) throw unexpected(r, "',' or '}'")
  return object
}

function readArray(r: Reader): JsonArray {
  const array: JsonValue[] = []
  if (accept(r, ']')) return array
  do array.push(readValue(r))
  while (accept(r, ','))
  if (!accept(r, ']')) throw unexpected(r, "',' or ']'")
  return array
}

/** Finds only the end of the literal; JSON.parse judges its control characters and escapes. */
function readString(r: Reader): string {
  let end = r.at
  do {
    end = r.text.indexOf('"', end + 1)
    if (end < 0) throw new SyntaxError(`${where(r)}: string has no end`)
  } while (isEscaped(r.text, end))
  const literal = r.text.slice(r.at, end + 1)
  try {
    const value = JSON.parse(literal) as string
    r.at = end + 1
    return value
  } catch {
    throw new SyntaxError(`${where(r)}: bad escape or control character in string`)
  }
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0
  while (text[at - 1 - backslashes] === '\\') backslashes++
  return backslashes % 2 === 1
}

function readNumber(r: Reader): number | bigint {
  numberLiteral.lastIndex = r.at
  const match = numberLiteral.exec(r.text)
  if (match === null) throw unexpected(r, 'a value')
  const value = Number(match[0])
  if (!Number.isFinite(value)) throw new SyntaxError(`${where(r)}: number is too large`)
  r.at = numberLiteral.lastIndex
  const isInteger = match[1] === undefined && match[2] === undefined
  return isInteger && !Number.isSafeInteger(value) ? BigInt(match[0]) : value
}

function readWord<T>(r: Reader, word: string, value: T): T {
  if (!r.text.startsWith(word, r.at)) throw unexpected(r, 'a value')
  r.at += word.length
  return value
}

function accept(r: Reader, char: string): boolean {
  skipSpace(r)
  if (r.text[r.at] !== char) return false
  r.at++
  return true
}

function skipSpace(r: Reader): void {
  for (;;) {
    const char = r.text.charCodeAt(r.at)
    if (char !== 0x20 && char !== 0x0a && char !== 0x0d && char !== 0x09) return
    r.at++
  }
}

function unexpected(r: Reader, wanted: string): SyntaxError {
  const char = r.text.codePointAt(r.at)
  const found = char === undefined ? 'the end' : JSON.stringify(String.fromCodePoint(char))
  return new SyntaxError(`${where(r)}: found ${found}, expected ${wanted}`)
}

function where(r: Reader): string {
  const lines = r.text.slice(0, r.at).split('\n')
  return `line ${lines.length}, column ${(lines.at(-1) as string).length + 1}`
}
