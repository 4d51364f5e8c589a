import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { LinkFacts } from '../../src/kernel/facts.ts'
import type { Kernel } from '../../src/kernel/kernel.ts'
import type { Machine } from '../../src/kernel/machine.ts'
import { claimLocalnet, releaseLocalnet } from '../../src/offload/localnet.ts'

let folder: string
let boot: string
/** Interfaces by name: number and setting. */
let links: Map<string, { readonly ifindex: number; setting: string }>
const machine = () => ({ sharedDir: folder, bootId: () => boot }) as Machine

const nameIn = (key: string) => /^net\/ipv4\/conf\/(.+)\/route_localnet$/.exec(key)?.[1] ?? ''
const kernel = {
  links: () => [...links].map(([name, { ifindex }]) => ({ name, ifindex }) as LinkFacts),
  sysctl: (_side, key) => links.get(nameIn(key))?.setting,
  run: (op) => {
    if (op.do !== 'sysctl.set') throw new TypeError(op.do)
    const link = links.get(nameIn(op.key))
    if (link === undefined) throw new Error(`ENOENT: ${op.key}`)
    link.setting = op.value
    return {}
  },
} as Partial<Kernel> as Kernel

const claim = (cookie: string, name = 'pf0') => {
  const link = { name, ifindex: links.get(name)?.ifindex } as LinkFacts
  for (const op of claimLocalnet(machine(), kernel, link, cookie)) kernel.run(op)
}
const release = (cookie: string) => releaseLocalnet(machine(), kernel, cookie)
const setting = (name = 'pf0') => links.get(name)?.setting

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'localnet-'))
  boot = 'boot-1'
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
  release('b')
  expect(setting()).toBe('1')
  expect(readdirSync(folder)).toEqual([])
})
