// JSON that no serializer would print: repeated keys, numbers in odd forms. In: a tree of plain values with marks for these. Out: its
// text, and copies with one place changed. Knows nothing of CNI.

/** A value of a tree. */
export type Tree = null | boolean | number | string | Tree[] | { [key: string]: Tree }

/** A place in a tree: keys and indexes from the top. */
export type Path = readonly (string | number)[]

// Control characters that no other text here has: JSON.stringify escapes them, so they can be found in its text.
const KEY_MARK = '\u0001'
const RAW_MARK = '\u0002'

/** A key that is printed as `key`, even if the object has that key already, or the key has a meaning to the engine. */
export function againKey(key: string): string {
  return `${KEY_MARK}${key}`
}

/** A value that is printed unchanged: `1e999`, `01`. It must not have quotes, backslashes or control characters. */
export function rawValue(text: string): string {
  return `${RAW_MARK}${text}`
}

/** The text of a tree. */
export function printTree(tree: Tree): string {
  return JSON.stringify(tree)
    .replaceAll(/"\\u0002([^"]*)"/g, (_, text: string) => text)
    .replaceAll('\\u0001', '')
}

/** Paths of all values below the top, in the order of the text. */
export function pathsOf(tree: Tree, above: Path = []): Path[] {
  if (tree === null || typeof tree !== 'object') return []
  const keys: (string | number)[] = Array.isArray(tree) ? [...tree.keys()] : Object.keys(tree)
  return keys.flatMap((key) => {
    const path = [...above, key]
    const below = valueAt(tree, [key])
    return [path, ...(below === undefined ? [] : pathsOf(below, path))]
  })
}

/** The value at a path; undefined when nothing is there. */
export function valueAt(tree: Tree, path: Path): Tree | undefined {
  let value: Tree | undefined = tree
  for (const key of path) {
    if (value === null || typeof value !== 'object') return undefined
    value = (value as { [key: string | number]: Tree })[key]
  }
  return value
}

/** A copy with another value at `path`; undefined removes the value. A path that does not exist changes nothing. */
export function withValue(tree: Tree, path: Path, value: Tree | undefined): Tree {
  const copy = structuredClone(tree)
  const [key, above] = [path.at(-1), valueAt(copy, path.slice(0, -1))]
  if (key === undefined) return value === undefined ? {} : value
  if (above === null || typeof above !== 'object') return copy
  if (value !== undefined) Reflect.set(above, key, value)
  else if (Array.isArray(above)) above.splice(Number(key), 1)
  else Reflect.deleteProperty(above, key)
  return copy
}

/** A copy in which the object that holds `path` has `value` under another key, too. */
export function withAgain(tree: Tree, path: Path, key: string, value: Tree): Tree {
  const above = valueAt(tree, path.slice(0, -1))
  if (above === null || typeof above !== 'object' || Array.isArray(above)) return tree
  return withValue(tree, [...path.slice(0, -1), againKey(key)], value)
}
