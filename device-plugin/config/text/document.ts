/**
 * JSON text as a tree whose nodes know their place, so that a finding can name line, column and key. The text is judged by the
 * JSON reader of src/lib; the scanner here walks a text that is known to be right.
 */
import { type JsonValue, parse, setMember } from '../../../src/lib/json.ts'
import { ConfigError, type Finding, type Severity } from '../config-error.ts'

/** A value with its place. */
export type Node = ObjectNode | ListNode | ScalarNode

interface Place {
  /** Offset of the value in the text. */
  readonly at: number
  /** Offset of the key, or of the value where there is no key. */
  readonly keyAt: number
  /** The way to the value, with keys as the text spells them. */
  readonly path: string
}

/** An object. Its members in the order of the text, repeated keys included. */
export interface ObjectNode extends Place {
  readonly kind: 'object'
  readonly members: readonly (readonly [key: string, node: Node])[]
}

/** A list. */
export interface ListNode extends Place {
  readonly kind: 'list'
  readonly items: readonly Node[]
}

/** A text, number, boolean or null. */
export interface ScalarNode extends Place {
  readonly kind: 'scalar'
  readonly value: string | number | boolean | null
}

/**
 * Reads one JSON document.
 * @throws ConfigError with the first mistake of syntax
 */
export function readDocument(text: string): Node {
  try {
    parse(text)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new ConfigError([syntaxFinding(error.message)])
  }
  return scan({ text, at: 0 }, '', undefined)
}

/** The value of a node. Of a repeated key the last one counts. */
export function plain(node: Node): JsonValue {
  if (node.kind === 'scalar') return node.value
  if (node.kind === 'list') return node.items.map(plain)
  const out: Record<string, JsonValue> = {}
  for (const [key, member] of node.members) setMember(out, key, plain(member))
  return out
}

/** The member of an object that counts; undefined where there is none, and for other nodes. */
export function member(node: Node, key: string): Node | undefined {
  return node.kind === 'object' ? node.members.findLast(([name]) => name === key)?.[1] : undefined
}

/** Finds the node at a path, with the number of steps that lead to a node: fewer than the path has where a key is missing. */
export function follow(node: Node, path: readonly PropertyKey[]): readonly [node: Node, steps: number] {
  let here = node
  for (const [steps, step] of path.entries()) {
    const next = here.kind === 'list' ? here.items[Number(step)] : member(here, String(step))
    if (next === undefined) return [here, steps]
    here = next
  }
  return [here, path.length]
}

/** Collects the findings of one text. */
export class Findings {
  readonly #text: string
  readonly #list: (Finding & { readonly at: number })[] = []

  constructor(text: string) {
    this.#text = text
  }

  /** Adds a finding about a node; `key` where it is not the node's own. */
  add(severity: Severity, node: Place, text: string, key = node.path): void {
    const before = this.#text.slice(0, node.at).split('\n')
    const column = (before.at(-1) ?? '').length + 1
    this.#list.push({ severity, line: before.length, column, key, text, at: node.at })
  }

  /** All of them, in the order of the text. */
  get all(): readonly Finding[] {
    return this.#list.toSorted((left, right) => left.at - right.at).map(({ at: _, ...finding }) => finding)
  }

  /** True if there is a mistake among them. */
  get failed(): boolean {
    return this.#list.some(({ severity }) => severity === 'error')
  }
}

function syntaxFinding(message: string): Finding {
  const [, line = '1', column = '1', reason = message] =
    /^line (\d+), column (\d+): (.*)$/s.exec(message) ?? []
  const text = `is not JSON: ${reason}`
  return { severity: 'error', line: Number(line), column: Number(column), key: 'the file', text }
}

interface Cursor {
  readonly text: string
  at: number
}

const space = /[ \t\r\n]*/y
const textLiteral = /"(?:[^"\\]|\\.)*"/y
const wordLiteral = /[^\s,\]}]+/y

function scan(cursor: Cursor, path: string, keyAt: number | undefined): Node {
  take(cursor, space)
  const at = cursor.at
  const place = { at, keyAt: keyAt ?? at, path }
  const first = cursor.text[at]
  if (first === '{') return { kind: 'object', ...place, members: scanMembers(cursor, path) }
  if (first === '[') return { kind: 'list', ...place, items: scanItems(cursor, path) }
  const literal = take(cursor, first === '"' ? textLiteral : wordLiteral)
  return { kind: 'scalar', ...place, value: JSON.parse(literal) as string | number | boolean | null }
}

function scanMembers(cursor: Cursor, path: string): (readonly [string, Node])[] {
  const members: (readonly [string, Node])[] = []
  cursor.at++
  for (;;) {
    take(cursor, space)
    if (cursor.text[cursor.at] === '}') break
    const keyAt = cursor.at
    const key = JSON.parse(take(cursor, textLiteral)) as string
    take(cursor, space)
    cursor.at++
    members.push([key, scan(cursor, joined(path, key), keyAt)])
    passComma(cursor)
  }
  cursor.at++
  return members
}

function scanItems(cursor: Cursor, path: string): Node[] {
  const items: Node[] = []
  cursor.at++
  for (;;) {
    take(cursor, space)
    if (cursor.text[cursor.at] === ']') break
    items.push(scan(cursor, `${path}[${items.length}]`, undefined))
    passComma(cursor)
  }
  cursor.at++
  return items
}

/** A path with one key more; a key that would not read well is put in quotes. */
export function joined(path: string, key: string): string {
  const step = /^[\w()*-]+$/.test(key) ? key : JSON.stringify(key)
  return path === '' ? step : `${path}.${step}`
}

function passComma(cursor: Cursor): void {
  take(cursor, space)
  if (cursor.text[cursor.at] === ',') cursor.at++
}

function take(cursor: Cursor, pattern: RegExp): string {
  pattern.lastIndex = cursor.at
  const [found = ''] = pattern.exec(cursor.text) ?? []
  cursor.at += found.length
  return found
}
