// A process of long life gives back the pages of its code, and goes on: in Bun, because vitest's Node can't open libc.
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'

test('pages of the executable leave memory, and the process goes on', async () => {
  const { stdout } = await execa('sh', ['hack/bun.sh', 'test/sys/give-back-memory.ts'], {
    cwd: join(import.meta.dirname, '../..'),
  })
  const { before, after, sum } = JSON.parse(stdout) as Readonly<Record<'before' | 'after' | 'sum', number>>
  expect(after).toBeLessThan(before)
  expect(sum).toBe(6)
})
