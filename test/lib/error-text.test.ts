// Whatever is thrown has words.
import { expect, test } from 'vitest'
import { errorText } from '../../src/lib/error-text.ts'

test.each([
  [new TypeError('no number'), 'no number'],
  [new Error(''), ''],
  ['a text', 'a text'],
  [undefined, 'undefined'],
  [null, 'null'],
  [7, '7'],
])('%s', (thrown, text) => {
  expect(errorText(thrown)).toBe(text)
})
