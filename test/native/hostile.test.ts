// What a pod does to its veth before, between, during and instead of the calls: the device comes home as it was or is not given out, the
// next pod has it for itself, and nobody else notices. VFs and dummies: test/lab/hostile.test.ts. VF_TEST_ALL=1 tries everything in every
// phase, VF_SOAK_SEED other pairs.
// needs: veth, bridge, macvlan, ifb, tbf, u32, clsact, nft
import { afterAll, beforeAll } from 'vitest'
import { seedOf } from '../soak/seed.ts'
import { actionsFor, alone, pairs, some } from '../support/hostile/actions.ts'
import type { HostileBed } from '../support/hostile/bed.ts'
import { hostileTests } from '../support/hostile/suite.ts'
import { vethBed } from '../support/hostile/veth-bed.ts'

const ALL = process.env.VF_TEST_ALL === '1'
const seed = seedOf(process.env)
const list = actionsFor('veth')
const part = (count: number, salt: number, all = list) => alone(ALL ? all : some(all, seed + salt, count))

let made: (HostileBed & { end(): Promise<void> }) | undefined
const bed = (): HostileBed => {
  if (made === undefined) throw new Error('There is no bed')
  return made
}

beforeAll(async () => {
  made = await vethBed()
})
afterAll(() => made?.end())

hostileTests(bed, 'between', alone(list))
hostileTests(bed, 'ADD', part(8, 1))
hostileTests(bed, 'failing ADD', part(8, 2))
hostileTests(
  bed,
  'racing DEL',
  part(
    8,
    3,
    list.filter(({ races }) => races === true),
  ),
)
hostileTests(bed, 'death', part(6, 4))
hostileTests(bed, 'death, GC', part(4, 5))
hostileTests(bed, 'between', pairs(list, seed, ALL ? 150 : 8))
