// Test files go to the kernel that has what they need, or run nowhere, with the reason, when their packages can't be had.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Feature } from '../../hack/lab/features.ts'

import { nativeFiles, needsOf, onlyOf, packagesOf, placeFiles, withoutPackages } from './placement.ts'

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
    expect(placeFiles(files, has, () => undefined)).toEqual({
      native: ['plain', 'filters', 'node'],
      lab: new Map(),
      nowhere: new Map(),
    })
  })

  test('for runs with a variable runs nowhere without it, with its name', () => {
    const has = new Set<Feature>(['namespaces', 'veth'])
    const file = new Map([['kubelet', '// needs: veth\n// only: VF_KUBELET']])
    const placed = (env: Record<string, string>) => placeFiles(file, has, () => undefined, env)
    expect(placed({}).nowhere).toEqual(new Map([['kubelet', 'is for runs with VF_KUBELET']]))
    expect(placed({ VF_KUBELET: '/opt/kubelet' }).native).toEqual(['kubelet'])
  })

  test('goes to the virtual machine, with what is missing', () => {
    expect(placeFiles(files, new Set<Feature>(['namespaces', 'veth']), () => undefined)).toEqual({
      native: ['plain', 'node'],
      lab: new Map([['filters', ['flower', 'dummy']]]),
      nowhere: new Map(),
    })
  })

  test('goes there too when there are no nodes, whatever else the kernel has; one about nodes runs nowhere', () => {
    expect(placeFiles(files, new Set<Feature>(['veth', 'flower']), () => undefined)).toEqual({
      native: [],
      lab: new Map([
        ['plain', ['namespaces']],
        ['filters', ['namespaces', 'dummy']],
      ]),
      nowhere: new Map([['node', 'is about nodes of namespaces, and this machine gives none']]),
    })
  })

  test('whose package can not be had runs nowhere, with the reason; others are not asked about', () => {
    const some = new Map([
      ['pods', '// needs: veth\n// packages: containerd, runc, busy'],
      ['calls', '// needs: veth\n// packages: runc'],
      ...files,
    ])
    const has = new Set<Feature>(['namespaces', 'veth', 'flower', 'dummy'])
    const lack = (name: string) => (name === 'runc' ? undefined : `no package ${name}`)
    expect(placeFiles(some, has, lack)).toEqual({
      native: ['calls', 'plain', 'filters', 'node'],
      lab: new Map(),
      nowhere: new Map([['pods', 'no package containerd; no package busy']]),
    })
  })
})

test('a file of the virtual machine whose package can not be had is named with the reason', () => {
  const files = new Map([
    ['pods', '// packages: containerd, runc\n'],
    ['filters', '// Shows.\n'],
  ])
  expect(withoutPackages(files, (name) => (name === 'runc' ? 'no runc' : undefined))).toEqual(
    new Map([['pods', 'no runc']]),
  )
  expect(withoutPackages(files, () => undefined)).toEqual(new Map())
})

test('the line with packages is one line, and may be absent', () => {
  expect(packagesOf('// Shows.\n// needs: veth\n// packages: containerd, runc\n')).toEqual([
    'containerd',
    'runc',
  ])
  expect(packagesOf('// needs: veth\nconst text = "// packages: a"\n')).toEqual([])
})

test('the line with the variable of a run holds one name', () => {
  expect(onlyOf('// needs: veth\n// only: VF_RUNTIMES\n')).toBe('VF_RUNTIMES')
  expect(onlyOf('// only with luck\n')).toBeUndefined()
})
