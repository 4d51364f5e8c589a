// A hostile pod acts on its veth between ADD and DEL: the device comes home as it was or is not given out, the next pod
// has it for itself, and nobody else notices. Each action alone; test/native/hostile/times.test.ts has other times, and
// pairs, test/lab/hostile/actions.test.ts VFs and dummies.
// needs: veth, bridge, macvlan, ifb, tbf, u32, clsact, nft
import { afterAll, beforeAll } from 'vitest'
import { actionsFor, alone } from '../../support/hostile/actions.ts'
import { hostileTests } from '../../support/hostile/suite.ts'
import { type VethBed, vethBed } from '../../support/hostile/veth-bed.ts'

let bed: VethBed

beforeAll(async () => {
  bed = await vethBed()
})
afterAll(() => bed?.end())

hostileTests(() => bed, 'between', alone(actionsFor('veth')))
