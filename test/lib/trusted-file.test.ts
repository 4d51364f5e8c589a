// A file of the operator is read when nobody else can have written it.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { octal, readTrusted, requireRegular, UntrustedFile } from '../../src/lib/trusted-file.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'trusted-file-'))
  file = join(folder, 'policy.json')
})
afterEach(() => rmSync(folder, { recursive: true }))

test.each([0o600, 0o644, 0o444])('a file of mode %o is read, through a link too', (mode) => {
  writeFileSync(file, 'é\n')
  chmodSync(file, mode)
  symlinkSync('policy.json', join(folder, 'link'))
  expect(readTrusted(file)).toBe('é\n')
  expect(readTrusted(join(folder, 'link'))).toBe('é\n')
})

test.each([0o666, 0o664, 0o602])('one of mode %o is not: somebody else may have written it', (mode) => {
  writeFileSync(file, '')
  chmodSync(file, mode)
  expect(() => readTrusted(file)).toThrow(
    `others may write it (mode 0${mode.toString(8)}); must be writable for its owner alone`,
  )
})

test('nor is one of another user', () => {
  writeFileSync(file, '')
  chownSync(file, 65534, 0)
  expect(() => readTrusted(file)).toThrow(new UntrustedFile('it belongs to user 65534; must belong to root'))
})

test('a FIFO, a folder and a device are named, at once', () => {
  execFileSync('mkfifo', [file])
  expect(() => readTrusted(file)).toThrow('it is a FIFO; must be a regular file')
  mkdirSync(join(folder, 'deep'))
  expect(() => readTrusted(join(folder, 'deep'))).toThrow('it is a folder; must be a regular file')
  expect(() => readTrusted('/dev/null')).toThrow('it is a device; must be a regular file')
  expect(() => requireRegular(statSync('/dev/full'))).toThrow('it is a device')
})

test('one that is larger than the caller takes is not read', () => {
  writeFileSync(file, 'four')
  expect(readTrusted(file, 4)).toBe('four')
  expect(() => readTrusted(file, 3)).toThrow(new UntrustedFile('it has 4 bytes; must have at most 3'))
})

test('what is not there is the kernel’s to say', () => {
  expect(() => readTrusted(file)).toThrow('ENOENT')
})

test('modes are written in four digits', () => {
  expect(octal({ mode: 0o100644 })).toBe('0644')
  expect(octal({ mode: 0o41777 })).toBe('1777')
})
