/** Operations on addresses, routes, policy rules and settings, as they lie on the disk (table.ts). */
import type { AddressOp } from '../../ops/op.ts'
import { at, flag, list, maybe, objectOf } from '../form.ts'
import { bit8, cidr, ifindex, ip, ipOrCidr, mac, named, side, sysctl, u32, words } from '../values.ts'
import type { Member, OpFields, OpForms } from './types.ts'

const address: OpFields<'addr.add'> = {
  side: at('side', side),
  link: at('link', named),
  ifindex: maybe('ifindex', ifindex),
  address: at('address', cidr),
}
const route: OpFields<'route.add'> = {
  side: at('side', side),
  route: at(
    'route',
    objectOf<Member<'route.add', 'route'>>({
      dst: at('dst', cidr),
      gw: maybe('gw', ip),
      link: at('link', named),
      ifindex: maybe('ifindex', ifindex),
      table: maybe('table', u32),
      scope: maybe('scope', bit8),
      metric: maybe('metric', u32),
      mtu: maybe('mtu', u32),
      advmss: maybe('advmss', u32),
      src: maybe('src', ip),
      onlink: maybe('onlink', flag),
    }),
  ),
}
const rule: OpFields<'rule.add'> = {
  side: at('side', side),
  rule: at(
    'rule',
    objectOf<Member<'rule.add', 'rule'>>({
      src: at('src', ipOrCidr),
      table: at('table', u32),
      priority: at('priority', u32),
    }),
  ),
}
/** Forms of operations on addresses, routes, policy rules and settings. */
export const addressForms: OpForms<AddressOp['do']> = {
  announce: [
    'announce',
    {
      link: at('link', named),
      ifindex: maybe('ifindex', ifindex),
      mac: at('mac', mac),
      addresses: at('addresses', list(ip)),
      count: at('count', u32),
      intervalMs: at('intervalMs', u32),
      carrierMs: at('carrierMs', u32),
    },
  ],
  'addr.add': ['addr.add', address],
  'addr.del': ['addr.del', address],
  'route.add': ['route.add', route],
  'route.del': ['route.del', route],
  'rule.add': ['rule.add', rule],
  'rule.del': ['rule.del', rule],
  'sysctl.set': [
    'sysctl.set',
    {
      side: at('side', side),
      key: at('key', sysctl),
      value: at('value', words),
      was: at('was', words),
      mayFail: maybe('mayFail', flag),
    },
  ],
  'neigh.use': [
    'neigh.use',
    {
      side: at('side', side),
      link: at('link', named),
      ifindex: maybe('ifindex', ifindex),
      address: at('address', ip),
    },
  ],
}
