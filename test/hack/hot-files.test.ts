// The files that are copied into a virtual machine's memory exist, by their own names, with the libraries of programs.
import { existsSync, realpathSync } from 'node:fs'
import { basename } from 'node:path'
import { expect, test } from 'vitest'
import { hotFiles } from '../../hack/lab/hot-files.ts'

test('programs, the libraries that they are linked with, and settings; each once, and no link', async () => {
  const files = await hotFiles()
  expect(files.filter((file) => !existsSync(file) || realpathSync(file) !== file)).toEqual([])
  expect(new Set(files).size).toBe(files.length)
  const names = files.map((file) => basename(file).replace(/[-.0-9]*(\.so.*)?$/, ''))
  expect(names).toEqual(expect.arrayContaining(['ip', 'tc', 'nft', 'libc', 'libmnl']))
})
