// The fuzzer makes up and judges calls in the same way for the same seed, without any call.
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { fuzzCase, spoiltDraft } from './case.ts'
import { callOf, type Plugin } from './draft.ts'
import { canAnswer, type Ended, HUNG_MS, judge } from './judge.ts'
import { HANDICAPS, REDIRECTIONS } from './surroundings.ts'
import { againKey, pathsOf, printTree, rawValue, withAgain, withValue } from './tree.ts'

const PLUGINS: readonly Plugin[] = ['vf-attach', 'vf-offload']
const numbers = Array.from({ length: 600 }, (_, number) => number)

describe('a tree', () => {
  test('is printed as JSON, with marks for what no serializer prints', () => {
    const tree = {
      a: rawValue('1e999'),
      [againKey('a')]: 'x',
      [againKey('__proto__')]: [rawValue('01'), '\ud800'],
    }
    expect(printTree(tree)).toBe('{"a":1e999,"a":"x","__proto__":[01,"\\ud800"]}')
  })

  test('has a path for each value below the top', () => {
    expect(pathsOf({ a: [1, { b: null }], c: '' })).toEqual([['a'], ['a', 0], ['a', 1], ['a', 1, 'b'], ['c']])
  })

  test('is copied with one place changed, taken away, or given again', () => {
    const tree = { a: [1, 2], b: { c: 3 } }
    expect(withValue(tree, ['b', 'c'], 'x')).toEqual({ a: [1, 2], b: { c: 'x' } })
    expect(withValue(tree, ['a', 0], undefined)).toEqual({ a: [2], b: { c: 3 } })
    expect(withValue(tree, ['nope', 'c'], 1)).toEqual(tree)
    expect(printTree(withAgain(tree, ['b', 'c'], 'c', 4))).toBe('{"a":[1,2],"b":{"c":3,"c":4}}')
    expect(tree).toEqual({ a: [1, 2], b: { c: 3 } })
  })
})

describe.each(PLUGINS)('cases of %s', (plugin) => {
  test('are the same for the same seed and number, down to the call', () => {
    const told = (seed: number) =>
      numbers.slice(0, 100).map((number) => {
        const one = fuzzCase(plugin, seed, number)
        const { env, stdin, shell } = callOf(spoiltDraft(one, one.mutations, undefined))
        return [
          one.kind,
          ...one.mutations.map(({ name }) => name),
          env,
          createHash('sha256').update(stdin).digest('hex'),
          shell,
        ]
      })
    expect(told(7)).toEqual(told(7))
    expect(told(7)).not.toEqual(told(8))
  })

  test('spoil each kind of call, and all that there is to spoil', () => {
    const cases = numbers.map((number) => fuzzCase(plugin, 1, number))
    expect(new Set(cases.map(({ kind }) => kind)).size).toBe(8)
    const names = cases.flatMap(({ mutations }) => mutations.map(({ name }) => name.split(/[ .=:]/)[0] ?? ''))
    const wanted = [
      'config',
      'the',
      'CNI_NETNS',
      'CNI_PATH',
      'redirect',
      'before',
      'log',
      'policy',
      '/run/vf-flower',
    ]
    expect(names).toEqual(expect.arrayContaining([...wanted, ...(plugin === 'vf-attach' ? ["IPAM's"] : [])]))
  })
})

describe('a call', () => {
  const call = {
    file: 'vf-attach',
    env: { CNI_COMMAND: 'ADD' },
    stdin: Buffer.from(''),
    shell: undefined,
  } as const
  const well: Ended = {
    code: 0,
    signal: null,
    stdout: '{"cniVersion":"1.0.0"}',
    stderr: '',
    ms: 1,
    memory: 40,
  }
  const error = (object: unknown): Ended => ({ ...well, code: 1, stdout: JSON.stringify(object) })
  const refused = {
    cniVersion: '1.0.0',
    code: 7,
    msg: 'Cannot use mtu 1: must be an integer from 68 to 65535',
  }

  test('may print a result, or an error object of its own or of IPAM', () => {
    expect(judge(call, well)).toEqual([])
    expect(judge(call, error(refused))).toEqual([])
    expect(judge(call, error({ ...refused, code: 999 }))).toEqual([])
    expect(judge(call, error({ ...refused, code: 1_000, msg: 'IPAM plugin "x": no' }))).toEqual([])
    expect(judge({ ...call, env: { CNI_COMMAND: 'DEL' } }, { ...well, stdout: '' })).toEqual([])
  })

  test.each<[string, Partial<Ended>]>([
    ['hung', { ms: HUNG_MS, signal: 'SIGKILL', code: null }],
    ['ended by SIGSEGV', { signal: 'SIGSEGV', code: null }],
    ['exit code 133', { code: 133 }],
    ['no object', { stdout: '' }],
    ['no object', { stdout: '{"cniVersion":"1.0.0"}{}' }],
    ['printed an error', { stdout: JSON.stringify(refused) }],
    ['without an error object', { code: 1, stdout: 'Segmentation fault' }],
    ['code 199', error({ ...refused, code: 199 })],
    ['code 1000', error({ ...refused, code: 1000 })],
    ['code 0', error({ ...refused, code: 0 })],
    ['code 4294967296', error({ ...refused, code: 2 ** 32, msg: 'IPAM plugin "x": no' })],
    ['code 1.5', error({ ...refused, code: 1.5 })],
    ['without words', error({ ...refused, msg: '' })],
    ['without cniVersion', error({ code: 7, msg: 'x' })],
    ['characters', error({ ...refused, msg: 'x'.repeat(30_000) })],
    ['a stack', { stderr: 'Error\n    at run (/$bunfs/root/vf-flower:1:2)\n' }],
    ['took 500 MB', { memory: 500 }],
  ])('may not have %s', (words, ended) => {
    expect(judge(call, { ...well, ...ended }).join('\n')).toContain(words)
  })

  test('is asked for no answer where nobody can read one', () => {
    const silent = REDIRECTIONS.filter((one) => !canAnswer(`ulimit -n 20; exec "$0" ${one}`))
    expect(silent).toEqual([
      ...['>&-', '>/dev/full', '1</dev/null', '>/dev/null', '<&- >&- 2>&-', '>/dev/full 2>/dev/full'],
    ])
    const lines = HANDICAPS.filter((one) => !canAnswer(`${one}; exec "$0" `))
    expect(lines.map((line) => line.replace(/.*; /, ''))).toEqual(['exec 1>&4 4>&-'])
    expect(judge({ ...call, shell: 'exec "$0" >/dev/full' }, { ...well, code: 1, stdout: '' })).toEqual([])
  })
})
