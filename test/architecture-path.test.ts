// The path of one ADD as docs/architecture.md tells it: each file and function is there, and is named by the one that calls it.
// test/native/offload/path.test.ts compares it with an ADD.
import { expect, describe as group, test } from 'vitest'
import { firsts, helpers, type Line, path } from './support/add-path.ts'
import { text } from './support/source-tree.ts'

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

const callerOf = (at: number) => path.slice(0, at).findLast(({ depth }) => depth < (path[at] as Line).depth)
const layerOf = ({ file }: Line) => layers.indexOf(file.split('/')[1] ?? '')

group('the path of one ADD', () => {
  test('is told in at most 25 files, and climbs into an upper layer at most three times', () => {
    expect(path.length).toBeGreaterThan(20)
    expect(new Set(path.map(({ file }) => file)).size).toBeLessThanOrEqual(25)
    expect(path.filter(({ climbs }) => climbs).length).toBeLessThanOrEqual(3)
    for (const [at, line] of path.entries()) {
      const caller = callerOf(at)
      expect([line.file, layerOf(line) >= 0]).toEqual([line.file, true])
      if (caller !== undefined && !line.climbs)
        expect([line.file, layerOf(line) >= layerOf(caller)]).toEqual([line.file, true])
    }
  })

  test('no file stands twice on the path and in the lists beside it', () => {
    const all = [...new Set(path.map(({ file }) => file)), ...helpers, ...firsts]
    expect(all.filter((file, at) => all.indexOf(file) < at)).toEqual([])
    expect(Math.min(helpers.length, firsts.length)).toBeGreaterThan(0)
  })

  test('the document says how many files the path and those beside it are', () => {
    const total = new Set(path.map(({ file }) => file)).size + helpers.length
    expect(text('docs/architecture.md')).toContain(`with them it is ${total} files`)
  })

  test.each(path.map((line, at) => [line.file, line.functions.join(', '), at] as const))(
    '%s %s: each function is there, and is named by its caller',
    (_, __, at) => {
      const line = path[at] as Line
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
