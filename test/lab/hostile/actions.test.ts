// A hostile pod acts on its VF (igb, simnic) or dummy before, between, during and instead of the calls.
// test/native/hostile/actions.test.ts says what must hold, and has most actions for a veth; here are some of each group.
// VF_TEST_ALL=1 tries everything in every phase.
import { afterAll, beforeAll, describe } from 'vitest'
import { loadSimnic, unloadSimnic } from '../../../hack/lab/bed/simnic.ts'
import { loadIgb } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { seedOf } from '../../soak/seed.ts'
import type { Kind } from '../../support/hostile/action.ts'
import { actionsFor, alone, named, pairs } from '../../support/hostile/actions.ts'
import type { HostileBed } from '../../support/hostile/bed.ts'
import { hostileTests } from '../../support/hostile/suite.ts'
import { vfBeds } from '../../support/hostile/vf-bed.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const ALL = process.env.VF_TEST_ALL === '1'
const seed = seedOf(process.env)

let lab: Lab
let beds: Awaited<ReturnType<typeof vfBeds>> | undefined
const bedOf = (what: 'vf' | 'dummy') => (): HostileBed => {
  if (beds === undefined) throw new Error('There is no bed')
  return beds[what]
}

beforeAll(async () => {
  lab = await sharedLab()
})

/** The actions that `npm test` has time for, by kind: those that did most harm of each group. */
const SHOWN: Readonly<Record<string, readonly string[]>> = {
  igb: [
    ...['arp off', 'offloads off', 'XDP that a process holds', 'macvlan passthru', 'port of a VRF'],
    ...['altnames as fast as it can', 'a number of its choice', 'hidden in a namespace of its own'],
    ...['lo of its name', 'a filter that sends all to lo', 'neighbours, groups and bridge entries'],
  ],
  dummy: ['dormant', 'macvlan private', 'a number of its choice', 'hidden in a namespace of its own'],
  simnic: ['late interrupts', 'XDP', 'macvtap', 'a veth of its name, MAC and number, and it hidden'],
}

/** All of a kind, or the part that `npm test` has time for. */
function tests(kind: Kind, salt: number): void {
  const list = actionsFor(kind)
  const bed = bedOf(kind === 'dummy' ? 'dummy' : 'vf')
  const part = (...names: readonly string[]) => alone(ALL ? list : named(list, names))
  const hardware = kind !== 'dummy'
  hostileTests(bed, 'between', part(...(SHOWN[kind] ?? [])))
  if (ALL || kind === 'igb') hostileTests(bed, 'failing ADD', part('a veth of its name'))
  if (ALL) hostileTests(bed, 'ADD', alone(list))
  if (ALL) hostileTests(bed, 'racing DEL', alone(list.filter(({ races }) => races === true)))
  if (ALL || hardware) hostileTests(bed, 'death', part('altname of another device'))
  if (ALL || kind === 'igb') hostileTests(bed, 'death, GC', part('XDP'))
  if (ALL) hostileTests(bed, 'between', pairs(list, seed + salt, 40))
}

describe('igb', () => {
  beforeAll(async () => {
    beds = await vfBeds(lab, await loadIgb(lab), 'igb')
  })
  afterAll(() => beds?.end())
  describe('VF', () => tests('igb', 10))
  describe('dummy', () => tests('dummy', 20))
})

describe('simnic', () => {
  beforeAll(async () => {
    const [card] = await loadSimnic(lab, { totalVfs: 3 })
    if (card === undefined) throw new Error('No card')
    beds = await vfBeds(lab, card, 'simnic')
  })
  afterAll(async () => {
    await beds?.end()
    await unloadSimnic(lab)
  })
  describe('VF', () => tests('simnic', 30))
})
