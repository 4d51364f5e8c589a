// The path of one ADD as docs/architecture.md tells it: the lines of its list, and the files beside it.
import { text } from './source-tree.ts'

/** A line of the list: a file with its functions; none for the entry, whose code is that of the file. */
export interface Line {
  readonly depth: number
  readonly climbs: boolean
  readonly file: string
  readonly functions: readonly string[]
}

const document = text('docs/architecture.md')

/** The lines of the path, in their order. */
export const path: readonly Line[] = [
  ...section('## The path of one ADD').matchAll(/^( *)- (↑ )?`(src\/[^`]+)`((?:,? `[#\w]+`)*)/gm),
].map(([, indent = '', arrow, file = '', names = '']) => ({
  depth: indent.length / 2,
  climbs: arrow !== undefined,
  file,
  functions: [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
}))

/** Files that the same ADD runs beside the path. */
export const helpers: readonly string[] = filesOf('### Files beside the path')

/** Files that run only in the first ADD of a node. */
export const firsts: readonly string[] = filesOf('### Files of the first ADD on a node')

function filesOf(heading: string): string[] {
  return [...section(heading).matchAll(/^- `(src\/[^`]+)`: /gm)].map(([, file = '']) => file)
}

function section(heading: string): string {
  const start = document.indexOf(`\n${heading}\n`)
  const rest = document.slice(start + heading.length + 2)
  return start < 0 ? '' : rest.slice(0, rest.search(/^#{2,3} /m))
}
