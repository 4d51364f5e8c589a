/**
 * The plan of port mappings: the operations on a node, their order and the reasons. Pure: config and facts in, operations out.
 * portmap/nat-choice.ts knows the wishes that a kind of port can fulfil, portmap/filters.ts the way of the frames.
 */
import { grouped } from '../../lib/grouped.ts'
import { formatCidr, ipFamily, networkOf, parseCidr } from '../../lib/ip.ts'
import type { FlowFilter, Masquerade, Op, PortKey } from '../../ops/op.ts'
import type { OffloadConfig } from '../config/config.ts'
import { refuseConditions } from '../config/portmap-compat.ts'
import type { HostAddress } from '../port/addresses.ts'
import { traitsOf } from '../port/kinds.ts'
import type { UplinkAttachment } from '../port/port.ts'
import type { Identity } from '../state/identity.ts'
import type { OffloadFacts } from './facts.ts'
import { type RuleGroup, rulesFor } from './filters.ts'
import { unaskedWhy } from './hairpin/words.ts'
import { type HostAddresses, isLoopback, localhost, portKeys, servesLocalhost } from './keys.ts'
import { type Translator, translators } from './nat-choice.ts'
import { nicNotes, reachNotes } from './plan-notes.ts'
import { podNatTable } from './pod-nat.ts'
import { directGroups, redirectAlone } from './redirect/filters.ts'
import { redirectNotes } from './redirect/notes.ts'
import { podMarkTable } from './redirect/pod-mark.ts'
import { offeredTranslators, type Way, type WayChoice, waysOf } from './redirect/ways.ts'
import { planReplies } from './reply-routing.ts'
import { sharedRules } from './shared-filters.ts'

/** Everything that is to be done for an attachment's mappings. */
export interface OffloadPlan {
  readonly keys: readonly PortKey[]
  /** The place where addresses and ports are translated. */
  readonly nat: Translator
  /** The form of the rules that the NIC is asked for. */
  readonly way: Way
  /** Before the rules: the reservation, the pod's part, qdiscs. */
  readonly ops: readonly Op[]
  readonly groups: readonly RuleGroup[]
  /** Rules that the NIC is not asked for, whatever becomes of the others. */
  readonly inSoftware?: readonly RuleGroup[]
  /** The NIC is not asked for any rule. */
  readonly unoffered?: true
  /** Why a form that the driver might take is not offered: said beside the driver's refusal of this one. */
  readonly hindrance?: string
  /** The driver that is asked, where it is known. */
  readonly driver?: string
  /** The rules must be in the NIC: a refusal is an error, or under `nat: auto` the reason for another plan. */
  readonly hardwareOnly: boolean
  /** Facts an operator should know about this plan: limits, and what was left out. */
  readonly notes: readonly string[]
}

/**
 * The plans of an ADD, best first: the second is for when the NIC refuses the first. The reservation comes first: it is
 * the one thing that another ADD can refuse us. Then the pod, then the filters that bring it traffic, those for replies
 * before those for requests, so that no client meets a half-made mapping.
 * @throws CniError 7 for what the port can't give, and for addresses that can't be served
 */
export function planPorts(config: OffloadConfig, facts: OffloadFacts, identity: Identity): OffloadPlan[] {
  const { port } = facts
  const keys = portKeys(
    config.mappings,
    facts.podAddresses.map(({ ip }) => ip),
    hostSide(config, facts),
  )
  refuseConditions(config, keys)
  const choices = translators(config, port, keys, facts.driver)
  if (keys.length === 0) {
    const notes = ['no mapping fits an address family of the pod']
    return [{ keys, nat: 'pod', way: 'rewrite', ops: [], groups: [], hardwareOnly: false, notes }]
  }
  const replies = planReplies(facts, identity)
  const served = hostSide(config, facts).served
  const { wire } = port
  const { nats, notes: passedOver } = offeredTranslators(choices.nat, facts.driver)
  const plan = (nat: Translator, { way, unoffered, notes, hindrance }: WayChoice): OffloadPlan => ({
    ...{ keys, nat, way },
    ops: [
      {
        ...{ do: 'ports.reserve', keys, masquerade: masquerades(config, facts, keys), owner: identity.owner },
        ...(port.wire === undefined ? {} : { steered: true }),
      },
      ...(nat === 'pod' ? [podNat(keys, identity)] : []),
      ...(way === 'redirect' ? [podMark(keys, port.name, identity)] : []),
      ...replies.ops,
      ...(wire === undefined ? [] : qdiscs(wire)),
    ],
    ...(wire === undefined
      ? { groups: [] }
      : groupsOf(config, facts, wire, served, identity, keys, nat, way)),
    ...((wire?.representor === undefined && way !== 'hairpin') || unoffered ? { unoffered: true } : {}),
    ...(hindrance === undefined ? {} : { hindrance }),
    hardwareOnly: nat === 'nic' || config.offload === 'require',
    notes: [
      ...replies.notes,
      ...choices.notes,
      ...passedOver,
      ...notes,
      ...(way === 'redirect' ? redirectNotes(config, facts, identity) : []),
      ...(nat === 'nic' ? nicNotes(config) : []),
      ...reachNotes(config, facts, keys),
      ...loopbackNotes(config, facts, keys),
    ],
  })
  const { offload } = config
  const vlans = keys.map(({ address }) => vlanAt(served, address))
  const { driver } = facts
  const isWire = wire !== undefined && wire.representor === undefined
  const isHairpin = isWire && offload !== 'off' && unaskedWhy(config, port, driver) === undefined
  const isLimited = facts.isLimited === true
  return nats.flatMap((nat) => {
    const ways = isHairpin ? [hairpin] : waysOf(nat, { port, driver, offload, vlans, isLimited })
    return ways.map((way) => plan(nat, way))
  })
}

const hairpin: WayChoice = { way: 'hairpin', notes: [] }

/** The host's addresses on which this port's mappings can be served. */
function hostSide(
  config: OffloadConfig,
  { port, hostAddresses, servedLocally }: OffloadFacts,
): HostAddresses {
  const { wire } = port
  const isServedAtLocalhost = servesLocalhost(config, port)
  const isServed = ({ vlan }: HostAddress) =>
    wire === undefined || wire.representor !== undefined || vlan === wire.vlan
  return {
    served: hostAddresses.filter(isServed),
    elsewhere: hostAddresses.filter((address) => !isServed(address)),
    vlan: wire?.vlan ?? 0,
    uplink: wire?.uplink.name,
    localhost: (mapping) => isServedAtLocalhost && servedLocally?.has(mapping) !== true,
  }
}

const everyone = { 4: '0.0.0.0/0', 6: '::/0' } as const

/**
 * The clients whose source address the host replaces where it translates. For a veth: the pod itself and its neighbours, whose
 * replies would not pass the host (all with masqAll). For all others everybody who comes through the host's stack (its own
 * programs, pods behind bridges, fragments): replies from a wire of its own would not come back this way. From 127.0.0.1
 * nobody gets an answer without.
 */
function masquerades(
  { snat, masqAll }: OffloadConfig,
  { port, podAddresses }: OffloadFacts,
  keys: readonly PortKey[],
): Masquerade[] {
  const isOpen = masqAll || !traitsOf(port.kind).isPair
  const subnets = grouped(
    podAddresses.map((one) => formatCidr(networkOf(parseCidr(one.address)))),
    ipFamily,
  )
  return keys.flatMap(({ address, proto, port: hostPort }) => {
    const family = ipFamily(address)
    const own = isOpen ? [everyone[family]] : [...new Set(subnets.get(family))]
    const sources = snat ? own : []
    if (isLoopback(address) && !sources.includes(everyone[family])) sources.push('127.0.0.0/8')
    return sources.map((source) => ({ source, address, proto, port: hostPort }))
  })
}

function loopbackNotes(
  config: OffloadConfig,
  { port, servedLocally = new Map() }: OffloadFacts,
  keys: readonly PortKey[],
): string[] {
  const kept = [...servedLocally].map(
    ([{ proto, hostPort }, program]) =>
      `${proto} port ${hostPort} of ${localhost} stays with ${program}, which listens there`,
  )
  const key = servesLocalhost(config, port) ? undefined : keys.find(({ address }) => isLoopback(address))
  if (key === undefined) return kept
  return [
    ...kept,
    `hostIP ${key.address}: without localhost true only programs that use another source address reach the pod`,
  ]
}

/** A qdisc that is there is used and, on DEL, left: it is somebody else's. */
function qdiscs(wire: UplinkAttachment): Op[] {
  const { uplink, representor } = wire
  return [
    ...(wire.uplinkHasIngress ? [] : [uplink]),
    ...(representor === undefined || wire.representorHasIngress ? [] : [representor]),
  ].map(({ name: link, ifindex }) => ({ do: 'clsact.add', side: 'host', link, ifindex }))
}

function podNat(keys: readonly PortKey[], identity: Identity): Op {
  return { do: 'nft.load', side: 'pod', table: identity.podTable, text: podNatTable(identity.podTable, keys) }
}

function podMark(keys: readonly PortKey[], link: string, { podTable: table }: Identity): Op {
  const text = podMarkTable(table, link, keys)
  return { do: 'nft.load', side: 'pod', family: 'netdev', table, text }
}

/** The groups of these keys. `served` are the node's addresses that serve ports on this wire. */
function groupsOf(
  { directSubnets }: OffloadConfig,
  facts: OffloadFacts,
  wire: UplinkAttachment,
  served: readonly HostAddress[],
  { cookie }: Identity,
  keys: readonly PortKey[],
  nat: Translator,
  way: Way,
): Pick<OffloadPlan, 'groups' | 'inSoftware'> {
  const { port } = facts
  const vlanOf = (wanted: string) => vlanAt(served, wanted)
  const isHairpin = way === 'hairpin'
  const groups = new Map<string, RuleGroup & { readonly rules: FlowFilter[] }>()
  // Frames for the host's loopback never come by the uplink.
  for (const key of keys.filter(({ address }) => !isLoopback(address))) {
    const mapping = `${key.proto} ${key.port} -> ${key.toPort}`
    const context = { port, wire, vlan: vlanOf(key.address), cookie, nat, directSubnets, isHairpin }
    const rules = rulesFor(key, context)
    // Without representors no rule needs another one: a NIC may take those of one EtherType alone.
    const name = isHairpin ? `${mapping} ${rules[0]?.prio}` : mapping
    const group = groups.get(name) ?? { mapping, rules: [] }
    group.rules.push(...rules)
    groups.set(name, group)
  }
  const nodeAddresses = served.map(({ address }) => address)
  const shared = sharedRules(keys, { port, wire, cookie, nat, directSubnets, nodeAddresses, vlanOf })
  const named = (mapping: string, rules: readonly FlowFilter[]) =>
    rules.length === 0 ? [] : [{ mapping, rules }]
  const mapped = [...groups.values()]
  return {
    groups:
      way === 'redirect'
        ? [...mapped.map(redirectAlone), ...directGroups(keys, directSubnets, facts, wire, cookie)]
        : // Before those of the mappings: no reply to the node may leave by the wire meanwhile.
          [...named(passing, shared.nic), ...mapped],
    inSoftware: named('fragments', shared.host),
  }
}

/** VLAN in which the uplink carries an address, 0 = untagged. */
function vlanAt(served: readonly HostAddress[], wanted: string): number {
  return served.find(({ address }) => address === wanted)?.vlan ?? 0
}

/** The purpose of rules of no mapping. */
const passing = 'replies to the node and to VFs of the same card'
