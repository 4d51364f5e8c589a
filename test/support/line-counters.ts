// Counts the lines that one call of the program executes. Bun counts none in a compiled program, so a copy of the sources notes each
// statement that begins, is compiled apart from dist/, and writes what it noted when it ends.
import { cpSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { parseAst } from 'vitest/node'

const top = join(import.meta.dirname, '../..')

/** Variable of the environment that names the file to write: JSON, the lines of each source file that had statements run. */
export const LINES_VARIABLE = 'VF_EXECUTED_LINES'

/** A node of the syntax tree, as far as the counters care. */
interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
}

interface Edit {
  readonly at: number
  readonly text: string
}

/** Nodes with a list of statements, and the key of the list. */
const lists: Readonly<Record<string, string>> = {
  BlockStatement: 'body',
  StaticBlock: 'body',
  SwitchCase: 'consequent',
}

/** Keys of a node whose value may be a statement without braces. */
const bare: Readonly<Record<string, readonly string[]>> = {
  IfStatement: ['consequent', 'alternate'],
  ForStatement: ['body'],
  ForInStatement: ['body'],
  ForOfStatement: ['body'],
  WhileStatement: ['body'],
  DoWhileStatement: ['body'],
}

/** Of the code that runs when a file is loaded only these count: neither imports, nor declarations with the values of their tables. */
const countedAtLoad = /^(Expression|If|For|ForIn|ForOf|While|Labeled|Try|Throw|Switch)Statement$/

/** Nothing runs at a declaration; the statements of a block count one by one. */
const uncounted = /^(FunctionDeclaration|ClassDeclaration|BlockStatement|EmptyStatement|TS.*)$/

/** The source with a note before each statement and each body of an arrow function, which is a statement without a `return`. */
export function withCounters(file: string, source: string): string {
  const edits: Edit[] = []
  const lineAt = lineNumbers(source)
  const note = ({ start }: Node) => `linesRun.add(${lineAt(start)})`
  const before = (node: Node) => edits.push({ at: node.start, text: `${note(node)};` })
  const around = (node: Node, open: string, close: string) =>
    edits.push({ at: node.start, text: open }, { at: node.end, text: close })

  const visit = (node: Node): void => {
    const fields = node as unknown as Readonly<Record<string, unknown>>
    const list = fields[lists[node.type] ?? '']
    if (node.type === 'Program')
      (fields.body as Node[]).filter(({ type }) => countedAtLoad.test(type)).map(before)
    else if (isNodes(list)) list.filter(({ type }) => !uncounted.test(type)).map(before)
    for (const key of bare[node.type] ?? []) {
      const body = fields[key]
      if (isNode(body) && !uncounted.test(body.type)) around(body, `{${note(body)};`, '}')
    }
    if (
      node.type === 'ArrowFunctionExpression' &&
      isNode(fields.body) &&
      fields.body.type !== 'BlockStatement'
    )
      around(fields.body, `(${note(fields.body)},`, ')')
    for (const value of Object.values(fields)) {
      if (isNode(value)) visit(value)
      else if (Array.isArray(value)) value.filter(isNode).forEach(visit)
    }
  }
  visit(parseAst(source, { lang: 'ts', astType: 'ts' }, file) as Node)

  const head = `const linesRun = new Set(); (globalThis.linesRun ??= new Map()).set('${file}', linesRun);`
  return head + applied(source, edits)
}

/** The program with counters, in a folder of its own. */
export interface CountedProgram {
  /** Path of the folder that holds the program under the name of the plugin. */
  readonly folder: string
  readonly remove: () => void
}

/** Compiles the sources with counters, as a release but for what makes it start sooner. */
export function compileWithCounters(plugin: string): CountedProgram {
  // Below node_modules, because a node of namespaces sees the files of the checkout, and /tmp only where that is no mount of its own.
  const folder = join(top, 'node_modules/.cache/line-counters')
  const remove = () => rmSync(folder, { recursive: true, force: true })
  // A run that was killed has left its own.
  remove()
  try {
    for (const part of ['src', 'device-plugin'])
      cpSync(join(top, part), join(folder, part), { recursive: true })
    const names = readdirSync(join(folder, 'src'), { recursive: true, encoding: 'utf8' })
    for (const name of names.filter((name) => name.endsWith('.ts'))) {
      const path = join(folder, 'src', name)
      const end = name === 'main.ts' ? writer : ''
      writeFileSync(path, end + withCounters(`src/${name}`, readFileSync(path, 'utf8')))
    }
    const flags = ['--compile', '--format=esm', '--splitting', '--entry-naming=[name].[ext]', '--target=bun']
    const closed = ['--no-compile-autoload-bunfig', '--no-compile-autoload-dotenv']
    const defines = ['--define=VF_FLOWER_VERSION="counted"', '--define=VF_FLOWER_TEST_BUILD=false']
    const argv = ['build', ...flags, ...closed, ...defines, 'src/main.ts', '--outfile=vf-flower']
    execaSync('sh', [join(top, 'hack/bun.sh'), ...argv], { cwd: folder })
    symlinkSync('vf-flower', join(folder, plugin))
  } catch (error) {
    remove()
    throw error
  }
  return { folder, remove }
}

/** In front of src/main.ts. */
const writer = `import { writeFileSync as writeLines } from 'node:fs'
process.on('exit', () => {
  const file = process.env.${LINES_VARIABLE}
  if (file !== undefined)
    writeLines(file, JSON.stringify([...globalThis.linesRun].map(([name, lines]) => [name, [...lines]])))
});
`

/** Number of lines with statements that ran, by file, from what a call wrote. */
export function lineCounts(written: string): Map<string, number> {
  const files = JSON.parse(written) as [file: string, lines: number[]][]
  return new Map(files.map(([file, lines]) => [file, lines.length]))
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value
}

function isNodes(value: unknown): value is Node[] {
  return Array.isArray(value) && value.every(isNode)
}

function lineNumbers(source: string): (at: number) => number {
  const starts = [0, ...[...source.matchAll(/\n/g)].map(({ index }) => index + 1)]
  return (at) => starts.findLastIndex((start) => start <= at) + 1
}

/** At one place ends come before beginnings, and the end of the inner node before that of the outer one. */
function applied(source: string, edits: readonly Edit[]): string {
  const begins = ({ text }: Edit) => text !== '}' && text !== ')'
  const sorted = [...edits.filter((edit) => !begins(edit)).reverse(), ...edits.filter(begins)]
  let done = 0
  let result = ''
  for (const { at, text } of sorted.sort((a, b) => a.at - b.at)) {
    result += source.slice(done, at) + text
    done = at
  }
  return result + source.slice(done)
}
