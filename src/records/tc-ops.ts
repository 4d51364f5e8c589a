/** Operations on filters and rates, as they lie on the disk (ops.ts). */
import type { FlowFilter } from '../ops/op.ts'
import { at, flag, maybe, objectOf, oneOf } from './form.ts'
import type { Member, OpTable } from './op-table.ts'
import {
  amount,
  cidr,
  cookie,
  family,
  ifindex,
  ip,
  mac,
  named,
  newName,
  offload,
  port,
  prio,
  proto,
  side,
  u32,
  vlanId,
  words,
} from './values.ts'

const end = objectOf<NonNullable<FlowFilter['out']>>({
  link: at('link', named),
  ifindex: at('ifindex', ifindex),
})

/** A filter of a port mapping. */
export const flowFilter = objectOf<FlowFilter>({
  link: at('link', named),
  ifindex: maybe('ifindex', ifindex),
  out: maybe('out', end),
  prio: at('prio', prio),
  address: at('address', ip),
  proto: maybe('proto', proto),
  port: maybe('port', port),
  side: maybe('side', oneOf('src')),
  fragments: maybe('fragments', oneOf('none', 'only')),
  peer: maybe('peer', cidr),
  mac: maybe('mac', mac),
  vlan: maybe('vlan', vlanId),
  pop: maybe('pop', flag),
  push: maybe('push', vlanId),
  dstMac: maybe('dstMac', mac),
  srcMac: maybe('srcMac', mac),
  limiter: maybe('limiter', u32),
  to: maybe(
    'to',
    objectOf<NonNullable<FlowFilter['to']>>({ address: at('address', ip), port: at('port', port) }),
  ),
  verdict: maybe('verdict', oneOf('pass', 'drop')),
  cookie: at('cookie', cookie),
})

const rate = { bytesPerSecond: at('bytesPerSecond', amount), burst: at('burst', amount) }
const portRates = objectOf<Member<'devlink.rate.set', 'set'>>({
  max: at('max', amount),
  share: at('share', amount),
})

const clsact = { side: at('side', side), link: at('link', named), ifindex: maybe('ifindex', ifindex) }
const steering = {
  rule: at('rule', flowFilter),
  offload: at('offload', offload),
  handle: maybe('handle', u32),
}
const shaper = {
  shaper: at(
    'shaper',
    objectOf<Member<'shaper.add', 'shaper'>>({
      ...rate,
      side: at('side', side),
      link: at('link', named),
      ifindex: maybe('ifindex', ifindex),
      limit: at('limit', amount),
      cookie: maybe('cookie', cookie),
    }),
  ),
}
const ifb = { side: at('side', side), name: at('name', newName), mac: at('mac', mac), mtu: at('mtu', u32) }
const detour = {
  detour: at(
    'detour',
    objectOf<Member<'detour.add', 'detour'>>({
      side: at('side', side),
      link: at('link', named),
      ifindex: maybe('ifindex', ifindex),
      through: at('through', named),
      classifier: maybe('classifier', oneOf('matchall', 'flower', 'u32', 'basic')),
      cookie: at('cookie', cookie),
    }),
  ),
}
const police = {
  police: at(
    'police',
    objectOf<Member<'police.add', 'police'>>({
      ...rate,
      link: at('link', named),
      ifindex: maybe('ifindex', ifindex),
      cookie: at('cookie', cookie),
    }),
  ),
  offload: at('offload', offload),
}
const guard = { link: at('link', named), ifindex: at('ifindex', ifindex), isBridge: at('isBridge', flag) }
const meter = {
  meter: at(
    'meter',
    objectOf<Member<'meter.add', 'meter'>>({
      link: at('link', named),
      ifindex: at('ifindex', ifindex),
      out: at('out', end),
      mac: at('mac', mac),
      vlan: maybe('vlan', vlanId),
      family: maybe('family', family),
      limiter: at('limiter', u32),
      cookie: at('cookie', cookie),
    }),
  ),
}
const limiter = {
  limiter: at(
    'limiter',
    objectOf<Member<'limiter.add', 'limiter'>>({
      ...rate,
      index: at('index', u32),
      cookie: at('cookie', cookie),
    }),
  ),
  offload: at('offload', offload),
}
/** Part of the table. */
export const tcOps = {
  'clsact.add': ['clsact.add', clsact],
  'clsact.del': ['clsact.del', clsact],
  'steer.add': ['steer.add', steering],
  'steer.del': ['steer.del', steering],
  'shaper.add': ['shaper.add', shaper],
  'shaper.del': ['shaper.del', shaper],
  'ifb.add': ['ifb.add', ifb],
  'ifb.del': ['ifb.del', ifb],
  'detour.add': ['detour.add', detour],
  'detour.del': ['detour.del', detour],
  'police.add': ['police.add', police],
  'police.del': ['police.del', police],
  'guard.add': ['guard.add', guard],
  'guard.del': ['guard.del', guard],
  'meter.add': ['meter.add', meter],
  'meter.del': ['meter.del', meter],
  'limiter.add': ['limiter.add', limiter],
  'limiter.del': ['limiter.del', limiter],
  'devlink.rate.set': [
    'devlink.rate.set',
    {
      handle: at('handle', words),
      set: at('set', portRates),
      was: at('was', portRates),
      now: maybe('now', portRates),
    },
  ],
} satisfies Partial<OpTable>
