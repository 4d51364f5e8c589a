/** Operations on filters, as they lie on the disk (table.ts). */
import type { FilterOp, FlowFilter } from '../../ops/op.ts'
import { at, flag, maybe, objectOf, oneOf } from '../form.ts'
import {
  cidr,
  cookie,
  ifindex,
  ip,
  mac,
  named,
  offload,
  port,
  prio,
  proto,
  side,
  u32,
  vlanId,
} from '../values.ts'
import type { OpFields, OpForms } from './types.ts'

/** An interface that frames leave by. */
export const end = objectOf<NonNullable<FlowFilter['out']>>({
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

const clsact: OpFields<'clsact.add'> = {
  side: at('side', side),
  link: at('link', named),
  ifindex: maybe('ifindex', ifindex),
}
const steering: OpFields<'steer.add'> = {
  rule: at('rule', flowFilter),
  offload: at('offload', offload),
  handle: maybe('handle', u32),
}
const guard: OpFields<'guard.add'> = {
  link: at('link', named),
  ifindex: at('ifindex', ifindex),
  isBridge: at('isBridge', flag),
}
/** Forms of operations on filters. */
export const filterForms: OpForms<FilterOp['do']> = {
  'clsact.add': ['clsact.add', clsact],
  'clsact.del': ['clsact.del', clsact],
  'steer.add': ['steer.add', steering],
  'steer.del': ['steer.del', steering],
  'guard.add': ['guard.add', guard],
  'guard.del': ['guard.del', guard],
}
