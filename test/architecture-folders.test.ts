// The folders inside a layer: who may import whom, types included. A folder is a subject; the order is that of the plan.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, describe as group, test } from 'vitest'

const top = fileURLToPath(new URL('..', import.meta.url))

/** Top to bottom. Each folder, or file of the root, imports from those behind it, and never from one beside it. */
const orders: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'src/offload': [
    ['plugin'],
    ['del'],
    ['features'],
    ['verbs'],
    ['portmap', 'bandwidth'],
    ['feature'],
    ['state'],
    ['port'],
    ['config'],
  ],
}

/** Of all imports of a file, types included: paths from the top. */
function importsOf(file: string): string[] {
  const source = readFileSync(join(top, file), 'utf8')
  return [...source.matchAll(/^(?:import|export)[^;]*?from '(\.[^']+)'/gm)].map(([, name = '']) =>
    normalize(join(dirname(file), name)),
  )
}

function filesOf(folder: string): string[] {
  return readdirSync(join(top, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
}

group.each(Object.entries(orders))('%s', (root, order) => {
  const files = filesOf(root)
  const partOf = (file: string) =>
    file
      .slice(root.length + 1)
      .split('/')[0]
      ?.replace(/\.ts$/, '') ?? ''
  const levelOf = (part: string) => order.findIndex((parts) => parts.includes(part))

  test('has the folders of the order and no others', () => {
    expect(files.length).toBeGreaterThan(20)
    expect([...new Set(files.map(partOf))].sort()).toEqual(order.flat().sort())
  })

  test('imports lead down the order, never up and never to a folder beside', () => {
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter((target) => target.startsWith(`${root}/`))
        .filter((target) => {
          const [from, to] = [partOf(file), partOf(target)]
          return from !== to && levelOf(from) >= levelOf(to)
        })
        .map((target) => `${file} -> ${target}`),
    )
    expect(wrong).toEqual([])
  })

  test('no folder has more than 20 files', () => {
    const counts = new Map<string, number>()
    for (const file of files) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1)
    expect([...counts].filter(([, count]) => count > 20)).toEqual([])
  })

  test('no circle, types included', () => {
    const done = new Set<string>()
    const walk = (file: string, path: readonly string[]): void => {
      expect(path).not.toContain(file)
      if (done.has(file) || !existsSync(join(top, file))) return
      for (const target of importsOf(file)) if (target.startsWith(`${root}/`)) walk(target, [...path, file])
      done.add(file)
    }
    for (const file of files) walk(file, [])
  })
})
