// The shape of the program, read from the imports of its sources: between layers, between the folders of a layer, and
// between sources, tests and tools. A new edge between layers is a decision: it goes into the table below, with its reason.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  bare,
  circles,
  edge,
  type Import,
  importsOf,
  product,
  reaches,
  text,
  top,
  tracked,
} from './support/source-tree.ts'

/**
 * The layers that may import each other. `type`: only types, so that the one can be tested, and loaded, without the other.
 * Other imports between layers are not allowed. The order is that of the layers, and no edge leads up.
 */
const edges: readonly (readonly [from: string, to: string, kind: 'any' | 'type', reason: string])[] = [
  ['main', 'run-cni', 'any', 'the executable starts the program that its name says'],
  ['main', 'ctl', 'any', 'the same'],
  ['main', 'device-plugin', 'any', 'the same'],
  ['main', 'agent', 'any', 'the executable starts the program that its name says'],
  ['main', 'install', 'any', 'the executable installs itself'],
  ['install', 'ctl', 'any', 'says at the end what will run in hardware, and asks the agent for its build'],
  ['install', 'records', 'any', 'attachments that an uninstall would break'],
  ['install', 'kernel', 'any', 'puts the look at the node and the real machine together'],
  ['install', 'ops', 'any', 'whose namespace lives'],
  ['install', 'sys', 'any', 'files and a lock'],
  ['install', 'lib', 'any', 'small values'],
  ['node-check', 'offload', 'any', 'what is known of drivers'],
  ['node-check', 'kernel', 'type', 'takes kernel and facts as parameters'],
  ['node-check', 'nic', 'any', 'PCI functions'],
  ['node-check', 'sys', 'any', 'reads sysfs'],
  ['node-check', 'lib', 'any', 'small values'],
  ['ctl', 'node-check', 'any', 'shows the look at the node'],
  ['ctl', 'agent', 'any', 'shows the state that the agent tells'],
  ['agent', 'run-cni', 'any', 'a worker serves calls as a process of their own would'],
  ['agent', 'kernel', 'any', 'a worker loads early what a call loads late'],
  ['agent', 'records', 'any', 'a caller must have the same folder of records'],
  ['agent', 'sys', 'any', 'sockets, processes and descriptors'],
  ['agent', 'lib', 'any', 'small values'],
  ['run-cni', 'attach', 'any', 'puts plugin, protocol, machine and process together'],
  ['run-cni', 'offload', 'any', 'the same'],
  ['run-cni', 'cni', 'any', 'the same'],
  ['run-cni', 'kernel', 'any', 'the same: the only place where a plugin meets the real machine'],
  ['run-cni', 'lib', 'any', 'begins and ends a call'],
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
  ['device-plugin', 'ctl', 'any', 'metrics count what vfctl shows: filters in hardware and in software'],
  ['device-plugin', 'attach', 'any', 'notes of functions that were in a pod, which a reset goes by'],
  ['device-plugin', 'offload', 'any', 'what is known of drivers'],
  ['device-plugin', 'records', 'any', 'the attachment of a device'],
  ['device-plugin', 'attach', 'any', 'the note of a function that was in a pod, which a reset goes by'],
  ['device-plugin', 'kernel', 'any', 'puts inventory and the real machine together'],
  ['device-plugin', 'ops', 'any', 'whose namespace lives'],
  ['device-plugin', 'nic', 'any', 'PCI functions and representors'],
  ['device-plugin', 'netlink', 'any', 'messages that tell of changes'],
  ['device-plugin', 'sys', 'any', 'sockets and files'],
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
    'install',
    'device-plugin',
    'ctl',
    'node-check',
    'agent',
    'run-cni',
    'attach',
    'offload',
    'cni',
    'records',
    'kernel',
    'ops',
    'nic',
    'netlink',
  ],
  ...['sys', 'lib'],
]

/**
 * The folders of a layer, from the top to the bottom: a file imports files of its own folder and of lower lines alone; folders
 * of one line never import each other. `root` are the files beside the folders, but for those that have a line of their own.
 */
const floors: Readonly<Record<string, readonly (readonly string[])[]>> = {
  offload: [
    // Entries: DEL has one of its own, which loads nothing that plans.
    ['plugin'],
    ['del'],
    ['features'],
    ['verbs'],
    ['portmap', 'bandwidth'],
    // The contract between verbs and features.
    ['feature'],
    ['state'],
    ['port'],
    ['config'],
  ],
  kernel: [
    ['root'],
    // The adapter's parts, by subject.
    ['linux'],
    // They ask several subjects at once; `carried` reads link and ip, `foreign-nat` reads nftables.
    ['inspect', 'carried', 'foreign-nat'],
    ['tc', 'nftables', 'ip'],
    ['link'],
    ['errors'],
    ['api'],
  ],
  'device-plugin': [
    ['root'],
    // Front ends, and those who look on. The core below knows none of them.
    ['kubelet', 'observe', 'explain'],
    // The contract of core and front end.
    ['front-end'],
    ['container'],
    ['health'],
    ['allocations'],
    ['pools'],
    ['config'],
    ['inventory'],
    // The log as an interface, for all of them.
    ['log'],
  ],
  attach: [['root'], ['verbs'], ['restore'], ['plan'], ['device', 'foreign'], ['state'], ['config']],
  netlink: [
    // Sockets, and names of the attributes that the kernel refused.
    ['root'],
    // Messages of tc are rtnetlink's, and use its numbers.
    ['tc'],
    ['rtnl', 'genl', 'nf', 'diag'],
    ['message'],
    ['codec'],
  ],
}

/** Imports that break a rule of this file all the same, by the reason. An entry that breaks none any more fails. */
const known: Readonly<Record<string, readonly string[]>> = {}
const knownEdges = new Set(Object.values(known).flat())

/** The only files that tests import of `hack`, but for the lab: each is the tool that the test is about. */
const testedTools = [
  ...['hack/bench-pairs.ts', 'hack/bench/traced.ts', 'hack/docs.ts'],
  ...['bun-parts', 'elf', 'layout', 'notices', 'npm', 'rootfs', 'sbom', 'tar'].map(
    (name) => `hack/image/${name}.ts`,
  ),
  ...['archive', 'compare', 'errors', 'plan', 'platforms', 'tree'].map((name) => `hack/release/${name}.ts`),
  'hack/uapi.ts',
]

const scripts = tracked.filter((file) => /^(src|device-plugin|hack|test)\/.*\.ts$/.test(file))
const everywhere = scripts.flatMap(importsOf).filter(({ target }) => scripts.includes(target))
const imports = product.flatMap(importsOf)
const isOwn = ({ target }: Import) => product.includes(target)
/** The name of a package may have slashes and dots, as `@grpc/grpc-js` and `zod/mini` do. */
const relative = imports.filter(({ isRelative }) => isRelative)

function layerOf(file: string): string {
  const [first = '', second = ''] = file.split('/')
  return first === 'src' ? second.replace(/\.ts$/, '') : first
}

/** The line of `floors` that a file stands in, -1 if none, and the name that it has there. */
function floorOf(file: string): { readonly unit: string; readonly floor: number } {
  const levels = floors[layerOf(file)] ?? []
  const [first = '', second] = file.split('/').slice(file.startsWith('src/') ? 2 : 1)
  const name = first.replace(/\.ts$/, '')
  const unit = second === undefined && !levels.flat().includes(name) ? 'root' : name
  return { unit, floor: levels.findIndex((level) => level.includes(unit)) }
}

/** The imports within a layer that do not lead to a lower line of `floors`. */
const climbs = imports.filter(isOwn).filter(({ file, target }) => {
  if (!(layerOf(file) in floors) || layerOf(file) !== layerOf(target)) return false
  const [from, to] = [floorOf(file), floorOf(target)]
  return from.unit !== to.unit && from.floor >= to.floor
})

const shown = ({ file, target, isType }: Import) => `${file} -> ${target}${isType ? ' (types)' : ''}`

describe('imports', () => {
  test('are found: the numbers that this file reasons about are not zero', () => {
    expect(imports.filter(isOwn).length).toBeGreaterThan(200)
    expect(imports.filter(({ isType }) => isType).length).toBeGreaterThan(50)
    expect(imports.filter(({ isDynamic }) => isDynamic).map(shown)).toContain('src/main.ts -> src/run-cni.ts')
    expect(imports.map(({ target }) => target)).toContain('bun:ffi')
    expect(imports.filter((one) => !one.isRelative).map(({ target }) => target)).toContain('@grpc/grpc-js')
    expect(relative.length).toBe(imports.filter(isOwn).length)
    for (const file of product) expect([file, layers.includes(layerOf(file))]).toEqual([file, true])
  })

  test('every relative one names a file with its ending', () => {
    const bad = relative.filter((one) => !existsSync(join(top, one.target)) || !one.target.endsWith('.ts'))
    expect(bad.map(shown)).toEqual([])
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

  test('libc is opened in one place', () => {
    expect(imports.filter(({ target }) => target.startsWith('bun:')).map(shown)).toEqual([
      'src/sys/ffi.ts -> bun:ffi',
    ])
  })

  test('of packages: dependencies only', () => {
    const { dependencies } = JSON.parse(text('package.json')) as { dependencies: Record<string, string> }
    const packages = imports.filter(({ target, isRelative }) => !isRelative && !target.includes(':'))
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

  test('zod is imported in its small form, which takes some megabytes less of a process', () => {
    const zod = imports.filter(({ target }) => /^zod(\/|$)/.test(target)).map(({ target }) => target)
    expect([...new Set(zod)]).toEqual(['zod/mini'])
  })

  test('nobody pays for node:child_process who runs no child', () => {
    expect(
      imports
        .filter(({ target, isDynamic, isType }) => /child_process/.test(target) && !isDynamic && !isType)
        .map(shown),
    ).toEqual([])
  })
})

describe('folders', () => {
  test('the interface of the kernel imports nothing of other layers but types of the operations', () => {
    const outside = imports.filter(
      ({ file, target }) => file.startsWith('src/kernel/api/') && !target.startsWith('src/kernel/'),
    )
    expect(outside.filter((one) => !one.isType || !one.target.startsWith('src/ops/')).map(shown)).toEqual([])
  })

  test('each one of a layer has its line', () => {
    for (const [layer, levels] of Object.entries(floors)) {
      const units = product.filter((file) => layerOf(file) === layer).map((file) => floorOf(file).unit)
      expect([layer, [...new Set(units)].sort()]).toEqual([layer, levels.flat().sort()])
    }
  })

  test('import of their layer only what stands below them', () => {
    expect(climbs.filter((one) => !knownEdges.has(edge(one))).map(shown)).toEqual([])
  })

  test('hold at most 20 files each, none of src is a long list', () => {
    const folders = [...new Set(product.map((file) => file.split('/').slice(0, -1).join('/')))]
    const full = folders.filter((folder) => {
      const names = readdirSync(join(top, folder), { withFileTypes: true })
      return names.filter((one) => one.isFile()).length > 20
    })
    expect(full).toEqual([])
  })
})

describe('circles', () => {
  test('there is none, of types neither, in sources, tools and tests', () => {
    expect(circles(everywhere.filter((one) => !knownEdges.has(edge(one))))).toEqual([])
  })

  test('the files of simnic call each other in one direction', () => {
    const headers = ['hack/simnic/simnic.h', 'hack/simnic/flow.h'].map(text).join('\n')
    // A comment in a header names the file whose functions follow.
    const owners = new Map<string, string>()
    for (const [, file = '', declared = ''] of headers.matchAll(
      /\/\* (\w+)\.c.*?\*\/\n([\s\S]*?)(?=\/\*|#endif)/g,
    ))
      for (const [name] of declared.matchAll(/\bsimnic_\w+(?=[([,;])/g)) owners.set(name, file)
    expect(owners.get('simnic_transmit')).toBe('eswitch')
    const calls = tracked.flatMap((path) => {
      const file = /^hack\/simnic\/(\w+)\.c$/.exec(path)?.[1]
      if (file === undefined) return []
      const names = bare(text(path)).match(/\bsimnic_\w+/g) ?? []
      return names.flatMap((name) => {
        const target = owners.get(name)
        return target === undefined || target === file
          ? []
          : { file, target, isRelative: true, isType: false, isDynamic: false }
      })
    })
    expect(calls.length).toBeGreaterThan(100)
    expect(circles(calls)).toEqual([])
  })

  test('would be found', () => {
    const one = (file: string, target: string) => ({
      ...{ file, target, isRelative: true },
      ...{ isType: true, isDynamic: false },
    })
    expect(circles([one('a', 'b'), one('b', 'c'), one('a', 'c')])).toEqual([])
    expect(circles([one('a', 'b'), one('b', 'c'), one('c', 'a')])).toEqual(['c -> a'])
  })
})

test('every known violation still is one', () => {
  const broken = new Set(climbs.map(edge))
  const needless = [...knownEdges].filter((one) => {
    const [file = '', target = ''] = one.split(' -> ')
    const others = everywhere.filter((other) => edge(other) === one || !knownEdges.has(edge(other)))
    const exists = others.some((other) => edge(other) === one)
    return !exists || !(broken.has(one) || reaches(others, target, file))
  })
  expect(needless).toEqual([])
})

describe('sources, tests and tools', () => {
  const across = (from: RegExp, to: RegExp) =>
    everywhere.filter(({ file, target }) => from.test(file) && to.test(target))

  test('sources know neither tests nor tools', () => {
    expect(across(/^(src|device-plugin)\//, /^(test|hack)\//).map(shown)).toEqual([])
  })

  test('tools know no test: what both use is the lab', () => {
    expect(across(/^hack\//, /^test\//).map(shown)).toEqual([])
  })

  test('tests know of the tools the lab, and those that they test', () => {
    const strangers = across(/^test\//, /^hack\/(?!lab\/)/)
    expect(strangers.filter(({ target }) => !testedTools.includes(target)).map(shown)).toEqual([])
    expect([...new Set(strangers.map(({ target }) => target))].sort()).toEqual(testedTools)
  })
})
