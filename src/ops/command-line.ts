/** One `ip`, `tc` or `nft` line for each operation: what a log, an error and a report show, and what one can type. */
import { ipFamily } from '../lib/ip.ts'
import { formatPortSet } from '../lib/port-set.ts'
import { cleanLine } from './clean-op.ts'
import { loopbackGuard } from './marks/loopback-guard.ts'
import { meterPriority, policeMtu, ratePriority, shaperMark } from './marks/rate-numbers.ts'
import type {
  CarriedOp,
  Classifier,
  FlowFilter,
  LinkAttributes,
  LinkTraits,
  Offload,
  Op,
  RateSpec,
  RouteSpec,
  ShaperSpec,
  Side,
  VfAttributes,
} from './op.ts'

const localPorts = 'net.ipv4.ip_local_reserved_ports'

/** The operation as a command line. `pod:` in front of it means: inside the pod's network namespace. */
export function commandLine(op: Op): string {
  switch (op.do) {
    case 'vf.set':
      return `ip link set dev ${op.pf} vf ${op.vf} ${vfWords(op.set)}`
    case 'link.move':
      return `${prefix(op.from)}ip link set dev ${op.name} netns ${op.to} name ${op.newName}`
    case 'link.set':
      return `${prefix(op.side)}ip link set dev ${op.name} ${linkWords(op.set)}`
    case 'altname.add':
    case 'altname.del':
      return `${prefix(op.side)}ip link property ${verb(op.do)} dev ${op.name} altname ${op.altname}`
    case 'addr.add':
    case 'addr.del':
      return `${prefix(op.side)}ip address ${verb(op.do)} ${op.address} dev ${op.link}`
    case 'route.add':
    case 'route.del':
      return `${prefix(op.side)}ip route ${verb(op.do)} ${routeWords(op.route)}`
    case 'rule.add':
    case 'rule.del':
      // Without a family ip takes every rule for one of IPv4.
      return `${prefix(op.side)}ip ${op.rule.src.includes(':') ? '-6 ' : ''}rule ${verb(op.do)} from ${op.rule.src} lookup ${op.rule.table} priority ${op.rule.priority}`
    case 'sysctl.set':
      return `${prefix(op.side)}sysctl -w ${op.key}=${op.value}`
    case 'clsact.add':
    case 'clsact.del':
      return `${prefix(op.side)}tc qdisc ${verb(op.do)} dev ${op.link} clsact`
    case 'steer.add':
      return flowFilterLine(op.rule, flagOf(op.offload))
    case 'steer.del':
      // Without a handle tc would delete every filter of this priority, those of other pods too.
      return `tc filter del dev ${op.rule.link} ingress prio ${op.rule.prio} handle ${numberWord(op.handle)} flower # ${portWords(op.rule)}`
    case 'shaper.add': {
      const { side, link, limit } = op.shaper
      return `${prefix(side)}tc qdisc add dev ${link} root handle ${handleOf(op.shaper)} tbf ${rateWords(op.shaper)} limit ${limit}b`
    }
    case 'shaper.del':
      return `${prefix(op.shaper.side)}tc qdisc del dev ${op.shaper.link} root handle ${handleOf(op.shaper)}`
    case 'ifb.add':
      return `${prefix(op.side)}ip link add ${op.name} address ${op.mac} mtu ${op.mtu} up type ifb`
    case 'ifb.del':
      return `${prefix(op.side)}ip link del ${op.name}`
    case 'detour.add': {
      const { side, link, through, cookie, classifier = 'matchall' } = op.detour
      return `${prefix(side)}tc filter add dev ${link} ingress prio ${ratePriority.detour} ${everyFrame[classifier]} action mirred egress redirect dev ${through} cookie ${cookie}`
    }
    case 'detour.del':
      return `${prefix(op.detour.side)}tc filter del dev ${op.detour.link} ingress prio ${ratePriority.detour} ${op.detour.classifier ?? 'matchall'}`
    case 'guard.add':
    case 'guard.del': {
      const { priority, handle, name } = loopbackGuard
      const how = op.do === 'guard.add' ? 'bpf direct-action' : 'bpf'
      // tc takes a program from a file alone: the line says what it would be.
      return `tc filter ${verb(op.do)} dev ${op.link} ingress protocol all prio ${priority} handle ${numberWord(handle)} ${how} # ${name}: drops 127.0.0.0/8`
    }
    case 'police.add': {
      const { link, cookie } = op.police
      return `tc filter add dev ${link} ingress prio ${ratePriority.police} matchall ${flagOf(op.offload)} action police ${policeWords(op.police, 'continue')} cookie ${cookie}`
    }
    case 'police.del':
      return `tc filter del dev ${op.police.link} ingress prio ${ratePriority.police} matchall`
    case 'limiter.add': {
      const { index, cookie } = op.limiter
      return `tc actions add action police ${policeWords(op.limiter, 'pipe')} index ${index} ${flagOf(op.offload)} cookie ${cookie}`
    }
    case 'limiter.del':
      return `tc actions del action police index ${op.limiter.index}`
    case 'meter.add': {
      const { link, out, mac, vlan, family, limiter, cookie } = op.meter
      const untagged = family === undefined ? 'all' : family === 4 ? 'ip' : 'ipv6'
      const name = vlan === undefined ? untagged : '802.1Q'
      const match = vlan === undefined ? '' : `vlan_id ${vlan} `
      const pop = vlan === undefined ? '' : `action vlan pop pipe cookie ${cookie} `
      return `tc filter add dev ${link} ingress protocol ${name} prio ${meterPriority(op.meter)} flower ${match}dst_mac ${mac} skip_sw ${pop}action police index ${limiter} action mirred egress redirect dev ${out.link} cookie ${cookie}`
    }
    case 'meter.del':
      return `tc filter del dev ${op.meter.link} ingress prio ${meterPriority(op.meter)} handle ? flower # ${op.meter.mac}`
    case 'devlink.rate.set':
      return `devlink port function rate set ${op.handle} tx_share ${op.set.share}Bps tx_max ${op.set.max}Bps`
    case 'ports.reserve':
    case 'ports.release':
      return `nft ${op.do === 'ports.reserve' ? 'create' : 'delete'} element ${op.keys.map((key) => `${key.address}:${key.port}/${key.proto}`).join(', ')}`
    case 'localports.reserve':
      return `sysctl -w ${localPorts}="${formatPortSet(op.ports)},$(sysctl -n ${localPorts})"`
    case 'localports.release':
      return `sysctl -w ${localPorts}="$(sysctl -n ${localPorts})" # without ${formatPortSet(op.ports.filter((port) => !op.were.includes(port)))}`
    case 'nft.load':
      return `${prefix(op.side)}nft add table inet ${op.table}`
    case 'nft.drop':
      return `${prefix(op.side)}nft delete table inet ${op.table}`
    case 'bridge.vlan.add':
    case 'bridge.vlan.del': {
      const { vid, pvid, untagged } = op.vlan
      const words = `${pvid ? ' pvid' : ''}${untagged ? ' untagged' : ''}`
      return `${prefix(op.side)}bridge vlan ${verb(op.do)} dev ${op.link} vid ${vid}${words}`
    }
    case 'driver.rebind':
      return `echo ${op.pci} | tee ${['unbind', 'bind'].map((file) => `/sys/bus/pci/drivers/${op.driver}/${file}`).join(' ')}`
    case 'function.reset':
      return `echo 1 > /sys/bus/pci/devices/${op.pci}/reset`
    case 'carried.give':
      return givenLine(op)
    case 'program.detach':
    case 'link.del':
    case 'link.flick':
    case 'ethtool.set':
    case 'netdev.set':
      return cleanLine(op, prefix)
    case 'neigh.use':
      return `${prefix(op.side)}ip neigh replace ${op.address} dev ${op.link} nud none use`
    case 'announce':
      return `pod:arping -U -c ${op.count} -I ${op.link} ${op.addresses.join(' ')}`
  }
}

function givenLine({ what, words, link }: CarriedOp): string {
  if (what === 'port') return `ip link set dev ${link} type bridge_slave ${words}`
  if (what === 'token') return `ip ${words.replace(' ', ' set ')} dev ${link}`
  const isEntry = what === 'neighbour' && / (self|master)$/.test(words)
  const command = { address: 'ip address add', route: 'ip route append', neighbour: 'ip neigh add' }[what]
  return `${isEntry ? 'bridge fdb add' : command} ${words} dev ${link}`
}

/** A steering filter as the `tc` command that makes it. `flag` is skip_sw, skip_hw or empty. */
export function flowFilterLine(rule: FlowFilter, flag: string): string {
  const family = rule.address.includes(':') ? 'ipv6' : 'ip'
  const [own, other] = rule.side === 'src' ? ['src', 'dst'] : ['dst', 'src']
  const match =
    rule.vlan === undefined
      ? `protocol ${family} prio ${rule.prio} flower`
      : `protocol 802.1Q prio ${rule.prio} flower vlan_id ${rule.vlan} vlan_ethtype ${family}`
  const cookie = `cookie ${rule.cookie}`
  const rewrite = rewriteWords(rule, own)
  return [
    `tc filter add dev ${rule.link} ingress ${match}`,
    rule.mac === undefined ? '' : `dst_mac ${rule.mac}`,
    rule.proto === undefined ? '' : `ip_proto ${rule.proto}`,
    `${own}_ip ${rule.address}`,
    rule.port === undefined ? '' : `${own}_port ${rule.port}`,
    rule.peer === undefined ? '' : `${other}_ip ${rule.peer}`,
    rule.fragments === undefined ? '' : `ip_flags ${fragmentWords[rule.fragments]}`,
    flag,
    rule.pop === true ? `action vlan pop pipe ${cookie}` : '',
    rewrite === '' ? '' : `action pedit ex ${rewrite} pipe ${cookie}`,
    rule.to === undefined
      ? ''
      : `action csum ${family === 'ip' ? 'ip4h and ' : ''}${rule.proto} pipe ${cookie}`,
    rule.limiter === undefined ? '' : `action police index ${rule.limiter}`,
    rule.push === undefined ? '' : `action vlan push id ${rule.push} pipe ${cookie}`,
    rule.verdict === undefined
      ? `action mirred egress redirect dev ${rule.out?.link ?? rule.link} ${cookie}`
      : `action ${rule.verdict} ${cookie}`,
  ]
    .filter((part) => part !== '')
    .join(' ')
}

/** tc's words of TCA_FLOWER_KEY_FLAGS_IS_FRAGMENT. */
const fragmentWords = { none: 'nofrag', only: 'frag' } as const

function rewriteWords({ dstMac, srcMac, to, address, proto }: FlowFilter, own: string | undefined): string {
  return [
    dstMac === undefined ? '' : `munge eth dst set ${dstMac}`,
    srcMac === undefined ? '' : `munge eth src set ${srcMac}`,
    to === undefined ? '' : `munge ${address.includes(':') ? 'ip6' : 'ip'} ${own} set ${to.address}`,
    to === undefined ? '' : `munge ${proto} ${own === 'src' ? 's' : 'd'}port set ${to.port}`,
  ]
    .filter((part) => part !== '')
    .join(' ')
}

/** A filter for every frame, in software. */
const everyFrame: Readonly<Record<Classifier, string>> = {
  matchall: 'matchall skip_hw',
  flower: 'flower skip_hw',
  u32: 'u32 match u32 0 0 skip_hw',
  basic: 'basic',
}

function flagOf(offload: Offload): string {
  return offload === 'off' ? 'skip_hw' : 'skip_sw'
}

/** tc's own unit for bits per second has no suffix to get wrong: `bit`; sizes are `b` for bytes. */
function rateWords({ bytesPerSecond, burst }: RateSpec): string {
  return `rate ${bytesPerSecond * 8}bit burst ${burst}b`
}

function policeWords(spec: RateSpec, conform: string): string {
  return `${rateWords(spec)} mtu ${policeMtu} conform-exceed drop/${conform}`
}

function verb(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}

/** A qdisc's handle as tc has it. */
function handleOf({ cookie }: Pick<ShaperSpec, 'cookie'>): string {
  return `${(shaperMark(cookie).handle >>> 16).toString(16)}:`
}

function prefix(side: Side): string {
  return side === 'pod' ? 'pod:' : ''
}

function numberWord(handle: number | undefined): string {
  return handle === undefined ? '?' : `0x${handle.toString(16)}`
}

function portWords({ proto, side, address, port, peer, mac }: FlowFilter): string {
  const from = side === 'src' ? 'from ' : ''
  const other = port === undefined ? (mac ?? peer) : undefined
  return [
    `${proto ?? 'ip'} ${from}${address}`,
    port === undefined ? '' : `port ${port}`,
    other === undefined ? '' : `${side === 'src' ? 'to' : 'from'} ${other}`,
  ]
    .filter((part) => part !== '')
    .join(' ')
}

function vfWords(set: VfAttributes): string {
  const words: string[] = []
  if (set.mac !== undefined) words.push(`mac ${set.mac}`)
  if (set.vlan !== undefined) {
    const proto = set.vlan.proto === 0x88a8 ? ' proto 802.1ad' : ''
    words.push(`vlan ${set.vlan.id}${set.vlan.qos === 0 ? '' : ` qos ${set.vlan.qos}`}${proto}`)
  }
  if (set.rate !== undefined) words.push(`max_tx_rate ${set.rate.max} min_tx_rate ${set.rate.min}`)
  if (set.spoofchk !== undefined) words.push(`spoofchk ${set.spoofchk ? 'on' : 'off'}`)
  if (set.trust !== undefined) words.push(`trust ${set.trust ? 'on' : 'off'}`)
  if (set.linkState !== undefined) words.push(`state ${set.linkState}`)
  return words.join(' ')
}

function linkWords(set: LinkAttributes): string {
  const words: string[] = []
  if (set.mac !== undefined) words.push(`address ${set.mac}`)
  if (set.mtu !== undefined) words.push(`mtu ${set.mtu}`)
  if (set.txqlen !== undefined) words.push(`txqueuelen ${set.txqlen}`)
  if (set.promisc !== undefined) words.push(`promisc ${set.promisc ? 'on' : 'off'}`)
  if (set.allmulti !== undefined) words.push(`allmulticast ${set.allmulti ? 'on' : 'off'}`)
  if (set.master !== undefined) words.push(set.master === '' ? 'nomaster' : `master ${set.master}`)
  if (set.traits !== undefined) words.push(...traitWords(set.traits))
  if (set.up !== undefined) words.push(set.up ? 'up' : 'down')
  // The last word of ip's line: an alias may have spaces.
  if (set.alias !== undefined) words.push(`alias ${quoted(set.alias)}`)
  return words.join(' ')
}

/** IFF_NOARP, IFF_MULTICAST and IFF_DYNAMIC of linux/if.h, in ip's words. */
const flagWords = [
  [0x80, 'arp off', 'arp on'],
  [0x1000, 'multicast on', 'multicast off'],
  [0x8000, 'dynamic on', 'dynamic off'],
] as const
const modes = ['default', 'dormant', 'testing']

function traitWords(traits: LinkTraits): string[] {
  const { flags, mode, broadcast, protoDown, carrier } = traits
  const numbers = {
    group: traits.group,
    gso_max_size: traits.gsoMaxSize,
    gso_max_segs: traits.gsoMaxSegs,
    gro_max_size: traits.groMaxSize,
    gso_ipv4_max_size: traits.gsoIpv4MaxSize,
    gro_ipv4_max_size: traits.groIpv4MaxSize,
  }
  return [
    ...(flags === undefined ? [] : flagWords.map(([bit, on, off]) => ((flags & bit) === 0 ? off : on))),
    ...(mode === undefined ? [] : [`mode ${modes[mode] ?? mode}`]),
    ...(broadcast === undefined ? [] : [`broadcast ${broadcast}`]),
    ...(protoDown === undefined ? [] : [`protodown ${protoDown ? 'on' : 'off'}`]),
    ...(carrier === undefined ? [] : [`carrier ${carrier ? 'on' : 'off'}`]),
    ...Object.entries(numbers).flatMap(([word, value]) => (value === undefined ? [] : [`${word} ${value}`])),
  ]
}

function quoted(text: string): string {
  return /^[\w.:@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** A route as `ip route` has it. */
export function routeWords(route: RouteSpec): string {
  const words = [route.dst]
  const { dst, gw } = route
  if (gw !== undefined) words.push(`via ${ipFamily(gw) === ipFamily(dst) ? '' : 'inet6 '}${gw}`)
  words.push(`dev ${route.link}`)
  if (route.onlink === true) words.push('onlink')
  if (route.table !== undefined) words.push(`table ${route.table}`)
  if (route.metric !== undefined) words.push(`metric ${route.metric}`)
  if (route.scope !== undefined) words.push(`scope ${route.scope}`)
  if (route.src !== undefined) words.push(`src ${route.src}`)
  if (route.mtu !== undefined) words.push(`mtu ${route.mtu}`)
  if (route.advmss !== undefined) words.push(`advmss ${route.advmss}`)
  return words.join(' ')
}
