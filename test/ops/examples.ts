// One operation of every kind, with nothing left at a default. The type makes a new kind without an example an error.
import type { FlowFilter, Op, PortKey } from '../../src/ops/op.ts'

type Kind = Op['do']
type Examples = { readonly [K in Kind]: Op & { do: K } }

const key: PortKey = { address: '10.1.0.1', proto: 'tcp', port: 8080, toAddress: '10.1.0.5', toPort: 80 }

export const steer: FlowFilter = {
  link: 'pf0',
  prio: 10,
  address: '10.1.0.1',
  proto: 'tcp',
  port: 8080,
  dstMac: '02:00:00:00:00:05',
  srcMac: '02:00:00:00:00:01',
  cookie: '76660101aabbccdd0011223344556677',
}

const vf = { pf: 'pf0', vf: 3 } as const
const altname = { side: 'host', name: 'pf0', altname: 'net1' } as const
const address = { side: 'pod', link: 'net1', address: '10.1.0.5/24' } as const
const route = {
  side: 'pod',
  route: {
    dst: '10.9.0.0/16',
    gw: '10.1.0.254',
    link: 'net1',
    table: 100,
    scope: 0,
    metric: 50,
    mtu: 1400,
    advmss: 1360,
    src: '10.1.0.5',
  },
} as const
const rule = { side: 'pod', rule: { src: '10.1.0.5', table: 100, priority: 30000 } } as const
const bridgeVlan = { side: 'host', link: 'pf0vf3', vlan: { vid: 100, pvid: true, untagged: true } } as const
const clsact = { side: 'host', link: 'pf0' } as const
const ports = {
  keys: [key, { ...key, address: '2001:db8::1', toAddress: '2001:db8::5', proto: 'udp' }],
  masquerade: [{ source: '10.1.0.0/24', address: '10.1.0.1', proto: 'tcp', port: 8080 }],
  owner: `${steer.cookie} container/net1`,
} as const
const table = { side: 'pod', table: 'vf-flower-aabb', text: 'table inet vf-flower-aabb {\n}\n' } as const

const rate = { bytesPerSecond: 12_500_000, burst: 250_000 } as const
const shaper = { side: 'pod', link: 'net1', ...rate, limit: 562_500 } as const
const ifb = { side: 'host', name: 'vfr0123456789ab', mac: '76:66:01:02:03:04', mtu: 9000 } as const
const rateCookie = '76660102aabbccdd0011223344556677'
const detour = { side: 'host', link: 'veth1', through: ifb.name, cookie: rateCookie } as const
const police = { link: 'pf0vf3', ...rate, cookie: rateCookie } as const
const limiter = { index: 0x70001234, ...rate, cookie: rateCookie } as const

const meter = {
  ...{ link: 'pf0', ifindex: 2, out: { link: 'pf0vf3', ifindex: 9 }, mac: '02:00:00:00:00:05', vlan: 100 },
  ...{ limiter: limiter.index, cookie: rateCookie },
} as const

const localPorts = { ports: [8080, 50_050, 50_051], were: [8080] } as const

export const examples: Examples = {
  'localports.reserve': { do: 'localports.reserve', ...localPorts },
  'localports.release': { do: 'localports.release', ...localPorts },
  'vf.set': {
    do: 'vf.set',
    ...vf,
    set: {
      mac: '02:00:00:00:00:05',
      vlan: { id: 100, qos: 3, proto: 0x88a8 },
      rate: { min: 10, max: 100 },
      spoofchk: true,
      trust: false,
      linkState: 'enable',
    },
    was: {
      mac: '00:00:00:00:00:00',
      vlan: { id: 0, qos: 0, proto: 0x8100 },
      rate: { min: 0, max: 0 },
      spoofchk: false,
      trust: true,
      linkState: 'auto',
    },
  },
  'link.move': { do: 'link.move', from: 'host', name: 'pf0v3', to: 'pod', newName: 'net1' },
  'link.set': {
    do: 'link.set',
    side: 'pod',
    name: 'net1',
    ifindex: 7,
    set: {
      ...{
        mac: '02:00:00:00:00:05',
        mtu: 9000,
        up: true,
        alias: "pod's own",
        promisc: true,
        allmulti: false,
      },
      ...{ txqlen: 500, master: 'br0' },
    },
    was: {
      ...{ mac: '02:00:00:00:00:99', mtu: 1500, up: false, alias: '', promisc: false, allmulti: true },
      ...{ txqlen: 1000, master: '' },
    },
  },
  'altname.add': { do: 'altname.add', ...altname },
  'altname.del': { do: 'altname.del', ...altname },
  'addr.add': { do: 'addr.add', ...address },
  'addr.del': { do: 'addr.del', ...address },
  'route.add': { do: 'route.add', ...route },
  'route.del': { do: 'route.del', ...route },
  'rule.add': { do: 'rule.add', ...rule },
  'rule.del': { do: 'rule.del', ...rule },
  'sysctl.set': {
    do: 'sysctl.set',
    side: 'pod',
    key: 'net/ipv6/conf/net1/optimistic_dad',
    value: '1',
    was: '0',
  },
  'bridge.vlan.add': { do: 'bridge.vlan.add', ...bridgeVlan },
  'bridge.vlan.del': { do: 'bridge.vlan.del', ...bridgeVlan },
  'function.reset': { do: 'function.reset', pci: '0000:3b:02.3' },
  'carried.give': {
    do: 'carried.give',
    ...{ link: 'pf0', ifindex: 2, what: 'address', words: '192.0.2.5/24 noprefixroute', age: 0 },
    message: '02180000000000000800010009000001',
  },
  'driver.rebind': { do: 'driver.rebind', pci: '0000:3b:02.3', driver: 'igbvf' },
  'clsact.add': { do: 'clsact.add', ...clsact },
  'clsact.del': { do: 'clsact.del', ...clsact },
  'steer.add': { do: 'steer.add', rule: steer, offload: 'prefer' },
  'steer.del': { do: 'steer.del', rule: steer, offload: 'prefer' },
  'shaper.add': { do: 'shaper.add', shaper },
  'shaper.del': { do: 'shaper.del', shaper },
  'ifb.add': { do: 'ifb.add', ...ifb },
  'ifb.del': { do: 'ifb.del', ...ifb },
  'detour.add': { do: 'detour.add', detour },
  'detour.del': { do: 'detour.del', detour },
  'police.add': { do: 'police.add', police, offload: 'require' },
  'police.del': { do: 'police.del', police, offload: 'require' },
  'guard.add': { do: 'guard.add', link: 'cni0', ifindex: 7, isBridge: true },
  'guard.del': { do: 'guard.del', link: 'cni0', ifindex: 7, isBridge: true },
  'limiter.add': { do: 'limiter.add', limiter, offload: 'prefer' },
  'limiter.del': { do: 'limiter.del', limiter, offload: 'prefer' },
  'meter.add': { do: 'meter.add', meter },
  'meter.del': { do: 'meter.del', meter },
  'devlink.rate.set': {
    do: 'devlink.rate.set',
    handle: 'pci/0000:3b:00.0/65539',
    set: { max: 12_500_000, share: 0 },
    was: { max: 0, share: 0 },
  },
  'ports.reserve': { do: 'ports.reserve', ...ports },
  'ports.release': { do: 'ports.release', ...ports },
  'nft.load': { do: 'nft.load', ...table },
  'nft.drop': { do: 'nft.drop', ...table },
  'program.detach': {
    do: 'program.detach',
    ...{ side: 'pod', link: 'net1', ifindex: 7, hook: 'skb', program: 17 },
  },
  'link.del': { do: 'link.del', side: 'pod', name: 'mv0', ifindex: 9 },
  'link.flick': { do: 'link.flick', side: 'host', name: 'pf0', ifindex: 2 },
  'ethtool.set': {
    do: 'ethtool.set',
    ...{ link: 'pf0', part: 'channels', value: '00000001', was: '00000002' },
  },
  'netdev.set': {
    do: 'netdev.set',
    ...{ link: 'pf0', file: 'queues/rx-0/rps_cpus', value: '1', was: '0' },
  },
  'neigh.use': { do: 'neigh.use', side: 'pod', link: 'net1', address: '10.1.0.5' },
  announce: {
    do: 'announce',
    link: 'net1',
    mac: '02:00:00:00:00:05',
    addresses: ['10.1.0.5', '2001:db8::5'],
    ...{ count: 2, intervalMs: 5, carrierMs: 200 },
  },
}

export const everyOp: readonly Op[] = Object.values(examples)
