/**
 * What we do to a kernel, as data. An operation carries the old value beside the new one, so its inverse needs no
 * second read, and it names interfaces the way an operator would. In: plans of both plugins; out: the same operations
 * to kernel/, which alone knows how they are carried out. Imports nothing but small values of lib/.
 */
import type { CleanOp } from './clean-op.ts'

/** The side on which an operation runs: the plugin's own network namespace or the pod's. */
export type Side = 'host' | 'pod'

/** PF-side attributes of one VF (IFLA_VF_* of linux/if_link.h). Rates in Mbit/s, 0 = no limit. Absent = untouched. */
export interface VfAttributes {
  readonly mac?: string | undefined
  /** 0 takes the VLAN away. `qos` is the 802.1p priority 0-7, `proto` the ethertype 0x8100 or 0x88a8. */
  readonly vlan?: { readonly id: number; readonly qos: number; readonly proto: number } | undefined
  readonly rate?: { readonly min: number; readonly max: number } | undefined
  readonly spoofchk?: boolean | undefined
  readonly trust?: boolean | undefined
  readonly linkState?: 'auto' | 'enable' | 'disable' | undefined
}

/** What else of an interface can be set and stays with it in every namespace (IFLA_* of linux/if_link.h). Absent = not known. */
export interface LinkTraits {
  /** IFF_* beside up, promiscuous and all-multicast: noarp, multicast, dynamic and others that nobody reads. */
  readonly flags?: number | undefined
  /** IFLA_LINKMODE: 0 = default, 1 = dormant, 2 = testing. */
  readonly mode?: number | undefined
  readonly group?: number | undefined
  readonly broadcast?: string | undefined
  readonly protoDown?: boolean | undefined
  /** Of a dummy, which takes any. */
  readonly carrier?: boolean | undefined
  readonly gsoMaxSize?: number | undefined
  readonly gsoMaxSegs?: number | undefined
  readonly groMaxSize?: number | undefined
  readonly gsoIpv4MaxSize?: number | undefined
  readonly groIpv4MaxSize?: number | undefined
}

/** Attributes of an interface itself. MTU in bytes, `txqlen` in packets. Absent = untouched. */
export interface LinkAttributes {
  readonly mac?: string | undefined
  readonly mtu?: number | undefined
  readonly up?: boolean | undefined
  /** IFLA_IFALIAS, at most 255 bytes; '' takes it away. */
  readonly alias?: string | undefined
  readonly promisc?: boolean | undefined
  readonly allmulti?: boolean | undefined
  readonly txqlen?: number | undefined
  readonly traits?: LinkTraits | undefined
  /** Name of a bridge, bond or VRF on the same side; '' releases the interface from the one it has. */
  readonly master?: string | undefined
}

/** A route; addresses as text, `dst` in CIDR form. `table` absent = main. `metric` = RTA_PRIORITY. */
export interface RouteSpec {
  readonly dst: string
  readonly gw?: string
  readonly link: string
  /** Its number, where it is known: a name in a pod is the pod's to give. */
  readonly ifindex?: number
  readonly table?: number
  readonly scope?: number
  readonly metric?: number
  readonly mtu?: number
  readonly advmss?: number
  readonly src?: string
  readonly onlink?: boolean
}

/** `ip rule from SRC lookup TABLE`. */
export interface RuleSpec {
  readonly src: string
  readonly table: number
  readonly priority: number
}

/** A VLAN of a bridge port: `pvid` = untagged frames that come in get it, `untagged` = frames leave without tag. */
export interface BridgeVlan {
  readonly vid: number
  readonly pvid: boolean
  readonly untagged: boolean
}

/**
 * What a filter does with frames to (or with `side`, from) one address and port: new MACs, with `to` another address and
 * port instead (stateless translation), then out of an interface. Without a port: with all frames of the address.
 */
export interface FlowFilter {
  /** The interface it is attached to (clsact ingress); its number, where known, saves asking for it. */
  readonly link: string
  readonly ifindex?: number
  /** Where the frame goes out; absent = by `link` again, behind which the NIC's own switch delivers it. */
  readonly out?: { readonly link: string; readonly ifindex: number }
  readonly prio: number
  /** Matched address, protocol and port: the frame's destination, or its source where `side` says so. Absent = any. */
  readonly address: string
  readonly proto?: Proto
  readonly port?: number
  readonly side?: 'src'
  /**
   * `none`: only frames that are no part of a datagram in fragments; `only`: only those that are. Absent = both. Where ports
   * are read from the first fragment, a filter with a port and without this takes that one and misses the others.
   */
  readonly fragments?: 'none' | 'only'
  /** The other end of the frame must be in this network (CIDR). */
  readonly peer?: string
  /** The frame must be for this MAC. */
  readonly mac?: string
  /** VLAN id that the frame must carry; absent = untagged. It keeps its tag, unless `pop` is set. */
  readonly vlan?: number
  readonly pop?: boolean
  /** VLAN id of the tag that the frame gets. */
  readonly push?: number
  /** New destination (the VF) and source (the uplink) MAC; absent = as it was. */
  readonly dstMac?: string
  readonly srcMac?: string
  /** Index of the policer that the frame must pass; what it drops goes nowhere. */
  readonly limiter?: number
  /** New address and port in place of the matched ones. */
  readonly to?: { readonly address: string; readonly port: number }
  /** Instead of a way out: the frame goes on as if there were no filter, or goes nowhere. */
  readonly verdict?: 'pass' | 'drop'
  /** TCA_ACT_COOKIE of every action, hex. */
  readonly cookie: string
}

/** A rate limit. Rate in bytes/s; `burst`, what may go at once, in bytes. */
export interface RateSpec {
  readonly bytesPerSecond: number
  readonly burst: number
}

/** A tbf as the root qdisc of an interface: it queues what is over the rate, `limit` bytes at most. */
export interface ShaperSpec extends RateSpec {
  readonly side: Side
  readonly link: string
  /** Its number, where it is known: a name may change. */
  readonly ifindex?: number
  readonly limit: number
  /** Cookie of the limit, hex, which its handle is made from; absent in records of versions whose shapers bore nobody's mark. */
  readonly cookie?: string
}

/** A filter that sends everything that `link` receives through another interface of the same side, an ifb. */
export interface IfbRedirect {
  readonly side: Side
  readonly link: string
  /** Its number, where it is known. */
  readonly ifindex?: number
  readonly through: string
  /** TCA_ACT_COOKIE, hex. */
  readonly cookie: string
  /** matchall unless the kernel had none when it was made. */
  readonly classifier?: Classifier
}

/** TCA_KIND of a filter for every frame. */
export type Classifier = 'matchall' | 'flower' | 'u32' | 'basic'

/** A filter that drops what `link`, a host interface, receives over the rate. */
export interface PoliceSpec extends RateSpec {
  readonly link: string
  /** Its number, where it is known. */
  readonly ifindex?: number
  readonly cookie: string
}

/** A policer that filters share by its index. */
export interface SharedPolicer extends RateSpec {
  readonly index: number
  readonly cookie: string
}

/** A filter in the NIC that has frames to one MAC address pass a policer on their way from `link` to `out`. */
export interface MacPolicer {
  readonly link: string
  readonly ifindex: number
  readonly out: { readonly link: string; readonly ifindex: number }
  readonly mac: string
  /** VLAN id of the tag that frames come with, which is taken off. */
  readonly vlan?: number
  /** Untagged frames of this protocol alone. Without it and without a VLAN: all frames, whatever tags they have. */
  readonly family?: 4 | 6
  /** Index of the policer. */
  readonly limiter: number
  readonly cookie: string
}

/** Rates of a devlink port in bytes/s, 0 = none: what it may send at most, what is guaranteed to it. */
export interface PortRates {
  readonly max: number
  readonly share: number
}

/** `prefer` tries skip_sw first; `off` installs with skip_hw. */
export type Offload = 'off' | 'prefer' | 'require'

/** Protocols whose ports can be mapped. */
export type Proto = 'tcp' | 'udp' | 'sctp'

/** One element of the host's map of taken host ports. */
export interface PortKey {
  readonly address: string
  readonly proto: Proto
  readonly port: number
  readonly toAddress: string
  readonly toPort: number
}

/** Connections from `source` (CIDR) to a reserved key get an address of the host in its place. */
export interface Masquerade {
  readonly source: string
  readonly address: string
  readonly proto: Proto
  readonly port: number
}

/**
 * `mayFail`: a refusal is no error, because a later operation makes sure of the same. `ifDifferent`: a
 * MAC that the interface has is not set again, because VF drivers refuse even that when the PF has set it. With
 * `ifindex` it is that interface, whatever its name is by now; the name is for people then.
 */
export interface LinkSet {
  readonly do: 'link.set'
  readonly side: Side
  readonly name: string
  readonly ifindex?: number
  readonly set: LinkAttributes
  readonly was: LinkAttributes
  readonly mayFail?: boolean
  readonly ifDifferent?: boolean
}

/**
 * To another namespace or, with `from` equal to `to`, to another name only. `ifindex` as in LinkSet; `newIfindex` the
 * number to have there: a move to a number that is taken is refused (EBUSY). `up`: the interface is up now; where a refused move by number has to be taken
 * back it is set up again.
 */
export interface LinkMove {
  readonly do: 'link.move'
  readonly from: Side
  readonly name: string
  readonly ifindex?: number
  readonly up?: boolean
  readonly to: Side
  readonly newName: string
  readonly newIfindex?: number
}

/**
 * Tells neighbours where `addresses` are now, `count` times, `intervalMs` apart, after waiting for the carrier for
 * `carrierMs` at most (milliseconds). 0 times: nothing is sent. Without carrier nothing is sent either.
 */
export interface Announce {
  readonly do: 'announce'
  readonly link: string
  /** Its number, where it is known. */
  readonly ifindex?: number
  readonly mac: string
  readonly addresses: readonly string[]
  readonly count: number
  readonly intervalMs: number
  readonly carrierMs: number
}

/**
 * Something that an interface carries and that a move, or setting it down, takes from it. `message` is the kernel's own (the
 * payload of RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE or RTM_NEWNEIGH, hex) as it is sent again: the interface's number is 0 in it, and
 * what only the kernel can set is left out. Equal `words`, those of `ip`, mean the same thing.
 */
export interface CarriedItem {
  readonly what: 'port' | 'token' | 'address' | 'route' | 'neighbour'
  readonly words: string
  readonly message: string
}

/** Gives the interface with that number back what it carried, `age` seconds after it was read. */
export interface CarriedOp extends CarriedItem {
  readonly do: 'carried.give'
  readonly link: string
  readonly ifindex: number
  readonly age: number
}

/** One change to a kernel. */
export type Op =
  | { do: 'vf.set'; pf: string; vf: number; set: VfAttributes; was: VfAttributes }
  | LinkMove
  | LinkSet
  | { do: 'altname.add' | 'altname.del'; side: Side; name: string; ifindex?: number; altname: string }
  | { do: 'addr.add' | 'addr.del'; side: Side; link: string; ifindex?: number; address: string }
  | { do: 'route.add' | 'route.del'; side: Side; route: RouteSpec }
  | { do: 'rule.add' | 'rule.del'; side: Side; rule: RuleSpec }
  /** `mayFail`: kernels without the setting do without it. */
  | { do: 'sysctl.set'; side: Side; key: string; value: string; was: string; mayFail?: boolean }
  | { do: 'clsact.add' | 'clsact.del'; side: Side; link: string; ifindex?: number }
  /** `handle` of one that is there: its number, where it is known. */
  | { do: 'steer.add' | 'steer.del'; rule: FlowFilter; offload: Offload; handle?: number }
  | {
      do: 'ports.reserve' | 'ports.release'
      keys: readonly PortKey[]
      masquerade: readonly Masquerade[]
      owner: string
      /** Filters are to take frames for these keys past the host's stack: its own connections are kept off them. */
      steered?: boolean
    }
  /** Ports that the kernel gives to no program of the host by itself; `were`: those of them that it gave to none before. */
  | { do: 'localports.reserve' | 'localports.release'; ports: readonly number[]; were: readonly number[] }
  | { do: 'nft.load' | 'nft.drop'; side: Side; table: string; text: string }
  | { do: 'shaper.add' | 'shaper.del'; shaper: ShaperSpec }
  /** An ifb, set up: what is sent to it takes its qdisc and goes on where it came from. MTU in bytes. */
  | { do: 'ifb.add' | 'ifb.del'; side: Side; name: string; mac: string; mtu: number }
  | { do: 'detour.add' | 'detour.del'; detour: IfbRedirect }
  | { do: 'police.add' | 'police.del'; police: PoliceSpec; offload: Offload }
  /** The filter of a host interface that drops what comes from or goes to 127.0.0.0/8 (ops/marks/loopback-guard.ts). */
  | { do: 'guard.add' | 'guard.del'; link: string; ifindex: number; isBridge: boolean }
  | { do: 'meter.add' | 'meter.del'; meter: MacPolicer }
  | { do: 'limiter.add' | 'limiter.del'; limiter: SharedPolicer; offload: Offload }
  /** Of a devlink port, `handle` as `pci/0000:3b:00.0/65539`. */
  | {
      do: 'devlink.rate.set'
      handle: string
      set: PortRates
      was: PortRates
      /** What it is when this is carried out, where that is not `was`. */
      now?: PortRates
    }
  | { do: 'bridge.vlan.add' | 'bridge.vlan.del'; side: Side; link: string; vlan: BridgeVlan }
  /** Takes a PCI function from its driver and gives it back, so that its interface starts anew on the host. */
  | { do: 'driver.rebind'; pci: string; driver: string }
  /** A function level reset of a PCI function that nobody uses. */
  | { do: 'function.reset'; pci: string }
  | Announce
  | CarriedOp
  | CleanOp
  /**
   * Has the kernel ask for a neighbour (NTF_USE). For an address of the interface's own the question is a gratuitous
   * ARP request, which the kernel repeats every second, three times, while we are gone (mcast_solicit, retrans_time_ms).
   */
  | { do: 'neigh.use'; side: Side; link: string; ifindex?: number; address: string }

/** A change of a steering filter: pods have them by the hundred. */
export type FlowFilterOp = Extract<Op, { do: 'steer.add' | 'steer.del' }>

/** True for one. */
export function isFlowFilterOp(op: Op): op is FlowFilterOp {
  return op.do === 'steer.add' || op.do === 'steer.del'
}

/** What an operation reported back beside success: where a rule runs and, if not in the NIC, the driver's words. */
export interface Outcome {
  /** What was to be added was there before, and is not ours to take back. */
  readonly existed?: boolean
  readonly where?: 'nic' | 'host'
  readonly refusal?: string
  readonly handle?: number
  /** Of a filter for every frame: which one the kernel has instead of matchall, and what it said to those before. */
  readonly classifier?: Classifier
  readonly reason?: string
}

const opposite = {
  'altname.add': 'altname.del',
  'altname.del': 'altname.add',
  'addr.add': 'addr.del',
  'addr.del': 'addr.add',
  'route.add': 'route.del',
  'route.del': 'route.add',
  'rule.add': 'rule.del',
  'rule.del': 'rule.add',
  'bridge.vlan.add': 'bridge.vlan.del',
  'bridge.vlan.del': 'bridge.vlan.add',
  'clsact.add': 'clsact.del',
  'clsact.del': 'clsact.add',
  'steer.add': 'steer.del',
  'steer.del': 'steer.add',
  'shaper.add': 'shaper.del',
  'shaper.del': 'shaper.add',
  'ifb.add': 'ifb.del',
  'ifb.del': 'ifb.add',
  'detour.add': 'detour.del',
  'detour.del': 'detour.add',
  'police.add': 'police.del',
  'police.del': 'police.add',
  'guard.add': 'guard.del',
  'guard.del': 'guard.add',
  'limiter.add': 'limiter.del',
  'limiter.del': 'limiter.add',
  'meter.add': 'meter.del',
  'meter.del': 'meter.add',
  'ports.reserve': 'ports.release',
  'ports.release': 'ports.reserve',
  'localports.reserve': 'localports.release',
  'localports.release': 'localports.reserve',
  'nft.load': 'nft.drop',
  'nft.drop': 'nft.load',
} as const

/**
 * The operation that takes `op` back; undefined for one that leaves nothing to take back (an announcement, a driver that
 * has its device again, a reset), and for one that is itself a way back. A move may have given the interface another number: its inverse goes by the name, and asks for
 * the number before, by which other operations may know the interface.
 */
export function invert(op: Op): Op | undefined {
  switch (op.do) {
    case 'vf.set':
      return { ...op, set: op.was, was: op.set }
    case 'devlink.rate.set':
      return { do: op.do, handle: op.handle, set: op.was, was: op.set }
    case 'link.set':
      return { ...addressed(op), set: op.was, was: op.set }
    case 'link.move':
      return inverseMove(op)
    case 'sysctl.set':
      return { ...op, value: op.was, was: op.value }
    case 'announce':
    case 'neigh.use':
    case 'driver.rebind':
    case 'function.reset':
    case 'carried.give':
    case 'program.detach':
    case 'link.del':
    case 'link.flick':
    case 'ethtool.set':
    case 'netdev.set':
      return undefined
    default:
      return { ...op, do: opposite[op.do] } as Op
  }
}

function inverseMove({ from, name, ifindex, to, newName, newIfindex }: LinkMove): LinkMove {
  const back: LinkMove = { do: 'link.move', from: to, name: newName, to: from, newName: name }
  return {
    ...back,
    ...(newIfindex === undefined ? {} : { ifindex: newIfindex }),
    ...(ifindex === undefined ? {} : { newIfindex: ifindex }),
  }
}

function addressed({ side, name, ifindex }: LinkSet): Pick<LinkSet, 'do' | 'side' | 'name' | 'ifindex'> {
  return { do: 'link.set', side, name, ...(ifindex === undefined ? {} : { ifindex }) }
}
