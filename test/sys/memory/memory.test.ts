// A process of long life gives back pages of its executable and compiled code, and goes on: in Bun, because vitest's Node can't open libc.
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { untouchedMappings } from '../../../src/sys/memory/mappings.ts'

test('pages of the executable leave memory, and the process goes on', async () => {
  const { stdout } = await execa('sh', ['hack/bun.sh', 'test/sys/memory/give-back-memory.ts'], {
    cwd: join(import.meta.dirname, '../../..'),
  })
  const { before, after, sum } = JSON.parse(stdout) as Readonly<Record<'before' | 'after' | 'sum', number>>
  expect(after).toBeLessThan(before)
  expect(sum).toBe(6)
})

test('only mappings of the executable that nobody can or could write to are given back', () => {
  const mapping = (range: string, rights: string, path: string, anonymous: number) =>
    `${range} ${rights} 00000000 fd:00 123                      ${path}\nSize:  8 kB\nAnonymous: ${String(anonymous).padStart(12)} kB\nVmFlags: rd mr\n`
  const smaps = [
    mapping('00200000-00400000', 'r--p', '/usr/bin/vf flower', 0),
    mapping('00400000-00500000', 'r-xp', '/usr/bin/vf flower', 0),
    // Relocated by the linker, and made read-only then.
    mapping('00500000-00501000', 'r--p', '/usr/bin/vf flower', 4),
    mapping('00501000-00502000', 'rw-p', '/usr/bin/vf flower', 0),
    mapping('7f0000000000-7f0000001000', 'r-xp', '/usr/lib/libc.so.6', 0),
    '7f0000002000-7f0000003000 r--p 00000000 00:00 0\nAnonymous: 0 kB\n',
  ].join('')
  expect(untouchedMappings(smaps, '/usr/bin/vf flower')).toEqual([
    { start: 0x200000, length: 0x200000 },
    { start: 0x400000, length: 0x100000 },
  ])
})
