// Names of interfaces are judged as the kernel judges them.
import { expect, test } from 'vitest'
import { isInterfaceName, isLinkName, isPlainName } from '../../src/lib/interface-name.ts'

test.each(['a', 'net1', 'enp59s0f0v1', 'a.b', '...', '123456789012345', 'é%d', 'a@b'])(
  '%j is one',
  (name) => {
    expect(isInterfaceName(name)).toBe(true)
  },
)

test.each([
  '',
  '.',
  '..',
  '1234567890123456',
  'ééééééééé',
  'a/b',
  'a:0',
  'a b',
  'a\tb',
  'a\n',
  'a\0',
  'a\ud800',
])('%j is none', (name) => {
  expect(isInterfaceName(name)).toBe(false)
})

test('a name that the kernel would make another one of is not plain', () => {
  for (const name of ['a', 'net1', 'a.b', 'a@b']) expect(isPlainName(name)).toBe(true)
  for (const name of ['a%d', '%', 'a/b', '']) expect(isPlainName(name)).toBe(false)
})

test('an alternative name may be longer, and is text too', () => {
  for (const name of ['a', 'enp59s0f0np0-of-the-storage', 'a/b', 'x'.repeat(127)])
    expect(isLinkName(name)).toBe(true)
  for (const name of ['', 'x'.repeat(128), 'é'.repeat(64), 'a\0', '\udc00a'])
    expect(isLinkName(name)).toBe(false)
})
