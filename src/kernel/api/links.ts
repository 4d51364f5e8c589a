/** Interfaces: what the plugins ask of them, on both sides. */
import type { BridgeVlan, Side } from '../../ops/op.ts'
import type { Passed } from './counters.ts'
import type { LinkFacts, LinkPlace, MoveFacts, OtherEnd } from './facts.ts'
import type { EswitchMode, NetworkLink } from './network-facts.ts'

/** The host's number of another namespace, hostNetns of lib/host-netns.ts, or: the pod's own, or one that the kernel can't tell. */
export type LowerNetns = number | 'pod' | 'unknown'

/**
 * The mode of an eSwitch by devlink. `untold`: the kernel or the driver has no devlink, or the driver has no such operation, and then
 * devlink answers without a mode (devlink_nl_eswitch_fill() of net/devlink/dev.c). `unsupported`: the driver refuses the question
 * (EOPNOTSUPP), as some do where another system manages the eSwitch.
 */
export type EswitchState = EswitchMode | 'untold' | 'unsupported'

/** Counters of an interface. */
export interface LinkCounters {
  readonly received: Passed
  readonly sent: Passed
  /** Packets that it dropped on the way in and out. */
  readonly dropped: bigint
}

/** Questions about interfaces. */
export interface LinkKernel {
  /** The interface with this number, name or altname; undefined when there is none. `vfs` asks for the VFs below it. */
  link(side: Side, by: number | string, options?: { readonly vfs?: boolean }): LinkFacts | undefined
  /** All interfaces of a side. */
  links(side: Side): readonly LinkFacts[]
  /** The host's interfaces with these numbers, as far as there are any. */
  linksAt(ifindexes: readonly number[]): readonly LinkFacts[]
  /** The host's interfaces on the eSwitch with this number (hex), and perhaps others, as far as their places tell. */
  eswitchPorts(switchId: string): readonly NetworkLink[]
  /** The host's interfaces of a kind. */
  linksOfKind(kind: 'vlan' | 'ifb'): readonly LinkFacts[]
  /** The host's end of a veth pair whose other end is `link` of the pod; undefined where it has none that is on the host. */
  peer(link: LinkFacts): LinkFacts | undefined
  /** The other end of the pair whose first end is at `place`; undefined when there is none. The pod has no say in the answer. */
  otherEnd(place: LinkPlace): OtherEnd | undefined
  /** The namespace of the interface that the pod's interface `link` stands on. */
  lowerNetns(link: LinkFacts): LowerNetns
  /** Interfaces of the pod that lie on the one with `ifindex`, which is on `side`. */
  podUppers(side: Side, ifindex: number): readonly LinkFacts[]
  /** Obstacles and losses of a move of the host's interface `link` into the pod, as whatever is free there. Nothing is changed. */
  lookBeforeMove(link: LinkFacts): MoveFacts
  /** VLANs of the bridge port with `ifindex`, by VID; none when it is no port of a bridge. */
  bridgeVlans(side: Side, ifindex: number): readonly BridgeVlan[]
  /** True when the switch inside a NIC hands frames between its ports to the switch outside (bridge mode VEPA). */
  isVepa(ifindex: number): boolean
  /** The mode of a PF's eSwitch. */
  eswitch(pci: string): EswitchState
  /** True when {@link eswitch} is `switchdev`. */
  isSwitchdev(pci: string): boolean
  /** Counters of an interface; undefined when it is not there. */
  linkCounters(side: Side, name: string): LinkCounters | undefined
  /**
   * What the PF with this number counts for one of its `numVfs` VFs, as the VF sees the directions; undefined where its driver counts
   * for none, and where it has more VFs than the kernel shows counters of.
   */
  vfCounters(pf: number, vf: number, numVfs: number): LinkCounters | undefined
}
