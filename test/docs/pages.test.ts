// The documents lead where they say: links, anchors and paths of files exist, lists are whole, the glossary is in order.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

const top = join(import.meta.dirname, '../..')
const list = ['-c', 'safe.directory=*', 'ls-files', '--cached', '--others', '--exclude-standard', '*.md']
const pages = execFileSync('git', list, { cwd: top, encoding: 'utf8' })
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(top, file)))
const text = (file: string) => readFileSync(join(top, file), 'utf8')

/** A page without blocks of code. */
const prose = (file: string) => text(file).replace(/^```[\s\S]*?^```/gm, '')

/** Anchors of a page: those that are written down, and GitHub's of its headings. */
function anchorsOf(file: string): Set<string> {
  const named = [...text(file).matchAll(/<a id="([^"]+)"/g)].map(([, id = '']) => id)
  const headings = [...prose(file).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  )
  return new Set([...named, ...headings])
}

test('pages are found', () => {
  expect(pages).toEqual(expect.arrayContaining(['README.md', 'docs/glossary.md', 'docs/results/README.md']))
})

test('links lead to files, and to headings that these have', () => {
  const dead = pages.flatMap((page) =>
    [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
      if (/^[a-z]+:/.test(link)) return []
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? page : normalize(join(dirname(page), path))
      const isThere = existsSync(join(top, target))
      const hasAnchor = anchor === undefined || (isThere && anchorsOf(target).has(anchor))
      return isThere && hasAnchor ? [] : [`${page}: ${link}`]
    }),
  )
  expect(dead).toEqual([])
})

test('files that are named by their path exist', () => {
  const standsForMany = /\b(FOLDER|LAYER|NAME)\b/
  const named = /`((?:src|test|hack|docs|device-plugin)\/[\w./-]+\.\w+)`/g
  const missing = pages.flatMap((page) =>
    [...prose(page).matchAll(named)].flatMap(([, path = '']) =>
      standsForMany.test(path) || existsSync(join(top, path)) ? [] : [`${page}: ${path}`],
    ),
  )
  expect(missing).toEqual([])
})

test.each(['docs/decisions', 'docs/results'])('the list of %s names each of its pages', (folder) => {
  const others = readdirSync(join(top, folder)).filter((name) => name !== 'README.md')
  expect(others.length).toBeGreaterThan(0)
  expect(others.filter((name) => !text(`${folder}/README.md`).includes(`(${name})`))).toEqual([])
})

test('the start page names each page of docs', () => {
  const others = readdirSync(join(top, 'docs')).filter((name) => name.endsWith('.md') && name !== 'README.md')
  expect(others.length).toBeGreaterThan(15)
  expect(others.filter((name) => !text('docs/README.md').includes(`(${name}`))).toEqual([])
})

test('docs/dependencies.md has each package of package.json', () => {
  const fields = ['dependencies', 'devDependencies', 'optionalDependencies']
  const manifest = JSON.parse(text('package.json')) as Record<string, Record<string, string>>
  const packages = fields.flatMap((field) => Object.keys(manifest[field] ?? {}))
  expect(packages).toContain('pino')
  expect(packages.filter((name) => !text('docs/dependencies.md').includes(`\`${name}\``))).toEqual([])
})

test('the words of the glossary are in alphabetical order, each once', () => {
  const words = [...text('docs/glossary.md').matchAll(/^\| \*\*(.+?)\*\* \|/gm)].map(([, word = '']) =>
    word.toLowerCase(),
  )
  expect(words.length).toBeGreaterThan(50)
  expect(words).toEqual([...new Set(words)].sort())
})
