/** Operations on rates, as they lie on the disk (table.ts). */
import type { RateOp } from '../../ops/op.ts'
import { at, maybe, objectOf, oneOf } from '../form.ts'
import {
  amount,
  cookie,
  family,
  ifindex,
  mac,
  named,
  newName,
  offload,
  side,
  u32,
  vlanId,
  words,
} from '../values.ts'
import { end } from './filters.ts'
import type { Member, OpFields, OpForms } from './types.ts'

const rate = { bytesPerSecond: at('bytesPerSecond', amount), burst: at('burst', amount) }
const portRates = objectOf<Member<'devlink.rate.set', 'set'>>({
  max: at('max', amount),
  share: at('share', amount),
})

const shaper: OpFields<'shaper.add'> = {
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
const ifb: OpFields<'ifb.add'> = {
  side: at('side', side),
  name: at('name', newName),
  mac: at('mac', mac),
  mtu: at('mtu', u32),
}
const detour: OpFields<'detour.add'> = {
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
const police: OpFields<'police.add'> = {
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
const meter: OpFields<'meter.add'> = {
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
const limiter: OpFields<'limiter.add'> = {
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
/** Forms of operations on rates. */
export const rateForms: OpForms<RateOp['do']> = {
  'shaper.add': ['shaper.add', shaper],
  'shaper.del': ['shaper.del', shaper],
  'ifb.add': ['ifb.add', ifb],
  'ifb.del': ['ifb.del', ifb],
  'detour.add': ['detour.add', detour],
  'detour.del': ['detour.del', detour],
  'police.add': ['police.add', police],
  'police.del': ['police.del', police],
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
}
