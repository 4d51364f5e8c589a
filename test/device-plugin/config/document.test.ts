// JSON with places: values are those of JSON.parse, and the place of each is where it stands in the text.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConfigError } from '../../../device-plugin/config/config-error.ts'
import {
  Findings,
  follow,
  member,
  type Node,
  plain,
  readDocument,
} from '../../../device-plugin/config/text/document.ts'

function everyNode(node: Node): readonly Node[] {
  if (node.kind === 'scalar') return [node]
  const inner = node.kind === 'list' ? node.items : node.members.map(([, one]) => one)
  return [node, ...inner.flatMap(everyNode)]
}

test('values, places and paths agree with the text, however it is laid out', () => {
  const key = fc.oneof(fc.string(), fc.constantFrom('a', '__proto__', 'toString', '"', '\\'))
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.oneof(
        fc.string(),
        fc.integer(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.boolean(),
        fc.constant(null),
      ),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map((pairs) => Object.fromEntries(pairs)),
    ),
  }))
  fc.assert(
    fc.property(
      value,
      fc.constantFrom(undefined, 1, '\t', '  '),
      fc.constantFrom('', ' \r\n\t'),
      (one, indent, around) => {
        const text = `${around}${JSON.stringify(one, null, indent)}${around}`
        const node = readDocument(text)
        expect(plain(node)).toEqual(JSON.parse(text))
        for (const each of everyNode(node)) {
          const wanted = JSON.stringify(plain(each), null, indent)
          const rest = text.slice(each.at)
          // The beginning of the value; nested lines of a deeper value are indented.
          expect(rest.startsWith(wanted.split('\n')[0] ?? '')).toBe(true)
          expect(each.keyAt === each.at || text[each.keyAt] === '"').toBe(true)
        }
        expect(new Set(everyNode(node).map(({ at }) => at)).size).toBe(everyNode(node).length)
      },
    ),
  )
})

test('of a repeated key the last one counts', () => {
  const node = readDocument('{"a":1,"b":2,"a":{"c":3}}')
  expect(plain(node)).toEqual({ b: 2, a: { c: 3 } })
  expect(member(node, 'a')).toMatchObject({ kind: 'object', at: 17, keyAt: 13, path: 'a' })
})

test('a path leads as far as there are nodes', () => {
  const node = readDocument('{"a":[{"b c":true}]}')
  expect(follow(node, ['a', 0, 'b c'])).toEqual([expect.objectContaining({ path: 'a[0]."b c"' }), 3])
  expect(follow(node, ['a', 0, 'd', 'e'])).toEqual([expect.objectContaining({ path: 'a[0]' }), 2])
  expect(follow(node, ['a', 7])).toEqual([expect.objectContaining({ path: 'a' }), 1])
})

describe('findings', () => {
  test('have line and column, and the order of the text', () => {
    const text = '{\n  "ä": [1,\n 2]}'
    const list = readDocument(text)
    const findings = new Findings(text)
    const [one, two] = [follow(list, ['ä', 0])[0], follow(list, ['ä', 1])[0]]
    findings.add('error', two, 'is two')
    expect(findings.failed).toBe(true)
    findings.add('warning', one, 'is one', 'elsewhere')
    expect(findings.all).toEqual([
      { severity: 'warning', line: 2, column: 9, key: 'elsewhere', text: 'is one' },
      { severity: 'error', line: 3, column: 2, key: '"ä"[1]', text: 'is two' },
    ])
  })
})

test.each(['', '{', '[1,]', '{"a":1 "b":2}', 'nul', '\ufeff{}', '{} x'])('%j is no document', (text) => {
  expect(() => readDocument(text)).toThrow(ConfigError)
})
