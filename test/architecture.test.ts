// The shape of the program, read from its source: who may import whom, what an exported name owes its reader, what no
// tracked file may say. A new edge between layers is a decision: it goes into the table below, with its reason.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const top = fileURLToPath(new URL('..', import.meta.url))
// A clone may belong to another user than root, who runs the tests.
const tracked = execFileSync('git', ['-c', 'safe.directory=*', 'ls-files', '-z'], {
  cwd: top,
  encoding: 'utf8',
  maxBuffer: 1 << 24,
})
  .split('\0')
  .filter((file) => file !== '' && existsSync(join(top, file)))
const text = (file: string) => readFileSync(join(top, file), 'utf8')
const product = tracked.filter((file) => /^(src|device-plugin)\/.*\.ts$/.test(file))

/**
 * Who may import whom. `type`: only types, so that the one can be tested, and loaded, without the other.
 * What is not here is not allowed; the order is that of the layers, and no edge leads up.
 */
const edges: readonly (readonly [from: string, to: string, kind: 'any' | 'type', reason: string])[] = [
  ['main', 'run-cni', 'any', 'the executable starts the program that its name says'],
  ['main', 'ctl', 'any', 'the same'],
  ['main', 'device-plugin', 'any', 'the same'],
  ['run-cni', 'attach', 'any', 'puts plugin, protocol, machine and process together'],
  ['run-cni', 'offload', 'any', 'the same'],
  ['run-cni', 'cni', 'any', 'the same'],
  ['run-cni', 'kernel', 'any', 'the same: the only place where a plugin meets the real machine'],
  ['run-cni', 'sys', 'any', 'the protocol must know our own namespace before anything is loaded'],
  ['attach', 'cni', 'any', 'requests, results, errors, IPAM'],
  ['attach', 'ops', 'any', 'its plans are operations'],
  ['attach', 'records', 'any', 'its journal is a record; the chain plugin’s limits are in records'],
  ['attach', 'nic', 'any', 'which device an address is'],
  ['attach', 'kernel', 'type', 'takes machine, kernel and facts as parameters'],
  ['attach', 'lib', 'any', 'small values'],
  ['offload', 'cni', 'any', 'requests, results, errors'],
  ['offload', 'ops', 'any', 'its plans are operations'],
  ['offload', 'records', 'any', 'its journal is a record'],
  ['offload', 'nic', 'any', 'which device an address is'],
  ['offload', 'kernel', 'type', 'takes machine, kernel and facts as parameters'],
  ['offload', 'lib', 'any', 'small values'],
  ['ctl', 'attach', 'any', 'the keys of its configs, as a schema'],
  ['ctl', 'offload', 'any', 'its reports, the marks of what it made, and the keys of its configs'],
  ['ctl', 'records', 'any', 'shows the attachments that records tell of'],
  ['ctl', 'cni', 'any', 'the keys of configs and of the policy, as a schema'],
  ['ctl', 'kernel', 'any', 'puts commands and the real machine together'],
  ['ctl', 'ops', 'any', 'operations as command lines, and whose namespace lives'],
  ['ctl', 'lib', 'any', 'small values'],
  ['device-plugin', 'lib', 'any', 'small values'],
  ['cni', 'lib', 'any', 'JSON, addresses; the protocol knows no kernel'],
  [
    'kernel',
    'ops',
    'any',
    'carries operations out: their types, the errors that they end with, the marks that they bear',
  ],
  ['kernel', 'netlink', 'any', 'the only user of netlink'],
  ['kernel', 'sys', 'any', 'sockets, namespaces, sysctls'],
  ['kernel', 'lib', 'any', 'small values'],
  ['records', 'ops', 'any', 'operations of the program, which it maps to those on the disk and back'],
  ['records', 'sys', 'any', 'records are files that must be whole or absent'],
  ['records', 'lib', 'any', 'small values'],
  ['ops', 'sys', 'any', 'processes and mounts that keep a namespace'],
  ['ops', 'lib', 'any', 'small values'],
  ['nic', 'sys', 'any', 'reads sysfs'],
  ['nic', 'lib', 'any', 'small values'],
  ['netlink', 'lib', 'any', 'small values'],
  ['sys', 'lib', 'any', 'names of errnos'],
]

/** Top to bottom, as the edges above: whatever a layer imports stands behind it. */
const layers = [
  ...[
    'main',
    'run-cni',
    'ctl',
    'attach',
    'offload',
    'device-plugin',
    'cni',
    'records',
    'kernel',
    'ops',
    'nic',
    'netlink',
  ],
  ...['sys', 'lib'],
]

/** Folders of a layer with the folders that each may import, types included. `root`: files that lie in no folder. */
const folders: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  attach: {
    root: ['verbs', 'restore', 'device', 'foreign', 'state', 'config'],
    verbs: ['restore', 'plan', 'device', 'foreign', 'state', 'config'],
    restore: ['plan', 'device', 'foreign', 'state', 'config'],
    plan: ['device', 'state', 'config'],
    device: ['state', 'config'],
    foreign: ['state', 'config'],
    state: ['config'],
  },
}

/** `throw new Error` says nothing that a caller could tell apart; where it may stand all the same. */
const plainErrors: Readonly<Record<string, string>> = {
  'src/netlink/codec/wire.ts': 'a CPU that we can not run on: nothing works, nobody can handle it',
  'src/kernel/linux/open-sides.ts': 'a defect of the caller: code 199 is right',
  'src/kernel/link/move.ts': 'a defect of the caller: code 199 is right',
  'src/run-cni.ts': 'can not happen: dispatch answers VERSION by itself',
}

interface Import {
  readonly file: string
  readonly target: string
  readonly isType: boolean
  readonly isDynamic: boolean
}

/** Source without comments and without what is in quotes, line by line as it was. */
function bare(source: string): string {
  const noise = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g
  return source.replace(noise, (part) => part.replace(/[^\n]/g, ' '))
}

function importsOf(file: string): Import[] {
  const source = text(file).replace(/\/\*[\s\S]*?\*\/|^\s*\/\/[^\n]*/gm, '')
  const target = (name: string) => (name.startsWith('.') ? normalize(join(dirname(file), name)) : name)
  const fixed = [...source.matchAll(/^(?:import|export)\s+(type\s+)?((?:[^'"]*?\sfrom\s+)?)'([^']+)'/gm)]
  const dynamic = [...source.matchAll(/(typeof\s+)?\bimport\(\s*'([^']+)'\s*\)/g)]
  return [
    ...fixed.map(([, type, names = '', name = '']) => {
      const list =
        /\{([^}]*)\}/
          .exec(names)?.[1]
          ?.split(',')
          .map((one) => one.trim())
          .filter(Boolean) ?? []
      const onlyTypes =
        list.length > 0 && list.every((one) => one.startsWith('type ')) && /^\s*\{/.test(names)
      return { file, target: target(name), isType: type !== undefined || onlyTypes, isDynamic: false }
    }),
    ...dynamic.map(([, type, name = '']) => ({
      file,
      target: target(name),
      isType: type !== undefined,
      isDynamic: true,
    })),
  ]
}

const imports = product.flatMap(importsOf)
const isOwn = ({ target }: Import) => product.includes(target)

function layerOf(file: string): string {
  const [first = '', second = ''] = file.split('/')
  return first === 'src' ? second.replace(/\.ts$/, '') : first
}

const shown = ({ file, target, isType }: Import) => `${file} -> ${target}${isType ? ' (types)' : ''}`

describe('imports', () => {
  test('are found: the numbers that this file reasons about are not zero', () => {
    expect(imports.filter(isOwn).length).toBeGreaterThan(200)
    expect(imports.filter(({ isType }) => isType).length).toBeGreaterThan(50)
    expect(imports.filter(({ isDynamic }) => isDynamic).map(shown)).toContain('src/main.ts -> src/run-cni.ts')
    expect(imports.map(({ target }) => target)).toContain('bun:ffi')
    for (const file of product) expect([file, layers.includes(layerOf(file))]).toEqual([file, true])
  })

  test('every relative one names a file with its ending', () => {
    const missing = imports.filter(({ target }) => target.includes('/') && !/^node:/.test(target))
    expect(
      missing.filter((one) => !existsSync(join(top, one.target)) || !one.target.endsWith('.ts')).map(shown),
    ).toEqual([])
  })

  test('between layers: those in the table and no others', () => {
    const strangers = imports.filter(isOwn).filter((one) => {
      const [from, to] = [layerOf(one.file), layerOf(one.target)]
      const edge = edges.find(([left, right]) => left === from && right === to)
      return from !== to && (edge === undefined || (edge[2] === 'type' && !one.isType))
    })
    expect(strangers.map(shown)).toEqual([])
  })

  test('the table leads downwards only, and says nothing that is not so', () => {
    for (const [from, to] of edges) {
      expect(layers).toEqual(expect.arrayContaining([from, to]))
      expect([from, to, layers.indexOf(from) < layers.indexOf(to)]).toEqual([from, to, true])
    }
    const unused = edges.filter(
      ([from, to]) =>
        !imports.some((one) => isOwn(one) && layerOf(one.file) === from && layerOf(one.target) === to),
    )
    expect(unused).toEqual([])
  })

  test('the two plugins know nothing of each other', () => {
    const pair = ['attach', 'offload']
    const across = imports.filter(
      ({ file, target }) =>
        pair.includes(layerOf(file)) && pair.includes(layerOf(target)) && layerOf(file) !== layerOf(target),
    )
    expect(across.map(shown)).toEqual([])
  })

  test.each(Object.entries(folders))(
    'between folders of src/%s: those in the table and no others',
    (layer, rule) => {
      const folderOf = (file: string) => file.split('/').slice(2, -1)[0] ?? 'root'
      const inside = imports.filter(isOwn).filter(({ file, target }) => {
        return layerOf(file) === layer && layerOf(target) === layer && folderOf(file) !== folderOf(target)
      })
      const used = new Set(inside.map(({ file }) => folderOf(file)))
      expect([...used].filter((folder) => !(folder in rule))).toEqual([])
      const strangers = inside.filter(
        ({ file, target }) => !(rule[folderOf(file)] ?? []).includes(folderOf(target)),
      )
      expect(strangers.map(shown)).toEqual([])
    },
  )

  test('no file is loaded to load itself', () => {
    const next = (file: string) =>
      imports
        .filter((one) => one.file === file && isOwn(one) && !one.isType && !one.isDynamic)
        .map(({ target }) => target)
    const done = new Set<string>()
    const walk = (file: string, path: readonly string[]): void => {
      expect(path).not.toContain(file)
      if (done.has(file)) return
      for (const target of next(file)) walk(target, [...path, file])
      done.add(file)
    }
    for (const file of product) walk(file, [])
  })

  test('libc is opened in one place', () => {
    expect(imports.filter(({ target }) => target.startsWith('bun:')).map(shown)).toEqual([
      'src/sys/ffi.ts -> bun:ffi',
    ])
  })

  test('of packages: dependencies only', () => {
    const { dependencies } = JSON.parse(text('package.json')) as { dependencies: Record<string, string> }
    const packages = imports.filter(({ target }) => !target.includes(':') && !target.endsWith('.ts'))
    for (const { file, target } of packages) {
      const name = target
        .split('/')
        .slice(0, target.startsWith('@') ? 2 : 1)
        .join('/')
      expect([file, Object.keys(dependencies)]).toEqual([file, expect.arrayContaining([name])])
    }
  })

  test('nobody loads the logger who writes no line: it is required by name, by one file', () => {
    const pino = imports.filter(({ target, isType }) => !isType && /(^|\/)pino(\.ts)?$/.test(target))
    expect(pino.map(shown)).toEqual(['src/lib/log/pino.ts -> pino'])
    const named = product.filter((file) => /'pino(\.js)?'/.test(text(file)))
    expect(named).toEqual(['src/lib/log/log.ts', 'src/lib/log/pino.ts'])
  })

  test('nobody pays for node:child_process who runs no child', () => {
    expect(
      imports.filter(({ target, isDynamic }) => /child_process/.test(target) && !isDynamic).map(shown),
    ).toEqual([])
  })
})

describe('source', () => {
  test('no `any`', () => {
    const any = /(?::|\bas|<|,|\||&|=>)\s*any\b(?!\s*[?(]|\s*===?)|\bany\[\]/
    const found = product.flatMap((file) =>
      bare(text(file))
        .split('\n')
        .flatMap((line, index) => (any.test(line) ? [`${file}:${index + 1}: ${line}`] : [])),
    )
    expect(found).toEqual([])
    for (const line of ['x: any', 'as any', 'Map<string, any>', 'any[]', 'x: string | any'])
      expect(line).toMatch(any)
  })

  test('no bare Error where the caller could do something about it', () => {
    const places = product.filter((file) => /\bnew Error\(/.test(bare(text(file))))
    expect(places.sort()).toEqual(Object.keys(plainErrors).sort())
  })

  test('every exported function and interface has a doc comment', () => {
    const silent = product.flatMap((file) => {
      const lines = text(file).split('\n')
      return lines.flatMap((line, index) => {
        const name = /^export (?:default )?(?:async )?(?:function\*?|interface) (\w+)/.exec(line)?.[1]
        return name === undefined || /\*\/$/.test(lines[index - 1] ?? '')
          ? []
          : [`${file}:${index + 1} ${name}`]
      })
    })
    expect(silent).toEqual([])
  })

  test('knows nothing of the NIC simulator', () => {
    expect(product.filter((file) => /simnic/i.test(text(file)))).toEqual([])
  })

  test('no file is over 500 lines', () => {
    const lines = tracked
      .filter((file) => /\.(ts|js|mjs|sh|c|h|go)$/.test(file))
      .map((file) => [file, text(file).split('\n').length - 1] as const)
    expect(lines.filter(([, count]) => count > 500)).toEqual([])
    const long = lines.filter(([, count]) => count > 300).sort(([, left], [, right]) => right - left)
    if (long.length > 0)
      console.warn(`over 300 lines:\n${long.map(([file, count]) => `${count} ${file}`).join('\n')}`)
  })
})

describe('what no tracked file says', () => {
  // Put together so that this file does not say it either.
  const said = (...parts: string[]) => new RegExp(parts.join(''), 'i')
  const forbidden: readonly (readonly [string, RegExp])[] = [
    ['a path of one machine', said('/', 'work/')],
    ['a folder beside the checkout', said('\\.\\./', 'shared\\b')],
    ['a number of a list that readers do not have', said('\\bissue', 's? #?\\d')],
    [
      'a page that readers do not have',
      said('\\bdesign', ' §|experiments', '\\.md|lab-notes', '\\.md|tc-offload', '\\.md'),
    ],
    ['that a test is not run', said('\\b(test|it|desc', 'ribe)\\.(skip|only|todo|fails|skipIf|runIf)\\b')],
    ['who wrote it', said('\\b(clau', 'de|chat', 'gpt|co', 'pilot|language', ' model|ai-', 'generated)\\b')],
  ]
  const files = tracked.filter(
    (file) => !['package-lock.json', 'LICENSE', 'hack/simnic/LICENSE'].includes(file),
  )

  test.each(forbidden)('%s', (_, pattern) => {
    const found = files.flatMap((file) =>
      text(file)
        .split('\n')
        .flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1}: ${line}`] : [])),
    )
    expect(found).toEqual([])
  })

  test('the patterns can find', () => {
    for (const [index, line] of [
      `/${'work'}/main`,
      `..${'/shared'}/x`,
      `see issue${' 2'}`,
      `design${' §'}5`,
      `it${'.skip'}('x')`,
      `by Clau${'de'}`,
    ].entries())
      expect(line).toMatch(forbidden[index]?.[1] ?? /$^/)
  })
})
