// The rule for commands in the documents: each block is run by a test, natively or in the lab, or has a mark with the reason why none runs it. A block
// that nobody runs is at least a script that a shell can read, of programs, scripts and verbs that exist.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readCommandLine } from '../../src/install/command-line.ts'
import { blocksIn, blocksOf, isShown, pages } from '../support/docs/blocks.ts'
import { top } from '../support/source-tree.ts'

const blocks = pages().flatMap(blocksOf)
const unrun = blocks.filter(({ mark }) => typeof mark !== 'string')
const named = (list: typeof blocks) => list.map((block) => [`${block.page}:${block.line}`, block] as const)

test('blocks are found, of every kind', () => {
  const marks = blocks.map(({ mark }) => (typeof mark === 'string' ? mark : mark.reason))
  expect([...new Set(marks)].length).toBeGreaterThanOrEqual(5)
  expect(blocks.filter(({ mark }) => mark === 'node').length).toBeGreaterThanOrEqual(15)
  expect(blocks.filter(({ mark }) => mark === 'lab').length).toBeGreaterThanOrEqual(5)
})

test.each(named(blocks))('%s can be read by a shell', (_, { text }) => {
  const { status, stderr } = spawnSync('bash', ['-n'], { input: text, encoding: 'utf8' })
  expect([status, stderr]).toEqual([0, ''])
})

describe('a block that no test runs', () => {
  const { scripts } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  const words = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, word = '']) => word)

  test.each(named(unrun))('%s says why, and names what is there', (_, { text, mark }) => {
    expect(typeof mark === 'string' ? '' : mark.words).toMatch(/\w/)
    for (const name of words(text, /\bnpm run ([\w:]+)/g)) expect(Object.keys(scripts)).toContain(name)
    for (const file of words(text, /(?<![\w/-])((?:hack|test|device-plugin)\/[\w./-]+)/g))
      expect(existsSync(join(top, file)) || /COMMIT/.test(file), file).toBe(true)
  })

  test('needs hardware, a cluster or time, and says which test does the same where one does', () => {
    const files = unrun.flatMap(({ mark }) =>
      typeof mark === 'string' ? [] : words(mark.words, /\b(test\/[\w./-]+)/g),
    )
    expect(files.length).toBeGreaterThan(3)
    for (const file of files)
      expect(
        [file, `${file}.test.ts`].some((one) => existsSync(join(top, one))),
        file,
      ).toBe(true)
  })
})

describe('commands of the program in the text', () => {
  const prose = pages().map((page) => [page, readFileSync(join(top, page), 'utf8')] as const)
  const inline = (pattern: RegExp) =>
    prose.flatMap(([page, text]) => [...text.matchAll(pattern)].map(([, words = '']) => `${page}: ${words}`))

  test('vfctl has the verbs that pages name', () => {
    const help = readFileSync(join(top, 'src/ctl/main.ts'), 'utf8')
    const verbs = [...help.matchAll(/^ {2}vfctl ([\w-]+)/gm)].map(([, verb = '']) => verb)
    expect(verbs).toContain('node')
    const named = inline(/(?:`|^ *)vfctl ([\w-]+)/gm)
    expect(named.length).toBeGreaterThan(20)
    expect(named.filter((one) => !verbs.includes(one.split(': ')[1] ?? ''))).toEqual([])
  })

  test('the installer understands what pages have it do', () => {
    const named = inline(/(?:`|^ *(?:[\w/]*\/)?)vf-flower ((?:un)?install\b[^`\n]*)/gm)
    expect(named.length).toBeGreaterThan(8)
    // A change log tells of options that are gone, too.
    const refused = named.filter((one) => {
      const [page = '', words = ''] = one.split(': ')
      return (
        page !== 'CHANGELOG.md' &&
        readCommandLine(words.replaceAll(/\b(DIR|FILE)\b/g, '/x').split(' ')).kind !== 'run'
      )
    })
    expect(refused).toEqual([])
  })
})

describe('what is not a page', () => {
  const fence = '```'
  test.each([
    ['a block without a language', `${fence}\nrm -rf /\n${fence}\n`, 'must say its language'],
    ['a mark for nothing', '<!-- in the lab -->\nwords\n', 'there is no block behind this mark'],
    [
      'a mark for an output',
      `<!-- in the lab -->\n${fence}text\nx\n${fence}\n`,
      'is for a block of commands',
    ],
    ['a mark without a reason', `<!-- needs luck: none -->\n${fence}sh\nx\n${fence}\n`, 'the mark must be'],
    ['a build that no test is to begin', `${fence}sh\nnpm test\n${fence}\n`, 'no test runs npm'],
    ['a block without an end', `${fence}sh\nx\n`, 'has no end'],
    ['commands behind four spaces', 'words\n\n    rm -rf /\n', 'must stand in a block'],
  ])('%s', (_, text, words) => expect(() => blocksIn('page.md', text)).toThrow(words))
})

test('marks, places and outputs of blocks', () => {
  const fence = '```'
  const page = [
    ...[
      '1. First:',
      '',
      `   ${fence}sh`,
      '   one',
      '     two',
      `   ${fence}`,
      '',
      `   ${fence}text`,
      '   out',
      `   ${fence}`,
    ],
    ...[
      '<!-- needs a cluster: no -->',
      `${fence}sh`,
      'three',
      fence,
      'words',
      `${fence}text`,
      'not its output',
      fence,
    ],
    ...['<!-- in the lab -->', `${fence}sh`, 'four', fence],
  ]
  expect(blocksIn('page.md', `${page.join('\n')}\n`)).toMatchObject([
    { line: 4, text: 'one\n  two\n', mark: 'node', output: 'out' },
    { line: 13, text: 'three\n', mark: { reason: 'needs a cluster', words: 'no' }, output: undefined },
    { line: 21, text: 'four\n', mark: 'lab', output: undefined },
  ])
})

test.each([
  ['a\nb', 'a\nb\n', true],
  ['a\nb', 'a\nb\nc\n', false],
  ['a ... c', 'a b c\n', true],
  ['a ... c', 'a b d\n', false],
  ['a\n...\nd', 'a\nb\nc\nd\n', true],
  ['a\n...', 'a\n', true],
  ['a.c', 'abc\n', false],
])('%j shown, %j printed: %s', (shown, printed, expected) => expect(isShown(shown, printed)).toBe(expected))
