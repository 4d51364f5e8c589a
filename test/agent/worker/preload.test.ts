// A worker loads before its first call all that a call would load late: each `require` of the sources is in its list.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { product } from '../../support/source-tree.ts'

const top = join(import.meta.dirname, '../../..')
const text = (file: string) => readFileSync(join(top, file), 'utf8')
const list = 'src/agent/worker/preload.ts'

test('each file that is required late is loaded early by a worker', () => {
  const late = product
    .filter((file) => file.startsWith('src/'))
    .flatMap((file) =>
      [...text(file).matchAll(/\brequire\('(\.[^']+\.ts)'\)/g)].map(([, target = '']) =>
        join(dirname(file), target),
      ),
    )
  expect(late.length).toBeGreaterThan(8)
  const early = [...text(list).matchAll(/^import '([^']+)'$/gm)].map(([, target = '']) =>
    join(dirname(list), target),
  )
  expect(late.filter((file) => !early.includes(file))).toEqual([])
})
