// Blocks of shell commands in the documents. In: a page. Out: its blocks with their marks, and the output that the page shows. The mark is a comment
// of HTML in the line before the block; docs/testing.md says what each one means.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { top } from '../source-tree.ts'

/** The place where a block is run. Without a mark: the node. */
export type Place = 'node' | 'lab'

/** Reasons for which no test runs a block. */
export const REASONS = [
  'needs hardware',
  'needs a cluster',
  'needs a kubelet',
  'needs the network',
  'needs systemd',
  'needs a machine of its own',
  'takes minutes',
] as const
/** One of {@link REASONS}. */
export type Reason = (typeof REASONS)[number]

/** A block. */
export interface Block {
  readonly page: string
  /** Line of its first command. */
  readonly line: number
  readonly language: string
  readonly text: string
  /** The place where it is run, or the reason why it is not. */
  readonly mark: Place | { readonly reason: Reason; readonly words: string }
  /** The output that the page shows behind it; `...` stands for anything in a line, or for lines. */
  readonly output: string | undefined
}

/** A block or a mark that can't be understood. */
export class PageError extends Error {
  override readonly name = 'PageError'
}

/** Languages of blocks of commands. */
const SHELL = ['sh', 'bash', 'console', 'shell']
/** Languages of other blocks. A block without one would be commands that nobody sees. */
const OTHERS = ['text', 'json', 'yaml', 'c', 'ts', 'diff', 'promql']

const fence = /^( *)```(\S*)\s*$/
const comment = /^ *<!-- ((?:needs|takes|in the lab)\b.*?) -->$/

/** The pages of the repository. */
export function pages(): readonly string[] {
  const list = ['-c', 'safe.directory=*', 'ls-files', '--cached', '--others', '--exclude-standard', '*.md']
  return execFileSync('git', list, { cwd: top, encoding: 'utf8' })
    .split('\n')
    .filter((file) => file !== '' && existsSync(join(top, file)))
}

/** The blocks of commands of a page of the repository. @throws PageError */
export function blocksOf(page: string): readonly Block[] {
  return blocksIn(page, readFileSync(join(top, page), 'utf8'))
}

/** The blocks of commands in the text of a page. Pure. @throws PageError */
export function blocksIn(page: string, text: string): readonly Block[] {
  const lines = text.split('\n')
  const blocks: Block[] = []
  let last: { readonly block: Block; readonly end: number } | undefined
  for (let at = 0; at < lines.length; at++) {
    const [, indent = '', language = ''] = fence.exec(lines[at] ?? '') ?? []
    if (!fence.test(lines[at] ?? '')) {
      if (isIndentedCode(lines, at)) throw new PageError(`${page}:${at + 1}: commands must stand in a block`)
      if (comment.test(lines[at] ?? '') && !fence.test(lines[at + 1] ?? ''))
        throw new PageError(`${page}:${at + 1}: there is no block behind this mark`)
      continue
    }
    const end = lines.findIndex((line, index) => index > at && line.trimEnd() === `${indent}\`\`\``)
    if (end < 0) throw new PageError(`${page}:${at + 1}: the block has no end`)
    const inner = lines.slice(at + 1, end).map((line) => line.slice(indent.length))
    const isOutput = last !== undefined && lines.slice(last.end + 1, at).every((line) => line.trim() === '')
    const [, mark] = comment.exec(lines[at - 1] ?? '') ?? []
    if (SHELL.includes(language)) {
      const block: Block = {
        ...{ page, line: at + 2, language, text: `${inner.join('\n')}\n`, output: undefined },
        mark: markOf(mark, `${page}:${at}`),
      }
      if (typeof block.mark === 'string' && /\b(npm|vitest|sudo)\b/.test(block.text))
        throw new PageError(
          `${page}:${at + 1}: no test runs npm or sudo: the block needs a mark with the reason`,
        )
      blocks.push(block)
      last = { block, end }
    } else {
      if (mark !== undefined) throw new PageError(`${page}:${at}: a mark is for a block of commands`)
      if (!OTHERS.includes(language))
        throw new PageError(`${page}:${at + 1}: the block must say its language: sh, ${OTHERS.join(', ')}`)
      if (language === 'text' && isOutput && last !== undefined)
        blocks[blocks.length - 1] = { ...last.block, output: inner.join('\n') }
      last = undefined
    }
    at = end
  }
  return blocks
}

/** Markdown's other form of code, which has no language and no mark. Behind an item of a list four spaces are a paragraph. */
function isIndentedCode(lines: readonly string[], at: number): boolean {
  if (!/^ {4}\S/.test(lines[at] ?? '') || lines[at - 1]?.trim() !== '') return false
  const before = lines.slice(0, at).findLast((line) => /^\S/.test(line)) ?? ''
  return !/^([-*]|\d+\.) /.test(before)
}

function markOf(words: string | undefined, place: string): Block['mark'] {
  if (words === undefined) return 'node'
  if (words === 'in the lab') return 'lab'
  const reason = REASONS.find((one) => words.startsWith(`${one}: `))
  if (reason === undefined)
    throw new PageError(
      `${place}: the mark must be "in the lab", or one of ${REASONS.join(', ')} with a colon and words`,
    )
  return { reason, words: words.slice(reason.length + 2) }
}

/** True where `printed` is what the page shows. */
export function isShown(shown: string, printed: string): boolean {
  const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const pattern = shown
    .split('\n')
    .map((line) =>
      line.trim() === '...'
        ? '(?:[^\\n]*\\n)*?'
        : `${line.split('...').map(escaped).join('[^\\n]*')}[ \\t]*\\n`,
    )
    .join('')
  return new RegExp(`^${pattern}$`).test(`${printed.trimEnd()}\n`)
}
