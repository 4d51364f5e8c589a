// The form of the source, read from its text: errors, types, doc comments, sizes, and the words that no tracked file says.
import { describe, expect, test } from 'vitest'
import { bare, product, text, tracked } from './support/source-tree.ts'

/** Comment lines of the program that may begin with a question word, such as "What". */
const questionWords = 15
const questionWord = /^\s*(\/\*\*|\*|\/\/) (What|Who|Where|How|Which|Whether|Whose)\b/

/** Lines that half of the source files have at most. */
const median = 90

/** Source files that have over 300 lines. */
const stillLong: readonly string[] = []

const sources = tracked.filter((file) => /^(src|device-plugin)\/.*\.(ts|c|h)$/.test(file))
const linesOf = (file: string) => text(file).split('\n').length - 1

/** `throw new Error` says nothing that a caller could tell apart; where it may stand all the same. */
const plainErrors: Readonly<Record<string, string>> = {
  'src/netlink/codec/wire.ts': 'a CPU that we can not run on: nothing works, nobody can handle it',
  'src/kernel/linux/open-sides.ts': 'a defect of the caller: code 199 is right',
  'src/kernel/link/move.ts': 'a defect of the caller: code 199 is right',
}

describe('source', () => {
  test('no `any`', () => {
    const any = /(?::|\bas|<|,|\||&|=>)\s*any\b(?!\s*[?(]|\s*===?)|\bany\[\]/
    const found = product.flatMap((file) =>
      bare(text(file))
        .split('\n')
        .flatMap((line, index) => (any.test(line) ? [`${file}:${index + 1}: ${line}`] : [])),
    )
    expect(found).toEqual([])
    for (const line of ['x: any', 'as any', 'Map<string, any>', 'any[]', 'x: string | any'])
      expect(line).toMatch(any)
  })

  test('no bare Error where the caller could do something about it', () => {
    const places = product.filter((file) => /\bnew Error\(/.test(bare(text(file))))
    expect(places.sort()).toEqual(Object.keys(plainErrors).sort())
  })

  test('every exported function and interface has a doc comment', () => {
    const silent = product.flatMap((file) => {
      const lines = text(file).split('\n')
      return lines.flatMap((line, index) => {
        const name = /^export (?:default )?(?:async )?(?:function\*?|interface) (\w+)/.exec(line)?.[1]
        return name === undefined || /\*\/$/.test(lines[index - 1] ?? '')
          ? []
          : [`${file}:${index + 1} ${name}`]
      })
    })
    expect(silent).toEqual([])
  })

  test('knows nothing of the NIC simulator', () => {
    expect(product.filter((file) => /simnic/i.test(text(file)))).toEqual([])
  })

  test('half of the files have at most 90 lines', () => {
    const counts = sources.map(linesOf).sort((left, right) => left - right)
    expect(counts[counts.length >> 1]).toBeLessThanOrEqual(median)
  })

  test('no file has over 300 lines', () => {
    const long = sources.filter((file) => linesOf(file) > 300)
    expect(long.sort()).toEqual([...stillLong].sort())
  })

  test('no file of tests and tools has over 500 lines', () => {
    const code = tracked.filter((file) => /\.(ts|js|mjs|sh|c|h|go)$/.test(file))
    expect(code.filter((file) => linesOf(file) > 500)).toEqual([])
    const long = code.map((file) => [linesOf(file), file] as const).filter(([count]) => count > 300)
    if (long.length > 0)
      console.warn(
        `over 300 lines:\n${long
          .sort(([left], [right]) => right - left)
          .map((one) => one.join(' '))
          .join('\n')}`,
      )
  })

  test('comments begin with their subject, not with a question word', () => {
    const found = (files: readonly string[]) =>
      files.flatMap((file) =>
        text(file)
          .split('\n')
          .filter((line) => questionWord.test(line)),
      )
    expect(found(product).length).toBeLessThanOrEqual(questionWords)
    const others = tracked.filter((file) => /^(test|hack)\/.*\.ts$/.test(file))
    expect(found(others).length).toBeLessThanOrEqual(15)
  })
})

test('every test file begins with a comment that says what it shows', () => {
  const files = tracked.filter((file) => file.startsWith('test/') && file.endsWith('.test.ts'))
  expect(files.length).toBeGreaterThan(250)
  expect(files.filter((file) => !/^(\/\/|\/\*)/.test(text(file)))).toEqual([])
})

describe('what no tracked file says', () => {
  // Put together so that this file does not say it either.
  const said = (...parts: string[]) => new RegExp(parts.join(''), 'i')
  const forbidden: readonly (readonly [string, RegExp])[] = [
    ['a path of one machine', said('/', 'work/')],
    ['a folder beside the checkout', said('\\.\\./', 'shared\\b')],
    ['a number of a list that readers do not have', said('\\bissue', 's? #?\\d')],
    [
      'a page that readers do not have',
      said('\\bdesign', ' §|experiments', '\\.md|lab-notes', '\\.md|tc-offload', '\\.md'),
    ],
    ['that a test is not run', said('\\b(test|it|desc', 'ribe)\\.(skip|only|todo|fails|skipIf|runIf)\\b')],
    ['who wrote it', said('\\b(clau', 'de|chat', 'gpt|co', 'pilot|language', ' model|ai-', 'generated)\\b')],
  ]
  const files = tracked.filter(
    (file) => !['package-lock.json', 'LICENSE', 'hack/simnic/LICENSE'].includes(file),
  )

  test.each(forbidden)('%s', (_, pattern) => {
    const found = files.flatMap((file) =>
      text(file)
        .split('\n')
        .flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1}: ${line}`] : [])),
    )
    expect(found).toEqual([])
  })

  test('the patterns can find', () => {
    for (const [index, line] of [
      `/${'work'}/main`,
      `..${'/shared'}/x`,
      `see issue${' 2'}`,
      `design${' §'}5`,
      `it${'.skip'}('x')`,
      `by Clau${'de'}`,
    ].entries())
      expect(line).toMatch(forbidden[index]?.[1] ?? /$^/)
  })
})
