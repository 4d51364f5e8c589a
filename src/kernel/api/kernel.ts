/**
 * The kernel as the plugins see it: it runs operations and answers questions about interfaces. Two sides, the plugin's
 * own network namespace (`host`) and the pod's; the pod's side exists once a namespace was given.
 */
import type { Runner } from '../../ops/apply.ts'
import type {
  BridgeVlan,
  Classifier,
  FlowFilter,
  IfbRedirect,
  MacPolicer,
  Op,
  PoliceSpec,
  PortKey,
  RouteSpec,
  RuleSpec,
  SharedPolicer,
  Side,
} from '../../ops/op.ts'
import type { ForeignNat } from '../foreign-nat/look.ts'
import type { Conflict, EveryFrame } from '../inspect/conflicts.ts'
import type { CountedRule, FilterCounters, LinkCounters } from '../inspect/counters.ts'
import type { LimitCounters } from '../inspect/limit-counters.ts'
import type { Listener } from '../inspect/listening-sockets.ts'
import type { OpenConnection } from '../inspect/open-connections.ts'
import type { LowerNetns } from '../link/other-end.ts'
import type { TcOffload } from '../link/tc-offload-flag.ts'
import type { OpenedPort } from '../nftables/map-elements.ts'
import type { GuardFacts } from '../tc/loopback-guard.ts'
import type {
  AddressFacts,
  CarriedFacts,
  LinkFacts,
  LinkPlace,
  LinkSettings,
  LinkTuning,
  MoveFacts,
  OtherEnd,
  PortRateFacts,
  Residue,
  RouteFacts,
  ShaperFacts,
  SharedPolicerFacts,
  SourceRuleFacts,
} from './facts.ts'

/** A host port, whatever it led to. */
export type FreedKey = Pick<PortKey, 'address' | 'proto' | 'port'>

/** A host port whose frames filters take past the host's stack. */
export interface SteeredPort {
  readonly cookie: string
  readonly port: number
}

/** A host port of 127.0.0.0/8, and the pod's address that it leads to. */
export interface LoopbackPort {
  readonly cookie: string
  readonly toAddress: string
}

/** The host's port map as it is: whoever flushes the node's rules takes it away, and one that is made then has another handle. */
export interface PortTable {
  /** NFTA_TABLE_HANDLE: no other table of the namespace has it, before or after. */
  readonly handle: bigint
  /** Its chains and sets: each owner has a chain. */
  readonly use: number
}

/** What became of a reservation: it stands (`made`: the handle of the table that was made for it), or was not made. */
export interface Reserved {
  readonly made?: bigint | undefined
  /** Why it was not: the table is not what the caller took it for. */
  readonly changed?: Error
}

/** What a release has freed. */
export interface Released {
  readonly keys: readonly FreedKey[]
  /** The table went with the last reservation. */
  readonly tableGone: boolean
}

/** What has become of reservations that were to be there. */
export interface Completed {
  /** undefined: there is none, because nobody has anything reserved. */
  readonly table: PortTable | undefined
  /** Owners of whom something was missing, and is there now. */
  readonly restored: readonly string[]
  /** Owners whose reservation could not be put back, each with the reason. */
  readonly refused: readonly { readonly owner: string; readonly reason: string }[]
}

/** The reservation of one attachment. */
export type Reservation = Omit<Extract<Op, { do: 'ports.reserve' | 'ports.release' }>, 'do'>

/** Where filters of ours may be: an interface, or some priorities of it. */
export interface OwnPlace {
  readonly ifindex: number
  readonly priorities?: readonly number[]
}

/** Where a filter of ours is, or was. */
export interface PlacedFilter {
  readonly ifindex: number
  readonly prio: number
  readonly handle: number
  readonly protocol: number
  /** TCA_KIND. */
  readonly kind: 'flower' | Classifier
  readonly cookie: string
}

/** One filter of ours that a look found. */
export interface OwnFilter extends PlacedFilter {
  /** It is the last filter of its slot, and goes with that: by itself it would leave a hash table. */
  readonly withSlot?: boolean
  /** As tc prints them: packets and bytes that ran through, software and hardware. */
  readonly packets: bigint
  readonly inHw: boolean
}

/** Rate limits: what is there, and what a DEL removes by what it finds. Removals succeed when there is nothing. */
export interface RateKernel {
  /**
   * The tbf of the limit with this cookie at the root of an interface; undefined when it has none, or another's. Without a cookie one
   * that a version before has made, which marked none.
   */
  shaper(side: Side, ifindex: number, cookie: string | undefined): ShaperFacts | undefined
  /** Handle of the tbf of ours at the root of an interface, of whichever attachment; undefined when there is none. */
  shapedBy(side: Side, ifindex: number): number | undefined
  /** Removes the tbf that {@link shaper} shows. */
  removeShaper(side: Side, ifindex: number, cookie: string | undefined): void
  /** What of a detour through the interface `through` is not as it was asked for; undefined when `ifindex` has no filter of ours. */
  detourDifferences(ifindex: number, through: number, spec: IfbRedirect): readonly string[] | undefined
  /** The same of a policer in the NIC. */
  policeDifferences(ifindex: number, spec: PoliceSpec): readonly string[] | undefined
  /** True when the filter is there as it was asked for, in the NIC. */
  meter(spec: MacPolicer): boolean
  /** Removes the ifb of that name; another kind of interface stays. */
  removeIfb(side: Side, name: string): void
  /** Policers that filters share whose cookie starts with `cookiePrefix` (hex). */
  limiters(cookiePrefix: string): readonly SharedPolicerFacts[]
  /** Those of the policers with these indexes that have this cookie (hex): each is asked for, and no dump. */
  limitersAt(indexes: readonly number[], cookie: string): readonly SharedPolicerFacts[]
  /** What of a policer that filters share is not as it was asked for in the NIC; none for one that is gone. */
  limiterDifferences(spec: SharedPolicer): readonly string[]
  /** Indexes of all policers of the host, whoever made them. */
  policerIndexes(): readonly number[]
  /** EPERM while filters use it. */
  removeSharedPolicer(index: number): void
  /** Rates of the devlink port behind a host interface; undefined where driver or kernel have none. */
  portRates(ifindex: number): PortRateFacts | undefined
  /** The same by the port's handle. */
  ratesOfPort(handle: string): PortRateFacts | undefined
}

/** What missingNeeds() tries out: what that is made of which a pod can ask for. */
export interface Needs {
  /** Port mappings. */
  readonly ports: boolean
  /** ... of VFs and NICs. */
  readonly steering: boolean
  /** ... that the NIC translates. */
  readonly translation: boolean
  /** ... of VFs with a representor, on addresses in a VLAN. */
  readonly tags: boolean
  /** Limits of whatever port and direction. */
  readonly rates: boolean
  /** ... as far as a shaper on an interface is all that they are made of. */
  readonly shapers: boolean
  /** ... by policers. */
  readonly police: boolean
}

/** An operation that was carried out. `handle` and `where` are what its outcome said of a filter. */
export interface DoneOp {
  readonly op: Op
  readonly handle?: number | undefined
  readonly where?: 'nic' | 'host'
}

/** Something that is not as an operation left it. */
export interface Difference {
  /** Which of the operations. */
  readonly at: number
  /** The part of it that is meant, if it has several; absent = all of it. */
  readonly expected?: string
  /** A line as of `tc`, `ip`, `nft`. */
  readonly found: string
  /** What exactly differs, where the lines alone leave one to search. */
  readonly details?: string
}

/** The two sides of a node, open for one verb. Every method is synchronous and throws what the kernel refuses. */
export interface Kernel extends Runner {
  /** The interface with this number, name or altname; undefined when there is none. `vfs` asks for the VFs below it. */
  link(side: Side, by: number | string, options?: { readonly vfs?: boolean }): LinkFacts | undefined
  /** The host's end of a veth pair whose other end is `link` of the pod; undefined where it has none that is on the host. */
  peer(link: LinkFacts): LinkFacts | undefined
  /** The other end of the pair whose first end is at `place`; undefined when there is none. The pod has no say in the answer. */
  otherEnd(place: LinkPlace): OtherEnd | undefined
  /** In which namespace the interface is that the pod's interface `link` stands on. */
  lowerNetns(link: LinkFacts): LowerNetns
  /** All interfaces of a side. */
  links(side: Side): readonly LinkFacts[]
  /** Addresses on the interface with `ifindex`, or on all. */
  addresses(side: Side, ifindex?: number): readonly AddressFacts[]
  /** What a move of the host's interface `link` into the pod, as whatever is free there, would meet. Nothing is changed. */
  lookBeforeMove(link: LinkFacts): MoveFacts
  /** What the host's interface `link` carries. */
  carried(link: LinkFacts): CarriedFacts
  /** Settings below net/ipv4/conf and net/ipv6/conf, as a look at `link` found them. */
  settings(link: LinkFacts): LinkSettings
  /** Operations that lead the host's interface `link`, as a look found it, to the settings that it had. */
  settingOps(link: LinkFacts, was: LinkSettings): readonly Op[]
  /** What may be on the host's interface `link` beside that. */
  residue(link: LinkFacts): Residue
  /** What ethtool and sysfs show of the host's interface `name`, with these files of sysfs, or with all that it has. */
  tuning(name: string, files: readonly string[] | 'all'): LinkTuning
  /** Operations that lead the host's interface `name` from one state of those to another. */
  tuningOps(name: string, was: LinkTuning, now: LinkTuning): readonly Op[]
  /** Interfaces of the pod that lie on the one with `ifindex`, which is on `side`. */
  podUppers(side: Side, ifindex: number): readonly LinkFacts[]
  /** VLANs of the bridge port with `ifindex`, by VID; none when it is no port of a bridge. */
  bridgeVlans(side: Side, ifindex: number): readonly BridgeVlan[]
  /** Unicast routes of both families in every table; in `table` alone, where it is given, or EOVERFLOW if there are too many to read. */
  routes(side: Side, table?: number): readonly RouteFacts[]
  /** Whether the main table has a default route of a family by this interface; undefined where it has too many routes to tell. */
  hasDefaultRoute(side: Side, family: 4 | 6, ifindex: number): boolean | undefined
  /** Policy rules of a family that go by the source address alone, or EOVERFLOW if there are too many to read. */
  sourceRules(side: Side, family: 4 | 6): readonly SourceRuleFacts[]
  /** Rate limits. */
  rates(): RateKernel
  /**
   * Filters on clsact or ingress of any interface of a side (`host` by default), or in `places`, whose action
   * cookie starts with `cookiePrefix` (hex), or with one of several. A dump proves presence, never absence: the kernel can
   * leave entries out when filters change meanwhile.
   */
  ownFilters(
    cookiePrefix: string | readonly string[],
    side?: Side,
    places?: readonly OwnPlace[],
  ): readonly OwnFilter[]
  /** Those of the host's filters that are there, each asked for by place and number: the others are gone, or another's now. */
  placedFilters(filters: readonly PlacedFilter[]): readonly OwnFilter[]
  /** Removes filters by what a dump said; succeeds when they are gone. */
  removeFilters(filters: readonly OwnFilter[], side?: Side): void
  /** Removes these rules and routes from the pod, by table and not by interface; succeeds when they are gone. Reads nothing. */
  removeReplies(rules: readonly RuleSpec[], routes: readonly RouteSpec[]): void
  /** Removes the rules to `table` and the routes in it, as far as they can be ours, from the pod; succeeds when there are none. */
  removeTable(table: number, priority: number): void
  /** Removes the NAT table of that name from the pod; succeeds when there is none. EPERM for one that a program there owns. */
  dropPodNat(table: string): void
  /**
   * Removes every element of the host's port map whose comment starts with `cookie`, and the table with its last one.
   * Returns the keys that are free now. `known` is the reservation if there is a record of it: it is asked for by its keys
   * then. `table` is the table if it holds the reservations of all; `incomplete`: it stays, because others may miss theirs.
   */
  releasePorts(
    cookie: string,
    known?: Omit<Reservation, 'owner'>,
    table?: PortTable | 'incomplete' | 'unknown',
  ): Released
  /** The host's port map as it is now; undefined when there is none. */
  portTable(): PortTable | undefined
  /**
   * Reserves host ports, all or none, in the table that is there or in a new one; throws PortTaken. Nothing is done, and
   * `changed` returned, where the table is not as `table` says.
   */
  reservePorts(reservation: Reservation, table: 'absent' | 'present'): Reserved
  /** Puts back what is missing of these reservations, and writes the chains anew. What others have is left. */
  completeTable(wanted: readonly Reservation[]): Completed
  /** Has the kernel forget UDP connections to these host ports; tells what fails. */
  forgetConnections(keys: readonly FreedKey[]): void
  /** Sockets of the host's programs that wait for a protocol's connections or datagrams. */
  listeners(proto: 'tcp' | 'udp'): readonly Listener[]
  /** Who else translates what comes to host ports, on the host; `keys` are all that will be asked about. */
  foreignNat(keys: readonly FreedKey[]): ForeignNat
  /** Name of a program that holds a socket; undefined when none can be seen. */
  programWith(inode: number): string | undefined
  /** Connections that are open from one of these addresses and ports: of the host's programs, and what it translates to them. */
  openConnections(keys: readonly FreedKey[]): readonly OpenConnection[]
  /** Ports that the kernel gives to no program of the host by itself (net.ipv4.ip_local_reserved_ports). */
  localPorts(): readonly number[]
  /** Host ports that filters of ours steer, by the host's table. */
  steeredPorts(): readonly SteeredPort[]
  /** Host ports of 127.0.0.0/8 that lead to pods, by the host's table. */
  loopbackPorts(): readonly LoopbackPort[]
  /** The host's interface by which it reaches `address`; undefined when it has no route. */
  interfaceTo(address: string): LinkFacts | undefined
  /** A setting below /proc/sys; undefined when this kernel does not have it. */
  sysctl(side: Side, key: string): string | undefined
  /** What a host interface has of a guard against 127.0.0.0/8 from outside. */
  guardFacts(ifindex: number): GuardFacts
  /** Cookies that begin with `prefix` (hex) of those who have host ports reserved. */
  reservedCookies(prefix: string): readonly string[]
  /** Whether the attachment with this cookie (32 digits) has host ports reserved. */
  hasReservation(cookie: string): boolean
  /** True when the interface (of the host by default) has a clsact or ingress qdisc. */
  hasIngress(ifindex: number, side?: Side): boolean
  /** Removes an interface's clsact if no filter is left on it. The caller knows whether it is ours. */
  dropEmptyClsact(ifindex: number): void
  /** True when a PF's eSwitch is in switchdev mode (devlink); false in legacy mode and for NICs without an eSwitch. */
  isSwitchdev(pci: string): boolean
  /**
   * What of these operations is not there any more, or has other content. Filters are asked for by their handles, with
   * every key, action and byte; operations that leave nothing to look at are passed over.
   */
  verify(done: readonly DoneOp[]): readonly Difference[]
  /** Who may take frames that `link` receives from filters of ours, which are to be there, before they see them. */
  conflicts(
    link: LinkFacts,
    specs: readonly FlowFilter[] | EveryFrame,
    ownPrefix: string,
  ): readonly Conflict[]
  /** True when the switch inside a NIC hands frames between its ports to the switch outside (bridge mode VEPA). */
  isVepa(ifindex: number): boolean
  /** What each of these filters has seen; undefined for one that is not there. */
  filterCounters(rules: readonly CountedRule[]): readonly (FilterCounters | undefined)[]
  /** What has passed through what an operation on a limit made; undefined when it is not there, or counts nothing. */
  limitCounters(op: Op): LimitCounters | undefined
  /** Ports of the host's port map that have the cookie, and how many connections went through each; `expected` are there. */
  openedPorts(cookie: string, expected: number): readonly OpenedPort[]
  /** What an interface has received and sent; undefined when it is not there. */
  linkCounters(side: Side, name: string): LinkCounters | undefined
  /** Whether a host interface hands filters to its NIC (`hw-tc-offload` of ethtool). */
  tcOffload(ifindex: number): TcOffload
  /**
   * What is needed and this kernel, or its `nft`, does not have: one line for each thing. Tried out where nobody sees it,
   * and nothing is left of it.
   */
  missingNeeds(wanted: Needs): readonly string[]
  /** Asks netlink for a link and, where wanted, `nft` for its version; throws when one does not answer. */
  probe(what: { readonly nft: boolean }): void
  /** Closes the sockets: an open one would keep the pod's namespace alive. */
  close(): void
}
