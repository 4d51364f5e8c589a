// The numbers of system calls in the sources are those of the kernel's headers, on both processors. A wrong one on the processor that
// tests do not run on would call something else.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { expect, test } from 'vitest'
import { compilerFor } from '../../hack/release/platforms.ts'

const top = join(import.meta.dirname, '../..')
const text = (file: string) => readFileSync(join(top, file), 'utf8')
const product = ['src', 'device-plugin'].flatMap((folder) =>
  readdirSync(join(top, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `${folder}/${file}`),
)

/** That of the compilers, which the processor of the tests need not be. */
const own = execaSync('gcc', ['-dumpmachine']).stdout.startsWith('aarch64') ? 'arm64' : 'amd64'

type Pair = readonly [x64: number, arm64: number]

/** Numbers by names, as a compiler for the processor sees them in asm/unistd.h. */
function headerNumbers(architecture: 'amd64' | 'arm64'): ReadonlyMap<string, number> {
  const argv = ['-E', '-dM', '-x', 'c', '-']
  const { stdout } = execaSync(compilerFor(architecture, own), argv, {
    input: '#include <asm/unistd.h>\n',
  })
  const found = new Map<string, number>()
  for (const [, name = '', number] of stdout.matchAll(/^#define __NR_(\w+) (\d+)$/gm))
    found.set(name, Number(number))
  return found
}

/** Each place of the sources that names a system call with its numbers. */
function pairs(): ReadonlyMap<string, Pair> {
  const found = new Map<string, Pair>()
  for (const file of product) {
    const source = text(file)
    const add = (name: string, x64: string, arm64: string) =>
      found.set(`${name} in ${file}`, [Number(x64), Number(arm64)])
    const call = /(?:anyCall|resultOr)\(\s*'(\w+)',\s*(?:\[(\d+), (\d+)\]|(\w+))/g
    for (const [, name = '', x64 = '', arm64 = '', constant] of source.matchAll(call)) {
      if (constant === undefined) add(name, x64, arm64)
      else add(name, ...pairOf(source, constant))
    }
    const byErrno = /'(\w+)',\s*callOrErrno\((\w+)/g
    for (const [, name = '', constant = ''] of source.matchAll(byErrno))
      add(name, ...pairOf(source, constant))
    const table =
      /^const callNumbers = \{\n((?: {2}\w+: \[\d+, \d+\],\n)+)\} as const/m.exec(source)?.[1] ?? ''
    for (const [, name = '', x64 = '', arm64 = ''] of table.matchAll(/(\w+): \[(\d+), (\d+)\]/g))
      add(name, x64, arm64)
  }
  return found
}

function pairOf(source: string, constant: string): [string, string] {
  const [, x64, arm64] = new RegExp(`\\b${constant} = \\[(\\d+), (\\d+)\\] as const`).exec(source) ?? []
  // A parameter: its callers are looked at.
  return [x64 ?? 'NaN', arm64 ?? 'NaN']
}

test('are those of the headers', () => {
  const all = [...pairs()].filter(([, [x64]]) => !Number.isNaN(x64))
  expect(all.length).toBeGreaterThan(25)
  const [x64, arm64] = [headerNumbers('amd64'), headerNumbers('arm64')]
  const wanted = all.map(([place]) => {
    const name = place.slice(0, place.indexOf(' '))
    return [place, [x64.get(name), arm64.get(name)]]
  })
  expect(Object.fromEntries(all)).toEqual(Object.fromEntries(wanted))
})

test('each place that passes numbers was found', () => {
  const places = product.flatMap((file) =>
    [...text(file).matchAll(/\[(\d+), (\d+)\] as const|'\w+',\s*\[\d+, \d+\]/g)].map(
      ([words]) => `${file} ${words}`,
    ),
  )
  const numbers = [...pairs()].map(
    ([place, [x64, arm64]]) => `${place.slice(place.indexOf(' in ') + 4)} ${x64}, ${arm64}`,
  )
  const named = places.filter((place) => / '\w+', \[/.test(place) || /Numbers/.test(place))
  for (const place of named) {
    const [, file = '', pair = ''] = /^(\S+) .*\[(\d+, \d+)\]/s.exec(place) ?? []
    expect(numbers, place).toContain(`${file} ${pair}`)
  }
})
