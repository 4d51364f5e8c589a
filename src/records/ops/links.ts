/** Operations on interfaces and functions, as they lie on the disk (table.ts). */
import type { LinkAttributes, LinkOp, LinkTraits, VfAttributes } from '../../ops/op.ts'
import { at, flag, maybe, objectOf, oneOf } from '../form.ts'
import {
  alias,
  bit8,
  bit16,
  ifindex,
  linkAddress,
  mac,
  masterName,
  named,
  newName,
  pci,
  qos,
  side,
  u32,
  vlanId,
  words,
} from '../values.ts'
import type { Member, OpFields, OpForms } from './types.ts'

/** Attributes that the PF holds for a VF. */
export const vfAttributes = objectOf<VfAttributes>({
  mac: maybe('mac', mac),
  vlan: maybe(
    'vlan',
    objectOf<{ readonly id: number; readonly qos: number; readonly proto: number }>({
      id: at('id', vlanId),
      qos: at('qos', qos),
      proto: at('proto', bit16),
    }),
  ),
  rate: maybe(
    'rate',
    objectOf<{ readonly min: number; readonly max: number }>({ min: at('min', u32), max: at('max', u32) }),
  ),
  spoofchk: maybe('spoofchk', flag),
  trust: maybe('trust', flag),
  linkState: maybe('linkState', oneOf('auto', 'enable', 'disable')),
})

/** Attributes of an interface beside those that every record has. */
export const linkTraits = objectOf<LinkTraits>({
  flags: maybe('flags', u32),
  mode: maybe('mode', bit8),
  group: maybe('group', u32),
  broadcast: maybe('broadcast', linkAddress),
  protoDown: maybe('protoDown', flag),
  carrier: maybe('carrier', flag),
  gsoMaxSize: maybe('gsoMaxSize', u32),
  gsoMaxSegs: maybe('gsoMaxSegs', u32),
  groMaxSize: maybe('groMaxSize', u32),
  gsoIpv4MaxSize: maybe('gsoIpv4MaxSize', u32),
  groIpv4MaxSize: maybe('groIpv4MaxSize', u32),
})

const linkAttributes = objectOf<LinkAttributes>({
  mac: maybe('mac', mac),
  mtu: maybe('mtu', u32),
  up: maybe('up', flag),
  alias: maybe('alias', alias),
  promisc: maybe('promisc', flag),
  allmulti: maybe('allmulti', flag),
  txqlen: maybe('txqlen', u32),
  traits: maybe('traits', linkTraits),
  master: maybe('master', masterName),
})

const altname: OpFields<'altname.add'> = {
  side: at('side', side),
  name: at('name', named),
  ifindex: maybe('ifindex', ifindex),
  altname: at('altname', named),
}
/** A VLAN of a bridge port. */
export const vlanOfPort = objectOf<Member<'bridge.vlan.add', 'vlan'>>({
  vid: at('vid', vlanId),
  pvid: at('pvid', flag),
  untagged: at('untagged', flag),
})
const bridgeVlan: OpFields<'bridge.vlan.add'> = {
  side: at('side', side),
  link: at('link', named),
  vlan: at('vlan', vlanOfPort),
}
/** Forms of operations on interfaces and functions. */
export const linkForms: OpForms<LinkOp['do']> = {
  'link.set': [
    'link.set',
    {
      side: at('side', side),
      name: at('name', named),
      ifindex: maybe('ifindex', ifindex),
      set: at('set', linkAttributes),
      was: at('was', linkAttributes),
      mayFail: maybe('mayFail', flag),
      ifDifferent: maybe('ifDifferent', flag),
    },
  ],
  'link.move': [
    'link.move',
    {
      from: at('from', side),
      name: at('name', named),
      ifindex: maybe('ifindex', ifindex),
      up: maybe('up', flag),
      to: at('to', side),
      newName: at('newName', newName),
      newIfindex: maybe('newIfindex', ifindex),
    },
  ],
  'vf.set': [
    'vf.set',
    { pf: at('pf', named), vf: at('vf', u32), set: at('set', vfAttributes), was: at('was', vfAttributes) },
  ],
  'altname.add': ['altname.add', altname],
  'altname.del': ['altname.del', altname],
  'bridge.vlan.add': ['bridge.vlan.add', bridgeVlan],
  'bridge.vlan.del': ['bridge.vlan.del', bridgeVlan],
  'driver.rebind': ['driver.rebind', { pci: at('pci', pci), driver: at('driver', words) }],
  'function.reset': ['function.reset', { pci: at('pci', pci) }],
}
