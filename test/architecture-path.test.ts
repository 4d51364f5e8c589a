// The path of one ADD as docs/architecture.md tells it: each file and function is there, and is named by the one that calls it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, describe as group, test } from 'vitest'

const top = join(import.meta.dirname, '..')
const text = (file: string) => readFileSync(join(top, file), 'utf8')

/** Top to bottom, as the edges of test/architecture.test.ts go. */
const layers = [
  'main.ts',
  'run-cni.ts',
  'offload',
  'cni',
  'kernel',
  'records',
  'ops',
  'nic',
  'netlink',
  'sys',
  'lib',
]

/** A line of the list: a file with its functions; none for the entry, whose code is that of the file. */
interface Line {
  readonly depth: number
  readonly climbs: boolean
  readonly file: string
  readonly functions: readonly string[]
}

function linesOf(document: string): Line[] {
  const start = document.indexOf('## The path of one ADD')
  const section = document.slice(start, document.indexOf('\n## ', start + 1))
  return [...section.matchAll(/^( *)- (↑ )?`(src\/[^`]+)`((?:,? `[#\w]+`)*)/gm)].map(
    ([, indent = '', arrow, file = '', names = '']) => ({
      depth: indent.length / 2,
      climbs: arrow !== undefined,
      file,
      functions: [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
    }),
  )
}

/** The source of each function, method or member of a name, up to the bracket that closes it. */
function bodiesOf(source: string, name: string): string[] {
  const definition = new RegExp(
    `^( *)(?:(?:export )?(?:async )?(?:function|const) ${name}\\b|${name}: |${name}(?:<.*>)?\\(.*\\{$)`,
    'gm',
  )
  return [...source.matchAll(definition)].map((found) => {
    const [{ length }, indent = ''] = found
    const rest = source.slice(found.index + length)
    const [line = ''] = rest.split('\n')
    if (line.endsWith(',')) return line
    const end = rest.search(new RegExp(`\n${indent}\\}`))
    return end < 0 ? rest : rest.slice(0, end)
  })
}

/** True where one of the functions of a line, or the code of its file, names the function. */
function isNamedBy({ file, functions }: Line, name: string): boolean {
  const source = text(file)
  const bodies = functions.length === 0 ? [source] : functions.flatMap((one) => bodiesOf(source, one))
  return bodies.some((body) => new RegExp(`(?<![\\w#])${name}\\b`).test(body))
}

const lines = linesOf(text('docs/architecture.md'))
const callerOf = (at: number) => lines.slice(0, at).findLast(({ depth }) => depth < (lines[at] as Line).depth)
const layerOf = ({ file }: Line) => layers.indexOf(file.split('/')[1] ?? '')

group('the path of one ADD', () => {
  test('is told in at most 25 files, and climbs into an upper layer at most three times', () => {
    expect(lines.length).toBeGreaterThan(20)
    expect(new Set(lines.map(({ file }) => file)).size).toBeLessThanOrEqual(25)
    expect(lines.filter(({ climbs }) => climbs).length).toBeLessThanOrEqual(3)
    for (const [at, line] of lines.entries()) {
      const caller = callerOf(at)
      expect([line.file, layerOf(line) >= 0]).toEqual([line.file, true])
      if (caller !== undefined && !line.climbs)
        expect([line.file, layerOf(line) >= layerOf(caller)]).toEqual([line.file, true])
    }
  })

  test.each(lines.map((line, at) => [line.file, line.functions.join(', '), at] as const))(
    '%s %s: each function is there, and is named by its caller',
    (_, __, at) => {
      const line = lines[at] as Line
      const caller = callerOf(at)
      for (const [place, name] of line.functions.entries()) {
        expect([name, bodiesOf(text(line.file), name).length]).not.toEqual([name, 0])
        const before = { ...line, functions: line.functions.slice(0, place) }
        const isNamed =
          (caller !== undefined && isNamedBy(caller, name)) || (place > 0 && isNamedBy(before, name))
        expect([name, isNamed]).toEqual([name, true])
      }
    },
  )
})
