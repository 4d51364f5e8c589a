/**
 * What an operation looks like that was read from a file. A record outlives the program that wrote it and lies where others
 * can write: what is wrong in it must be found here, before it is a TypeError half-way through a DEL. A field that an operation
 * gets in a later version is `maybe` here, since records of former versions lack it. By hand and not by zod: a DEL would pay
 * for the schemas of all operations.
 */
import {
  amount,
  type Check,
  cidr,
  type Fields,
  flag,
  hasFields,
  hex,
  ifindex,
  integer,
  ip,
  isRecord,
  list,
  mac,
  maybe,
  message,
  named,
  newName,
  object,
  offload,
  oneOf,
  pci,
  port,
  proto,
  side,
  sysctl,
  text,
  u32,
  vlanId,
} from './checks.ts'
import type { FlowFilter, LinkTraits, Op } from './op.ts'

type OpFields<T, D> = T extends { readonly do: infer K }
  ? D extends K
    ? Fields<Omit<T, 'do'>>
    : never
  : never

/** True for an operation as plans make them, with values that its kernel call can be made of. */
export function isOp(value: unknown): value is Op {
  if (!isRecord(value) || typeof value.do !== 'string' || !Object.hasOwn(ops, value.do)) return false
  return hasFields(value, ops[value.do as Op['do']])
}

/** True for a filter of a port mapping as plans make them. */
export function isFlowFilter(value: unknown): value is FlowFilter {
  return steer(value)
}

const end = object<{ link: string; ifindex: number }>({ link: named, ifindex })
const steer = object<FlowFilter>({
  link: named,
  ifindex: maybe(ifindex),
  out: maybe(end),
  prio: integer(1, 65535),
  address: ip,
  proto: maybe(proto),
  port: maybe(port),
  side: maybe(oneOf('src')),
  fragments: maybe(oneOf('none', 'only')),
  peer: maybe(cidr),
  mac: maybe(mac),
  vlan: maybe(vlanId),
  pop: maybe(flag),
  push: maybe(vlanId),
  dstMac: maybe(mac),
  srcMac: maybe(mac),
  limiter: maybe(u32),
  to: maybe(object<{ address: string; port: number }>({ address: ip, port })),
  verdict: maybe(oneOf('pass', 'drop')),
  cookie: hex,
})
const rate = { bytesPerSecond: amount, burst: amount }
const vfSet = object<Extract<Op, { do: 'vf.set' }>['set']>({
  mac: maybe(mac),
  vlan: maybe(
    object<{ id: number; qos: number; proto: number }>({ id: vlanId, qos: integer(0, 7), proto: port }),
  ),
  rate: maybe(object<{ min: number; max: number }>({ min: u32, max: u32 })),
  spoofchk: maybe(flag),
  trust: maybe(flag),
  linkState: maybe(oneOf('auto', 'enable', 'disable')),
})
const linkSet = object<Extract<Op, { do: 'link.set' }>['set']>({
  mac: maybe(mac),
  mtu: maybe(u32),
  up: maybe(flag),
  alias: maybe(text),
  promisc: maybe(flag),
  allmulti: maybe(flag),
  txqlen: maybe(u32),
  traits: maybe((value) => linkTraits(value)),
  master: maybe((value) => value === '' || named(value)),
})
/** What of an interface a record has beside what `link.set` always had. */
export const linkTraits = object<LinkTraits>({
  flags: maybe(u32),
  mode: maybe(integer(0, 255)),
  group: maybe(u32),
  broadcast: maybe((value) => typeof value === 'string' && /^([0-9a-f]{2}(:[0-9a-f]{2})*)?$/.test(value)),
  protoDown: maybe(flag),
  carrier: maybe(flag),
  gsoMaxSize: maybe(u32),
  gsoMaxSegs: maybe(u32),
  groMaxSize: maybe(u32),
  gsoIpv4MaxSize: maybe(u32),
  groIpv4MaxSize: maybe(u32),
})
const numbers: Check = (value) => typeof value === 'string' && /^([0-9a-f]{8})*$/.test(value)
/** A file below /sys/class/net/NAME that somebody may write. */
export const netdevFile: Check = (value) =>
  typeof value === 'string' && /^(queues\/[rt]x-\d+\/)?\w+(\/\w+)?$/.test(value)
const portRates = object<{ max: number; share: number }>({ max: amount, share: amount })

const altname = { side, name: named, ifindex: maybe(ifindex), altname: named }
const address = { side, link: named, ifindex: maybe(ifindex), address: cidr }
const route = {
  side,
  route: object<Extract<Op, { do: 'route.add' | 'route.del' }>['route']>({
    dst: cidr,
    gw: maybe(ip),
    link: named,
    ifindex: maybe(ifindex),
    table: maybe(u32),
    scope: maybe(integer(0, 255)),
    metric: maybe(u32),
    mtu: maybe(u32),
    advmss: maybe(u32),
    src: maybe(ip),
    onlink: maybe(flag),
  }),
}
const rule = {
  side,
  rule: object<{ src: string; table: number; priority: number }>({
    src: (value) => ip(value) || cidr(value),
    table: u32,
    priority: u32,
  }),
}
const clsact = { side, link: named, ifindex: maybe(ifindex) }
const steering = { rule: steer, offload, handle: maybe(u32) }
const ports = {
  keys: list(
    object<{ address: string; proto: string; port: number; toAddress: string; toPort: number }>({
      address: ip,
      proto,
      port,
      toAddress: ip,
      toPort: port,
    }),
  ),
  masquerade: list(
    object<{ source: string; address: string; proto: string; port: number }>({
      source: cidr,
      address: ip,
      proto,
      port,
    }),
  ),
  owner: text,
  steered: maybe(flag),
}
const localports = { ports: list(port), were: list(port) }
const table = { side, table: text, text }
const shaper = {
  shaper: object<Extract<Op, { do: 'shaper.add' | 'shaper.del' }>['shaper']>({
    ...rate,
    side,
    link: named,
    ifindex: maybe(ifindex),
    limit: amount,
    cookie: maybe(hex),
  }),
}
const ifb = { side, name: newName, mac, mtu: u32 }
const detour = {
  detour: object<Extract<Op, { do: 'detour.add' | 'detour.del' }>['detour']>({
    side,
    link: named,
    ifindex: maybe(ifindex),
    through: named,
    classifier: maybe(oneOf('matchall', 'flower', 'u32', 'basic')),
    cookie: hex,
  }),
}
const police = {
  police: object<Extract<Op, { do: 'police.add' | 'police.del' }>['police']>({
    ...rate,
    link: named,
    ifindex: maybe(ifindex),
    cookie: hex,
  }),
  offload,
}
const meter = {
  meter: object<Extract<Op, { do: 'meter.add' | 'meter.del' }>['meter']>({
    link: named,
    ifindex,
    out: end,
    mac,
    vlan: maybe(vlanId),
    family: maybe((value) => value === 4 || value === 6),
    limiter: u32,
    cookie: hex,
  }),
}
const limiter = {
  limiter: object<Extract<Op, { do: 'limiter.add' | 'limiter.del' }>['limiter']>({
    ...rate,
    index: u32,
    cookie: hex,
  }),
  offload,
}
const bridgeVlan = {
  side,
  link: named,
  vlan: object<{ vid: number; pvid: boolean; untagged: boolean }>({
    vid: vlanId,
    pvid: flag,
    untagged: flag,
  }),
}

const ops: { readonly [D in Op['do']]: OpFields<Op, D> } = {
  'vf.set': { pf: named, vf: u32, set: vfSet, was: vfSet },
  'link.move': {
    from: side,
    name: named,
    ifindex: maybe(ifindex),
    up: maybe(flag),
    to: side,
    newName,
    newIfindex: maybe(ifindex),
  },
  'link.set': {
    side,
    name: named,
    ifindex: maybe(ifindex),
    set: linkSet,
    was: linkSet,
    mayFail: maybe(flag),
    ifDifferent: maybe(flag),
  },
  'altname.add': altname,
  'altname.del': altname,
  'addr.add': address,
  'addr.del': address,
  'route.add': route,
  'route.del': route,
  'rule.add': rule,
  'rule.del': rule,
  'sysctl.set': { side, key: sysctl, value: text, was: text, mayFail: maybe(flag) },
  'clsact.add': clsact,
  'clsact.del': clsact,
  'steer.add': steering,
  'steer.del': steering,
  'ports.reserve': ports,
  'ports.release': ports,
  'localports.reserve': localports,
  'localports.release': localports,
  'nft.load': table,
  'nft.drop': table,
  'shaper.add': shaper,
  'shaper.del': shaper,
  'ifb.add': ifb,
  'ifb.del': ifb,
  'detour.add': detour,
  'detour.del': detour,
  'police.add': police,
  'police.del': police,
  'guard.add': { link: named, ifindex, isBridge: flag },
  'guard.del': { link: named, ifindex, isBridge: flag },
  'meter.add': meter,
  'meter.del': meter,
  'limiter.add': limiter,
  'limiter.del': limiter,
  'devlink.rate.set': { handle: text, set: portRates, was: portRates, now: maybe(portRates) },
  'bridge.vlan.add': bridgeVlan,
  'bridge.vlan.del': bridgeVlan,
  'driver.rebind': { pci, driver: text },
  'function.reset': { pci },
  announce: {
    link: named,
    ifindex: maybe(ifindex),
    mac,
    addresses: list(ip),
    count: u32,
    intervalMs: u32,
    carrierMs: u32,
  },
  'carried.give': {
    link: named,
    ifindex,
    what: oneOf('port', 'token', 'address', 'route', 'neighbour'),
    words: text,
    message,
    age: amount,
  },
  'program.detach': {
    side,
    link: named,
    ifindex,
    hook: oneOf('skb', 'drv', 'hw', 'ingress', 'egress'),
    program: u32,
  },
  'link.del': { side, name: named, ifindex },
  'link.flick': { side, name: named, ifindex },
  'ethtool.set': {
    link: named,
    part: oneOf('features', 'channels', 'rings'),
    value: numbers,
    was: numbers,
  },
  'netdev.set': { link: named, file: netdevFile, value: text, was: text },
  'neigh.use': { side, link: named, ifindex: maybe(ifindex), address: ip },
}
