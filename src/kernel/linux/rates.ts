import type { Outcome, RateOp } from '../../ops/op.ts'
import type { LimitKernel } from '../api/rates.ts'
import { inspect, tc } from './lazy.ts'
import type { OpenSides } from './open-sides.ts'
import type { Runs } from './runs.ts'

/** Rate limits: tc/rate-operations.ts has the table of how each is run, which is loaded with the first of them. */
export const rateRuns: Runs<RateOp['do']> = {
  'shaper.add': run,
  'shaper.del': run,
  'ifb.add': run,
  'ifb.del': run,
  'detour.add': run,
  'detour.del': run,
  'police.add': run,
  'police.del': run,
  'meter.add': run,
  'meter.del': run,
  'limiter.add': run,
  'limiter.del': run,
  'devlink.rate.set': run,
}

/** The part of the kernel that limits rates. */
export function limitKernel(sides: OpenSides): LimitKernel {
  const rates = () => tc().rateKernel(sides)
  return {
    rates,
    measure: (op, isThere) => inspect().measure({ route: sides.route, link: sides.link, rates }, op, isThere),
  }
}

function run(sides: OpenSides, op: RateOp): Outcome {
  return tc().runRateOp(sides, op)
}
