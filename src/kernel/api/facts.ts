/** The kernel's answers about interfaces, in plain values: the vocabulary between kernel/ and the plans. */
import type {
  BridgeVlan,
  CarriedItem,
  EthtoolPart,
  LinkTraits,
  PortRates,
  VfAttributes,
  XdpMode,
} from '../../ops/op.ts'

/** One network interface, from RTM_GETLINK. MTU in bytes; MACs lower case. */
export interface LinkFacts {
  readonly ifindex: number
  readonly name: string
  readonly altnames: readonly string[]
  readonly mac: string
  /** IFLA_PERM_ADDRESS; undefined when the driver has none. */
  readonly permanentMac: string | undefined
  readonly mtu: number
  /** Administratively up (IFF_UP). */
  readonly up: boolean
  /** IFLA_IFALIAS; '' = none. */
  readonly alias: string
  /** The wishes of user space (IFF_PROMISC, IFF_ALLMULTI), without those that a bridge or a capture adds. */
  readonly promisc: boolean
  readonly allmulti: boolean
  /** In packets. */
  readonly txqlen: number
  /** ARPHRD_* of linux/if_arp.h: 1 is Ethernet. */
  readonly type?: number
  /** Other attributes that can be set and stay with the interface. */
  readonly traits?: LinkTraits
  /** IFLA_PROMISCUITY: how many want the interface to hear everything, user space, masters and what lies on it. */
  readonly promiscuity?: number
  readonly carrier: boolean
  /** ifindex of the bridge, bond or VRF it is enslaved to. */
  readonly master: number | undefined
  /** ifindex of the interface below it (VLAN, macvlan, veth peer). */
  readonly lower: number | undefined
  /** Number of the namespace that the interface below it is in, if that is another one. */
  readonly lowerNetns?: number
  /** IFLA_INFO_KIND: `vlan`, `veth`, `bridge`; undefined for hardware. */
  readonly kind: string | undefined
  /** VLAN id of a `vlan` interface whose frames have an 802.1Q tag. */
  readonly vlanId: number | undefined
  /** IFLA_INFO_SLAVE_KIND: of what its master is, `bridge`, `bond`, `openvswitch`. */
  readonly slaveKind: string | undefined
  /** Kind of the root qdisc: `noqueue`, `mq`, `tbf`; `noop` for one that was never up. */
  readonly qdisc?: string
  /** IFLA_INFO_SLAVE_DATA as it came: what its master keeps for it. */
  readonly slaveData?: Uint8Array
  /** IFLA_AF_SPEC as it came: settings of both families. */
  readonly afSpec?: Uint8Array
  /** Numbers of the XDP programs on it. */
  readonly xdp: readonly number[]
  /** The same with the place of each. */
  readonly xdpIn?: readonly XdpFacts[]
  /** The bus address of the device behind it (IFLA_PARENT_DEV_NAME, Linux 5.14), also visible inside a pod. */
  readonly parent: string | undefined
  /** The bus of `parent` (IFLA_PARENT_DEV_BUS_NAME): `pci`, `virtio`, `auxiliary`. */
  readonly parentBus: string | undefined
  /** IFLA_PHYS_SWITCH_ID, hex: equal for all ports of one eSwitch. */
  readonly physSwitchId: string | undefined
  /** IFLA_PHYS_PORT_ID, hex: equal for all functions of one port. Few drivers tell it. */
  readonly physPortId?: string
  /** IFLA_PHYS_PORT_NAME: `p0` for an uplink, `pf0vf3` or `p0pf0vf3` for a representor. */
  readonly physPortName: string | undefined
  /** Present when asked for: attributes of the VFs below a PF, by VF index. */
  readonly vfs: ReadonlyMap<number, VfAttributes> | undefined
}

/** An interface of any namespace. */
export interface LinkPlace {
  readonly ifindex: number
  /** The number that the host has for the namespace (IFLA_LINK_NETNSID as seen from the host), or hostNetns of lib/host-netns.ts. */
  readonly netns: number
}

/** The other end of a pair, as the kernel shows it beside the first one. */
export interface OtherEnd {
  readonly ifindex: number
  readonly where: 'host' | 'pod' | 'elsewhere'
  /** The number that the host has for its namespace; undefined for the host's own, and for one that is ending. */
  readonly netns: number | undefined
  /** IFLA_INFO_KIND of the first end. */
  readonly kind: string | undefined
}

/** An XDP program on an interface. */
export interface XdpFacts {
  readonly mode: XdpMode
  readonly program: number
}

/** Things on an interface of the host that RTM_GETLINK does not show. */
export interface Residue {
  /** Programs of tcx. */
  readonly tcx: readonly { readonly hook: 'ingress' | 'egress'; readonly program: number }[]
  /** Why nothing else can take the interface's frames; undefined where that is free, and where it has a master. */
  readonly occupied?: string
}

/** Settings of ethtool and sysfs that a pod can change and that stay with the interface. */
export interface LinkTuning {
  /** The kernel's numbers, hex; absent where the driver has none. */
  readonly ethtool: { readonly [K in EthtoolPart]?: string | undefined }
  /** Files below /sys/class/net/NAME. */
  readonly files: Readonly<Record<string, string>>
}

/** Settings of an interface below net/ipv4/conf and net/ipv6/conf: arrays of 32-bit numbers, hex. */
export interface LinkSettings {
  readonly v4?: string | undefined
  readonly v6?: string | undefined
}

/** An address on an interface, CIDR form. `scope` as in linux/rtnetlink.h, 0 = global. */
export interface AddressFacts {
  readonly ifindex: number
  readonly address: string
  readonly scope: number
  /** Of IPv6: one of those that the kernel makes anew every day (privacy extensions). */
  readonly temporary?: true
  /** Of IPv6: somebody else on the link has it, so that it is not used (IFA_F_DADFAILED). */
  readonly duplicate?: true
}

/** Obstacles and losses of a move of an interface into the pod. */
export interface MoveFacts {
  /** Why the kernel would not move it, in its words. */
  readonly refusal: Error | undefined
  /** Kinds of the qdiscs that somebody has given it, which a move destroys; the kernel's own are none. */
  readonly qdiscs: readonly string[]
  /** It is down, no port of anything, and has no address but the link-local one of IPv6: it has no routes, and hardly anything else that a move would take. */
  readonly isBare: boolean
}

/** Addresses, routes and other things that an interface carries. */
export interface CarriedFacts {
  /** In the order in which they are given back. */
  readonly items: readonly CarriedItem[]
  /** Its VLANs as a port of a bridge, none where somebody has taken it out of all; undefined for what is no such port. */
  readonly vlans: readonly BridgeVlan[] | undefined
  /** Addresses of all scopes but the link's own, CIDR form. */
  readonly globals: readonly string[]
  /** Default routes by it, in any table. */
  readonly defaults: readonly string[]
  /** Routes by other interfaces too, and nexthop objects with their routes: nobody could give back its part alone. */
  readonly shared: readonly string[]
  /** Routes by other interfaces that have one of its addresses as their source. */
  readonly sources: readonly string[]
}

/** A tbf of ours at the root of an interface, as the kernel has it: bytes/s and bytes. */
export interface ShaperFacts {
  readonly bytesPerSecond: number
  /** From the kernel's ticks: up to a tick's worth of bytes beside what was asked for. */
  readonly burst: number
  readonly limit: number
}

/** A policer of ours that filters share. `users` counts the filters. */
export interface SharedPolicerFacts {
  readonly index: number
  readonly cookie: string
  readonly bytesPerSecond: number
  readonly burst: number
  readonly users: number
}

/** The devlink port behind an interface, `handle` as `pci/0000:3b:00.0/65539`, and what its leaf is limited to. */
export interface PortRateFacts extends PortRates {
  readonly handle: string
}

/** A unicast route that leaves by one interface. `dst` is `0.0.0.0/0` or `::/0` for a default route. */
export interface RouteFacts {
  readonly dst: string
  readonly gw: string | undefined
  readonly ifindex: number | undefined
  readonly table: number
  readonly metric: number
  /** As in linux/rtnetlink.h, where it is another one than that of all addresses (0); none for IPv6. */
  readonly scope?: number
  /** In bytes, where the route has its own. */
  readonly mtu?: number
  readonly advmss?: number
  /** The gateway is taken for a neighbour, whatever the addresses say. */
  readonly onlink?: true
}

/** A policy rule that goes by the source address alone: `from SRC lookup TABLE`. `src` in CIDR form. */
export interface SourceRuleFacts {
  readonly src: string
  readonly table: number
}
