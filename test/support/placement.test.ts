// Test files go to the kernel that has what they need.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Feature } from '../../hack/lab/features.ts'
import { nativeFiles, needsOf, placeFiles } from './placement.ts'

describe('the line with what a file needs', () => {
  test('may stand anywhere at the beginning of a line, and ends with it', () => {
    const text = '// What is shown.\n// needs: veth, nft-fib\nimport {} from "needs: bond"\n'
    expect(needsOf(text, 'a.test.ts')).toEqual(['veth', 'nft-fib'])
  })

  test.each([
    ['is absent', '// What is shown.\n'],
    ['is empty', '// needs:\n'],
    ['stands inside of another', '// a file that // needs: veth\n'],
  ])('that %s is an error with the name of the file', (_, text) => {
    expect(() => needsOf(text, 'test/native/a.test.ts')).toThrow(
      'test/native/a.test.ts has no line "// needs: ...": name what it needs of the kernel',
    )
  })

  test.each(['veth, dumy', 'veth,nft', 'veth, ', 'Veth'])(
    'with an unknown word (%s) is an error',
    (words) => {
      expect(() => needsOf(`// needs: ${words}\n`, 'a.test.ts')).toThrow(
        /^a\.test\.ts needs .*: must be one of namespaces, veth, /,
      )
    },
  )

  test('is there and right in each file of test/native', () => {
    expect(nativeFiles().length).toBeGreaterThan(0)
    for (const file of nativeFiles()) {
      const text = readFileSync(join(import.meta.dirname, '../..', file), 'utf8')
      expect(needsOf(text, file).length).toBeGreaterThan(0)
    }
  })
})

describe('a file', () => {
  const files = new Map([
    ['plain', '// needs: veth'],
    ['filters', '// needs: veth, flower, dummy'],
    ['node', '// needs: namespaces, veth'],
  ])

  test('runs natively when the kernel has all that it needs', () => {
    const has = new Set<Feature>(['namespaces', 'veth', 'flower', 'dummy', 'nft'])
    expect(placeFiles(files, has)).toEqual({
      native: ['plain', 'filters', 'node'],
      lab: new Map(),
      nowhere: [],
    })
  })

  test('goes to the virtual machine, with what is missing', () => {
    expect(placeFiles(files, new Set<Feature>(['namespaces', 'veth']))).toEqual({
      native: ['plain', 'node'],
      lab: new Map([['filters', ['flower', 'dummy']]]),
      nowhere: [],
    })
  })

  test('goes there too when there are no nodes, whatever else the kernel has; one about nodes runs nowhere', () => {
    expect(placeFiles(files, new Set<Feature>(['veth', 'flower']))).toEqual({
      native: [],
      lab: new Map([
        ['plain', ['namespaces']],
        ['filters', ['namespaces', 'dummy']],
      ]),
      nowhere: ['node'],
    })
  })
})
