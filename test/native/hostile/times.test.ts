// A hostile pod acts on its veth before the end of ADD, beside DEL and before its namespace dies, and does several things
// one after the other. test/native/hostile/actions.test.ts says what must hold. Some of each, by chance; VF_TEST_ALL=1
// tries everything, VF_SOAK_SEED another choice.
// needs: veth, bridge, macvlan, ifb, tbf, u32, clsact, nft
import { afterAll, beforeAll } from 'vitest'
import { seedOf } from '../../soak/seed.ts'
import { actionsFor, alone, pairs, some } from '../../support/hostile/actions.ts'
import { hostileTests } from '../../support/hostile/suite.ts'
import { type VethBed, vethBed } from '../../support/hostile/veth-bed.ts'

const ALL = process.env.VF_TEST_ALL === '1'
const seed = seedOf(process.env)
const list = actionsFor('veth')
const part = (count: number, salt: number, all = list) => alone(ALL ? all : some(all, seed + salt, count))
const racing = list.filter(({ races }) => races === true)

let bed: VethBed

beforeAll(async () => {
  bed = await vethBed()
})
afterAll(() => bed?.end())

hostileTests(() => bed, 'ADD', part(8, 1))
hostileTests(() => bed, 'failing ADD', part(8, 2))
hostileTests(() => bed, 'racing DEL', part(8, 3, racing))
hostileTests(() => bed, 'death', part(6, 4))
hostileTests(() => bed, 'death, GC', part(4, 5))
hostileTests(() => bed, 'between', pairs(list, seed, ALL ? 150 : 8))
