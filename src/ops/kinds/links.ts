/** Operations on interfaces and their devices: attributes, names, moves, VFs of a PF, ports of a bridge. */
import type { Side } from './common.ts'

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

/** Other attributes of an interface that stay with it in every namespace (IFLA_* of linux/if_link.h). Absent = not known. */
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

/** A VLAN of a bridge port: `pvid` = untagged frames that come in get it, `untagged` = frames leave without tag. */
export interface BridgeVlan {
  readonly vid: number
  readonly pvid: boolean
  readonly untagged: boolean
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

/** An operation on an interface or its device. */
export type LinkOp =
  | { do: 'vf.set'; pf: string; vf: number; set: VfAttributes; was: VfAttributes }
  | LinkMove
  | LinkSet
  | { do: 'altname.add' | 'altname.del'; side: Side; name: string; ifindex?: number; altname: string }
  | { do: 'bridge.vlan.add' | 'bridge.vlan.del'; side: Side; link: string; vlan: BridgeVlan }
  /** Takes a PCI function from its driver and gives it back, so that its interface starts anew on the host. */
  | { do: 'driver.rebind'; pci: string; driver: string }
  /** A function level reset of a PCI function that nobody uses. */
  | { do: 'function.reset'; pci: string }
