// docs/install.md: its commands are understood, and its options are those of the program.
import { readFileSync } from 'node:fs'
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
