// A process is found by a file that it has open or in its memory.
import { closeSync, mkdtempSync, openSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { processWith } from '../../src/sys/processes.ts'

let folder: string
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'processes-')))
})
afterEach(() => rmSync(folder, { recursive: true }))

test('a process is found by a file that it has open, until it closes it', () => {
  const path = join(folder, 'file')
  const fd = openSync(path, 'w')
  const isMeant = (open: string) => open === path
  try {
    expect(processWith(isMeant)).toMatchObject({ pid: process.pid })
  } finally {
    closeSync(fd)
  }
  expect(processWith(isMeant)).toBeUndefined()
})

test('a process is found by a file that it has in its memory, if asked for', () => {
  const libraries = (path: string) => path === realpathSync(process.execPath)
  expect(processWith(libraries)).toBeUndefined()
  expect(processWith(libraries, { mapped: true })?.pid).toBeGreaterThan(0)
})

test('what has ended meanwhile, or may not be looked at, is passed over', () => {
  symlinkSync('/proc/self', join(folder, '1'))
  symlinkSync(join(folder, 'nowhere'), join(folder, '2'))
  symlinkSync(join(folder, 'nowhere'), join(folder, 'self'))
  expect(processWith((path) => path === '/nowhere', { mapped: true, proc: folder })).toBeUndefined()
  expect(processWith(() => true, { proc: join(folder, 'nowhere') })).toBeUndefined()
})
