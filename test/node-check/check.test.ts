// The look at a node: each state of a card has its line with the way out, and what the kernel refuses to tell is named, not thrown.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { EswitchMode, NetworkFacts, NetworkLink } from '../../src/kernel/api/network-facts.ts'
import type { Needs } from '../../src/kernel/api/probe.ts'
import { checkNode } from '../../src/node-check/check.ts'
import { checkLines } from '../../src/node-check/text.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sysfs-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const pf = '0000:3b:00.0'

function addCard(driver: string, now: number): void {
  mkdirSync(join(folder, pf, 'net/eth0'), { recursive: true })
  symlinkSync(`../../bus/pci/drivers/${driver}`, join(folder, pf, 'driver'))
  for (const [name, value] of Object.entries({ class: '0x020000', sriov_totalvfs: '8', sriov_numvfs: now }))
    writeFileSync(join(folder, pf, name), `${value}\n`)
}

const refused = () => {
  throw new Error('EPERM: no')
}
const link = { ifindex: 2, name: 'eth0', up: true, carrier: true } as NetworkLink
const factsOf = (mode: EswitchMode | 'unsupported' | undefined, more: Partial<NetworkFacts> = {}) =>
  ({
    links: () => [link],
    eswitchModes: () => new Map(mode === undefined ? [] : [[pf, mode]]),
    tcOffloads: () => new Map([[2, true]]),
    ...more,
  }) as unknown as NetworkFacts
const kernel = { missingNeeds: () => [] }
const lines = (facts: NetworkFacts, missing: () => readonly string[] = () => []) =>
  checkLines(checkNode({ missingNeeds: missing }, facts, folder))

test('no card: pods behind bridges are served', () => {
  expect(lines(factsOf(undefined))).toEqual([
    'this node:',
    '  no card with virtual functions: vf-offload serves pods behind bridges and veth pairs, in software',
    '  the kernel has all that port mappings and limits need',
  ])
})

test('a card in switchdev mode with VFs: filters run in the card', () => {
  addCard('mlx5_core', 4)
  const { cards } = checkNode(kernel, factsOf('switchdev'), folder)
  expect(cards).toEqual([
    {
      ...{ pf, driver: 'mlx5_core', interfaces: ['eth0'], vfs: { now: 4, most: 8 }, mode: 'switchdev' },
      ...{ isInHardware: true, hindrances: [] },
    },
  ])
  expect(lines(factsOf('switchdev'))[1]).toBe(
    '  card 0000:3b:00.0 (eth0), driver mlx5_core, 4 of 8 VFs, switchdev mode: filters of pods run in the card',
  )
})

test('the program nft is asked for where pods can have VFs, and only there', () => {
  const asked: Needs[] = []
  const missingNeeds = (needs: Needs) => {
    asked.push(needs)
    return []
  }
  checkNode({ missingNeeds }, factsOf(undefined), folder)
  addCard('mlx5_core', 4)
  checkNode({ missingNeeds }, factsOf('switchdev'), folder)
  expect(asked).toMatchObject([
    { ports: true, inPod: false },
    { ports: true, inPod: true },
  ])
  expect(lines(factsOf('switchdev')).at(-1)).toBe(
    '  the kernel and the program nft have all that port mappings and limits need',
  )
})

test.each([
  ['no VFs', 0, factsOf('switchdev'), 'sriov_numvfs makes N of them'],
  ['legacy mode', 4, factsOf('legacy'), `devlink dev eswitch set pci/${pf} mode switchdev`],
  ['no eSwitch', 4, factsOf(undefined), 'no eSwitch that devlink knows'],
  [
    'an eSwitch of another system',
    4,
    factsOf('unsupported'),
    'another system manages its eSwitch (BlueField',
  ],
  [
    'offload switched off',
    4,
    factsOf('switchdev', { tcOffloads: () => new Map([[2, false]]) }),
    'ethtool -K eth0 hw-tc-offload on',
  ],
])('%s keeps filters on the host', (_, now, facts, words) => {
  addCard('mlx5_core', now)
  expect(lines(facts)[1]).toContain('filters of pods run on the host')
  expect(lines(facts).join('\n')).toContain(words)
})

test('a card whose driver tells no mode is in switchdev mode when it has representors', () => {
  addCard('sfc_ef100', 4)
  const uplink = { ...link, physPortId: '00112233' } as NetworkLink
  const representor = { ...link, ifindex: 3, name: 'rep0', physSwitchId: '00112233' } as NetworkLink
  const told = lines(factsOf('unsupported', { links: () => [uplink, representor] }))
  expect(told[1]).toContain('switchdev mode: filters of pods run in the card')
  const without = lines(factsOf('unsupported', { links: () => [uplink] }))
  expect(without[1]).toContain('no mode: filters of pods run on the host')
  expect(without.join('\n')).toContain('it has no representors, which come with the VFs')
  expect(without.join('\n')).not.toContain('devlink')
})

test.each([
  [{ up: false, carrier: false }, 'eth0 is down: ip link set eth0 up'],
  [{ up: true, carrier: false }, 'eth0 has no carrier'],
])('a link that reaches nobody: %j', (state, words) => {
  addCard('mlx5_core', 4)
  expect(lines(factsOf('switchdev', { links: () => [{ ...link, ...state }] })).join('\n')).toContain(words)
})

test.each([
  ['ice', 'takes redirects alone'],
  ['bnxt_en', 'accepts and ignores action csum'],
  ['acme', 'nothing is known of the driver "acme"'],
])('a driver that does less: %s', (driver, words) => {
  addCard(driver, 4)
  expect(lines(factsOf('switchdev')).join('\n')).toContain(words)
})

test('what the kernel lacks, and what nobody answers, is named', () => {
  addCard('mlx5_core', 4)
  const facts = factsOf('switchdev', { eswitchModes: refused, links: refused })
  const told = lines(facts, () => ['the program nft, for port mappings: no']).join('\n')
  for (const words of [
    'missing: the program nft, for port mappings: no',
    "not known: the cards' modes (devlink): EPERM: no",
    'not known: the interfaces: EPERM',
  ])
    expect(told).toContain(words)
  expect(lines(facts, refused).join('\n')).toContain('not known: the kernel: EPERM: no')
})
