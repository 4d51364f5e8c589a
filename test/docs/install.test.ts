// docs/install.md: its commands are understood, its options are those of the program, and its messages are those of the sources.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readCommandLine } from '../../src/install/command-line.ts'
import { usage } from '../../src/install/usage.ts'

const top = join(import.meta.dirname, '../..')
const page = readFileSync(join(top, 'docs/install.md'), 'utf8')

test('each command of vf-flower is understood', () => {
  const lines = [...page.matchAll(/^\s*\S*vf-flower\S* (.+)$/gm)].map(([, words = '']) => words.split(' '))
  const commands = lines.filter(([word = '']) => ['install', 'uninstall'].includes(word))
  expect(commands.length).toBeGreaterThanOrEqual(4)
  for (const words of commands) expect(readCommandLine(words)).toMatchObject({ kind: 'run' })
})

test('the options are those of the help', () => {
  const optionsIn = (text: string) => new Set(text.match(/--[a-z-]+(?=[ `\],])/g))
  for (const option of optionsIn(usage)) expect(optionsIn(page)).toContain(option)
})

test('each message of the last table is one of the sources, or an errno', () => {
  const folder = join(top, 'src/install')
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(join(folder, file), 'utf8'))
    .join('\n')
  const table = page.slice(page.indexOf('## When it does not go'))
  const messages = [...table.matchAll(/^\| `(.+?)` \|/gm)].map(([, words = '']) => words)
  expect(messages.length).toBeGreaterThanOrEqual(8)
  const parts = messages.flatMap((words) =>
    words.split('...').map((part) => part.replace(/^note: |"\/etc\/|["]|^[:;]? | $/g, '').trim()),
  )
  for (const part of parts.filter((one) => one.length > 3 && !/^E[A-Z]+$/.test(one)))
    expect(sources).toContain(part)
})
