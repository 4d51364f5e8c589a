// A path of a config is absolute and as long as the kernel allows.
import { basename, dirname } from 'node:path'
import { expect, test } from 'vitest'
import { folderOf, isFolderPath, lastPart, partsOf, plainPath } from '../../src/lib/path.ts'

test.each(['/a', '/var/lib/cni/vf-flower', '/a//b/../c/', `/${'x'.repeat(255)}`, '/x'.repeat(1792)])(
  '%j is one',
  (path) => {
    expect(isFolderPath(path)).toBe(true)
  },
)

test.each([
  '',
  '/',
  'a',
  './a',
  '/a\0',
  '/a\ud800',
  `/${'x'.repeat(256)}`,
  `/${'é'.repeat(128)}`,
  '/x'.repeat(1793),
])('%j is none', (path) => {
  expect(isFolderPath(path)).toBe(false)
})

test.each(['/run/vf-flower/lock', '/run', '/', 'file', '../file', '', '/a b/c:d@e.json'])(
  'folder and last part of %j are those of node:path',
  (path) => {
    expect([folderOf(path), lastPart(path)]).toEqual([dirname(path), basename(path)])
  },
)

test.each([
  ['/', [], ''],
  ['/a//b/./c/', ['a', 'b', 'c'], '/a/b/c'],
  ['a/..', ['a', '..'], '/a/..'],
])('parts of a path, and the path without needless ones: %s', (path, parts, plain) => {
  expect(partsOf(path)).toEqual(parts)
  expect(plainPath(path)).toBe(plain)
})
