/** Operations on interfaces, addresses and devices, as they lie on the disk (ops.ts). */
import type { LinkAttributes, LinkTraits, VfAttributes } from '../ops/op.ts'
import { at, flag, list, maybe, objectOf, oneOf } from './form.ts'
import type { Member, OpTable } from './op-table.ts'
import {
  alias,
  amount,
  bit8,
  bit16,
  cidr,
  ifindex,
  ip,
  ipOrCidr,
  linkAddress,
  mac,
  masterName,
  message,
  named,
  netdevFile,
  newName,
  numbers,
  pci,
  qos,
  side,
  sysctl,
  u32,
  vlanId,
  words,
} from './values.ts'
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

const altname = {
  side: at('side', side),
  name: at('name', named),
  ifindex: maybe('ifindex', ifindex),
  altname: at('altname', named),
}
const address = {
  side: at('side', side),
  link: at('link', named),
  ifindex: maybe('ifindex', ifindex),
  address: at('address', cidr),
}
const route = {
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
const rule = {
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
/** A VLAN of a bridge port. */
export const vlanOfPort = objectOf<Member<'bridge.vlan.add', 'vlan'>>({
  vid: at('vid', vlanId),
  pvid: at('pvid', flag),
  untagged: at('untagged', flag),
})
const bridgeVlan = { side: at('side', side), link: at('link', named), vlan: at('vlan', vlanOfPort) }
/** What an interface carried. */
export const carriedFields = {
  what: at('what', oneOf('port', 'token', 'address', 'route', 'neighbour')),
  words: at('words', words),
  message: at('message', message),
}

/** Part of the table. */
export const linkOps = {
  'vf.set': [
    'vf.set',
    { pf: at('pf', named), vf: at('vf', u32), set: at('set', vfAttributes), was: at('was', vfAttributes) },
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
  'altname.add': ['altname.add', altname],
  'altname.del': ['altname.del', altname],
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
  'bridge.vlan.add': ['bridge.vlan.add', bridgeVlan],
  'bridge.vlan.del': ['bridge.vlan.del', bridgeVlan],
  'driver.rebind': ['driver.rebind', { pci: at('pci', pci), driver: at('driver', words) }],
  'function.reset': ['function.reset', { pci: at('pci', pci) }],
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
  'carried.give': [
    'carried.give',
    { link: at('link', named), ifindex: at('ifindex', ifindex), ...carriedFields, age: at('age', amount) },
  ],
  'program.detach': [
    'program.detach',
    {
      side: at('side', side),
      link: at('link', named),
      ifindex: at('ifindex', ifindex),
      hook: at('hook', oneOf('skb', 'drv', 'hw', 'ingress', 'egress')),
      program: at('program', u32),
    },
  ],
  'link.del': [
    'link.del',
    { side: at('side', side), name: at('name', named), ifindex: at('ifindex', ifindex) },
  ],
  'link.flick': [
    'link.flick',
    { side: at('side', side), name: at('name', named), ifindex: at('ifindex', ifindex) },
  ],
  'ethtool.set': [
    'ethtool.set',
    {
      link: at('link', named),
      part: at('part', oneOf('features', 'channels', 'rings')),
      value: at('value', numbers),
      was: at('was', numbers),
    },
  ],
  'netdev.set': [
    'netdev.set',
    {
      link: at('link', named),
      file: at('file', netdevFile),
      value: at('value', words),
      was: at('was', words),
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
} satisfies Partial<OpTable>
