// The kernel's setting for 127.0.0.0/8 is changed once, guarded, and goes back with its last user.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LinkFacts } from '../../../../src/kernel/api/facts.ts'
import type { Conflict } from '../../../../src/kernel/api/filters.ts'
import type { Kernel, LoopbackPort } from '../../../../src/kernel/api/kernel.ts'
import type { Machine } from '../../../../src/kernel/api/machine.ts'
import {
  claimLocalnet,
  localnetCookies,
  PassedGuard,
  releaseLocalnet,
} from '../../../../src/offload/portmap/host/route-localnet.ts'

let folder: string
let boot: string
/** Interfaces by name: number and setting. */
let links: Map<string, { readonly ifindex: number; setting: string }>
/** Numbers of those that have a guard, and what was done, in order. */
let guards: Set<number>
let steps: string[]
let conflicts: Conflict[]
/** The host's table, and what a flush has taken from it. Who is served behind an interface has its name as address. */
let table: LoopbackPort[]
let flushed: LoopbackPort[]
const machine = () => ({ sharedDir: folder, bootId: () => boot }) as Machine

const nameIn = (key: string) => /^net\/ipv4\/conf\/(.+)\/route_localnet$/.exec(key)?.[1] ?? ''
const linkBy = (name: string) => {
  const found = links.get(name)
  return found === undefined ? undefined : ({ name, ifindex: found.ifindex } as LinkFacts)
}
const kernel = {
  link: (_side, by) => {
    const found = [...links].find(([, { ifindex }]) => ifindex === by)
    return found === undefined ? undefined : ({ name: found[0], ifindex: by } as LinkFacts)
  },
  sysctl: (_side, key) => links.get(nameIn(key))?.setting,
  guardFacts: (ifindex) => ({
    ...{ qdisc: guards.has(ifindex), guard: guards.has(ifindex), tcx: conflicts.length > 0 },
  }),
  conflicts: () => conflicts,
  loopbackPorts: () => table,
  interfaceTo: (address) => linkBy(address),
  dropEmptyClsact: () => true,
  hasIngress: () => false,
  run: (op) => {
    steps.push(op.do === 'sysctl.set' ? `${op.do} ${op.value}` : op.do)
    if (op.do === 'guard.add') guards.add(op.ifindex)
    else if (op.do === 'guard.del') guards.delete(op.ifindex)
    else if (op.do === 'sysctl.set') {
      const link = links.get(nameIn(op.key))
      if (link === undefined) throw new Error(`ENOENT: ${op.key}`)
      // The guard stands whenever the setting is made or taken back.
      expect(guards).toContain(link.ifindex)
      link.setting = op.value
    } else if (op.do !== 'clsact.add') throw new TypeError(op.do)
    return {}
  },
} as Partial<Kernel> as Kernel

const claim = (cookie: string, name = 'pf0') => {
  const link = { name, ifindex: links.get(name)?.ifindex } as LinkFacts
  table.push({ cookie, toAddress: name })
  for (const op of claimLocalnet(machine(), kernel, link, cookie).ops) kernel.run(op)
}
const release = (cookie: string, interfaces?: readonly number[]) =>
  releaseLocalnet(machine(), kernel, cookie, {
    interfaces,
    whole: () => {
      table.push(...flushed.splice(0))
    },
  })
const setting = (name = 'pf0') => links.get(name)?.setting

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'localnet-'))
  boot = 'boot-1'
  guards = new Set()
  steps = []
  conflicts = []
  table = []
  flushed = []
  links = new Map([
    ['pf0', { ifindex: 2, setting: '0' }],
    ['pf1', { ifindex: 3, setting: '0' }],
  ])
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

test('the last who needs the setting takes it back', () => {
  claim('a')
  claim('b')
  expect(setting()).toBe('1')
  release('a')
  expect(setting()).toBe('1')
  release('b')
  expect(setting()).toBe('0')
  expect(setting('pf1')).toBe('0')
  expect(readdirSync(folder)).toEqual([])
  expect(guards).toEqual(new Set())
  expect(steps).toEqual(['clsact.add', 'guard.add', 'sysctl.set 1', 'sysctl.set 0', 'guard.del'])
})

test('everybody’s record says what must be there, whoever has made it', () => {
  const link = { name: 'pf0', ifindex: 2 } as LinkFacts
  const holds = ['guard.add', 'sysctl.set']
  for (const cookie of ['a', 'b']) {
    const local = claimLocalnet(machine(), kernel, link, cookie)
    for (const op of local.ops) kernel.run(op)
    expect(local.holds.map((op) => op.do)).toEqual(holds)
  }
})

test('a guard or a setting that somebody has taken away comes back with the next one', () => {
  claim('a')
  guards.clear()
  claim('b')
  expect(guards).toEqual(new Set([2]))
  links.set('pf0', { ifindex: 2, setting: '0' })
  steps = []
  claim('c')
  expect(steps).toEqual(['sysctl.set 1'])
})

test('the setting is never made where others take packets before the guard; XDP comes before it and takes none past it', () => {
  const conflict = { software: true, hardware: false, certain: true }
  conflicts = [{ ...conflict, hook: 'tcx', name: 'tcx program 7' }]
  expect(() => claim('a')).toThrow(PassedGuard)
  expect(() => claim('a')).toThrow('"pf0" before a guard of 127.0.0.0/8 sees them: tcx program 7')
  expect(setting()).toBe('0')
  expect(readdirSync(folder)).toEqual([])
  conflicts = [
    { ...conflict, hook: 'XDP', name: 'XDP program 8' },
    { ...conflict, hook: 'filter', software: false, name: 'a filter in the NIC' },
  ]
  claim('a')
  expect(setting()).toBe('1')
})

test('an interface that was renamed is the same one, whoever has its name now', () => {
  claim('a')
  links = new Map([
    ['wan0', { ifindex: 2, setting: '1' }],
    ['pf0', { ifindex: 9, setting: '1' }],
  ])
  claim('b', 'wan0')
  release('a')
  expect(setting('wan0')).toBe('1')
  release('b')
  expect(setting('wan0')).toBe('0')
  expect(setting('pf0')).toBe('1')
  expect(readdirSync(folder)).toEqual([])
})

test('of an interface that is gone nothing is left to do', () => {
  claim('a')
  links.delete('pf0')
  release('a')
  expect(readdirSync(folder)).toEqual([])
})

test('what an operator has set stays, before and meanwhile', () => {
  links.set('pf0', { ifindex: 2, setting: '1' })
  claim('a')
  release('a')
  expect(setting()).toBe('1')
  links.set('pf0', { ifindex: 2, setting: '0' })
  claim('a')
  links.set('pf0', { ifindex: 2, setting: '0' })
  release('a')
  expect(setting()).toBe('0')
})

test('after a boot numbers are given anew: an old note says nothing', () => {
  claim('a')
  boot = 'boot-2'
  guards.clear()
  release('b')
  expect(setting()).toBe('1')
  expect(readdirSync(folder)).toEqual([])
})

describe('a note that is gone or says nothing', () => {
  const note = () => `${folder}/localnet-2`
  const lose = [
    ['gone', () => rmSync(note())],
    ['rubbish', () => writeFileSync(note(), 'x')],
    ['without what was there', () => writeFileSync(note(), 'boot-1\n')],
    ['of something else', () => writeFileSync(note(), 'boot-1\nyes\na\n')],
  ] as const

  test.each(lose)('%s: the guard says that the setting was 0, also to an ADD', (_, loseIt) => {
    claim('a')
    loseIt()
    claim('b')
    release('a', [2])
    expect([setting(), guards.size]).toEqual(['1', 1])
    release('b', [2])
    expect([setting(), guards.size, readdirSync(folder)]).toEqual(['0', 0, []])
  })

  test.each(lose)('%s: those who stay keep setting and guard, also behind a flushed table', (_, loseIt) => {
    claim('a')
    claim('b')
    claim('c', 'pf1')
    loseIt()
    flushed = table.splice(0)
    release('a', [2])
    expect([setting(), guards.size]).toEqual(['1', 2])
    table = table.filter(({ cookie }) => cookie !== 'a')
    release('b', [2])
    expect([setting(), setting('pf1'), guards]).toEqual(['0', '1', new Set([3])])
    release('c')
    expect([setting('pf1'), guards.size, readdirSync(folder)]).toEqual(['0', 0, []])
  })

  test('without a record the table tells of which interface it was', () => {
    claim('a')
    rmSync(note())
    release('a')
    expect([setting(), guards.size]).toEqual(['0', 0])
  })

  test('what an operator has set stays, where no guard of ours has been', () => {
    links.set('pf0', { ifindex: 2, setting: '1' })
    writeFileSync(note(), 'x')
    claim('a')
    release('a')
    expect([setting(), guards.size]).toEqual(['1', 0])
  })
})

test('the cookies of a network are those with its prefix, of every interface once', () => {
  claim('76aa')
  claim('76aa', 'pf1')
  claim('77bb', 'pf1')
  expect(localnetCookies(machine(), '76')).toEqual(['76aa'])
})
