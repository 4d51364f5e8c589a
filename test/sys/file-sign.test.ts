// Files are told apart by their signs: another file at the same path, and another content of the same file.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { identityAt, signOf } from '../../src/sys/file-sign.ts'

let top = ''
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'vf-sign-'))
})
afterEach(() => rmSync(top, { recursive: true, force: true }))

test('an identity is that of one file: another file of the same name has another one', () => {
  const file = join(top, 'a')
  expect(identityAt(file)).toBeUndefined()
  expect(identityAt(join(file, 'b'))).toBeUndefined()
  writeFileSync(file, '')
  const first = identityAt(file)
  expect(identityAt(file)).toBe(first)
  rmSync(file)
  writeFileSync(file, '')
  expect(identityAt(file)).not.toBe(first)
})

test('a sign changes with the content, an identity does not', () => {
  const file = join(top, 'a')
  expect(signOf(file)).toBe('')
  writeFileSync(file, 'a')
  const [sign, identity] = [signOf(file), identityAt(file)]
  expect(signOf(file)).toBe(sign)
  writeFileSync(file, 'ab')
  expect(signOf(file)).not.toBe(sign)
  expect(identityAt(file)).toBe(identity)
  expect(signOf(join(file, 'b'))).toBe('')
})
