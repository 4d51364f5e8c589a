/** Counters and settings that show the work of each kind of operation. */
import type { Op, OpKind } from '../../ops/op.ts'
import type { RateCounters, RateSetting } from '../api/rates.ts'
import {
  type CountingReach,
  type Gauge,
  type Gauges,
  rateGauges,
  removal,
  vfGauge,
} from './limit-counters.ts'

const setting = { uncounted: 'a setting counts nothing' } as const
const moment = { uncounted: 'it is done in a moment, and leaves nothing that counts' } as const
const givenBack = { uncounted: 'the device is given back' } as const

/** A kind without an entry does not compile: `vfctl show` would pass over it in silence. */
const gauges: Gauges<OpKind> = {
  ...rateGauges,
  'vf.set': vfGauge,
  'link.move': setting,
  'link.set': setting,
  'altname.add': setting,
  'altname.del': removal,
  'bridge.vlan.add': setting,
  'bridge.vlan.del': removal,
  'driver.rebind': moment,
  'function.reset': moment,
  'addr.add': setting,
  'addr.del': removal,
  'route.add': setting,
  'route.del': removal,
  'rule.add': setting,
  'rule.del': removal,
  'sysctl.set': setting,
  'neigh.use': moment,
  announce: moment,
  'clsact.add': { uncounted: 'a qdisc that only holds filters counts nothing' },
  'clsact.del': removal,
  'steer.add': { uncounted: 'filterCounters() asks for many filters at once' },
  'steer.del': removal,
  'guard.add': { uncounted: 'a program that gives the verdict itself has no action that counts' },
  'guard.del': removal,
  'ports.reserve': { uncounted: 'openedPorts() counts the connections of a whole reservation' },
  'ports.release': removal,
  'localports.reserve': setting,
  'localports.release': removal,
  'nft.load': { uncounted: 'openedPorts() counts the connections on the host' },
  'nft.drop': removal,
  'carried.give': givenBack,
  'program.detach': givenBack,
  'link.del': givenBack,
  'link.flick': givenBack,
  'ethtool.set': givenBack,
  'netdev.set': givenBack,
}

/** Kernel.measure */
export function measure(
  reach: CountingReach,
  op: Op,
  isThere: boolean,
): RateCounters | RateSetting | undefined {
  // The entry of a kind takes the operations of that kind.
  const gauge = gauges[op.do] as unknown as Gauge<OpKind>
  if ('uncounted' in gauge) return undefined
  if ('setting' in gauge) return { kind: 'setting', ...gauge.setting(reach, op) }
  return { kind: 'counters', counters: isThere ? gauge.counters(reach, op) : undefined }
}
