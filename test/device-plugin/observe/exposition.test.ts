// The reader of the text format that the tests of metrics rely on refuses what Prometheus would refuse or misread.
import { expect, test } from 'vitest'
import { BadExposition, readExposition } from './exposition.ts'

const head = '# HELP a words\n# TYPE a gauge\n'

test('reads names, labels with escapes, and values', () => {
  const read = readExposition(`${head}a{b="x\\"y\\\\z\\n",c=""} 1.5e3\na -Inf\n`)
  expect(read.get('a')).toEqual({
    ...{ name: 'a', type: 'gauge', help: 'words' },
    samples: [
      { name: 'a', labels: { b: 'x"y\\z\n', c: '' }, value: 1_500 },
      { name: 'a', labels: {}, value: Number.NEGATIVE_INFINITY },
    ],
  })
})

test.each([
  ['a 1\n', 'without TYPE'],
  [`${head}a 1`, 'does not end'],
  [`${head}b 1\n`, 'of another metric'],
  [`${head}a 1\na 2\n`, 'twice'],
  [`${head}a{b="1",b="2"} 1\n`, 'twice'],
  [`${head}a{b="1" c="2"} 1\n`, 'no comma'],
  [`${head}a{b=1} 1\n`, 'no value of b'],
  [`${head}a{b="\\x"} 1\n`, 'escape'],
  [`${head}a\n`, 'no value'],
  [`${head}a one\n`, 'no value'],
  [`${head}9 1\n`, 'no name'],
  [`${head}${head}`, 'second HELP'],
  ['# HELP a words\n# TYPE a thing\n', 'unknown type'],
  ['# HELP a words\n# TYPE b gauge\n', 'out of place'],
  ['# words\n', 'neither'],
  ['# HELP a w\n# TYPE a counter\na -1\n', 'below zero'],
  ['# HELP a w\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n', 'broken'],
  [
    '# HELP a w\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
    'broken',
  ],
])('refuses %j', (text, words) => {
  expect(() => readExposition(text)).toThrow(BadExposition)
  expect(() => readExposition(text)).toThrow(words)
})
