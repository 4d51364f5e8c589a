// Paths that the documents name exist: a file that moves takes its mentions along.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { text, top, tracked } from '../support/source-tree.ts'

const documents = tracked.filter((file) => file.endsWith('.md') && file !== 'CHANGELOG.md')

test.each(documents)('%s names no path that is gone', (file) => {
  const named = [...text(file).matchAll(/`((?:src|test|hack|docs|device-plugin)\/[\w./-]*\w)`/g)]
  const gone = named
    .map(([, path = '']) => path)
    // `src/LAYER/NAME.ts` stands for many files.
    .filter((path) => !/\b[A-Z]{4,}\b/.test(path))
    .filter((path) => !existsSync(join(top, path)) && !existsSync(join(top, `${path}.test.ts`)))
  expect(gone).toEqual([])
})
