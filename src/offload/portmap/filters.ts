/**
 * The filters of one mapping on the uplink and the representor. The filters that all mappings of a pod share are in
 * portmap/shared-filters.ts. Pure.
 */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import { ipFamily } from '../../lib/ip.ts'
import type { FlowFilter, PortKey } from '../../ops/op.ts'
import { traitsOf } from '../port/kinds.ts'
import type { Port, UplinkAttachment } from '../port/port.ts'
import { filterPriority } from '../state/identity.ts'
import type { Translator } from './nat-choice.ts'

/** The rules of one mapping, or what several share: all of them run in the NIC or none does. */
export interface RuleGroup {
  /** The mapping for people, `tcp 8080 -> 80`, or what else the rules are for. */
  readonly mapping: string
  readonly rules: readonly FlowFilter[]
  /** The rules in software, where they are others: none for traffic that the host's stack forwards by itself. */
  readonly software?: readonly FlowFilter[]
}

/** The facts of a key's filters beside the key. */
export interface FilterContext {
  readonly port: Port
  readonly wire: UplinkAttachment
  /** VLAN in which the uplink carries the key's address, 0 = untagged. */
  readonly vlan: number
  readonly cookie: string
  readonly nat: Translator
  readonly directSubnets: readonly string[]
  /** The NIC is asked for rules that send a frame back by its own port. */
  readonly isHairpin?: boolean
}

/** The rules of one key, in the order in which they are added. */
export function rulesFor(key: PortKey, context: FilterContext): FlowFilter[] {
  const { representor } = context.wire
  if (traitsOf(context.port.kind).isOnUplink) return [ownRule(key, context)]
  return representor === undefined ? [wireRule(key, context)] : representorRules(key, context, representor)
}

/**
 * For an interface on top of the uplink: the frame gets the pod's MAC and goes on. Filters see a frame before the kernel looks for the
 * macvlan with its MAC (__netif_receive_skb_core() of net/core/dev.c), and the frame never leaves the node, so its source stays.
 */
function ownRule(key: PortKey, { port, wire, cookie }: FilterContext): FlowFilter {
  return {
    ...{ ...on(wire.uplink), prio: filterPriority[ipFamily(key.address)], ...matching(key) },
    ...{ dstMac: port.mac, verdict: 'pass', cookie },
  }
}

/**
 * Without representors: the frame goes back to the wire. Both MACs are rewritten: the destination so that the NIC's own
 * switch (or, for a NIC of its own, the one outside) delivers it to the pod, the source because a client's MAC sent from
 * here would move that client on the switches outside.
 */
function wireRule(key: PortKey, { port, wire, vlan, cookie, isHairpin }: FilterContext): FlowFilter {
  return {
    ...on(wire.uplink),
    prio: vlan === 0 ? filterPriority[ipFamily(key.address)] : filterPriority.vlan,
    ...matching(key),
    // Software reads ports of no fragment; a NIC may find them in the first one.
    ...(isHairpin === true ? whole : {}),
    ...(vlan === 0 ? {} : { vlan }),
    dstMac: port.mac,
    srcMac: wire.uplink.mac,
    cookie,
  }
}

/**
 * In switchdev mode. Requests come in by the uplink and go to the representor's VF; replies come in by the representor
 * and go out with the uplink's MAC. `nat: nic` translates on the way, both ways; hosts of the direct networks pass as
 * they are, by rules that come before. A frame that is part of a datagram in fragments is for none of them, since a NIC
 * that finds the port in the first fragment would part it from the others: all take their way through the host's stack.
 */
function representorRules(
  key: PortKey,
  { port, wire, vlan, cookie, nat, directSubnets }: FilterContext,
  representor: LinkFacts,
): FlowFilter[] {
  const { uplink } = wire
  const family = ipFamily(key.address)
  const untag = vlan === 0 ? {} : { vlan, pop: true }
  const tag = vlan === 0 ? {} : { push: vlan }
  const toVf = { ...on(uplink), out: on(representor), ...untag, cookie }
  const toWire = { ...on(representor), out: on(uplink), ...tag, cookie }
  const macs = { dstMac: port.mac, srcMac: uplink.mac }
  const pod = { address: key.toAddress, proto: key.proto, port: key.toPort, ...whole }
  const host = { ...matching(key), ...whole }
  const inPrio = vlan === 0 ? filterPriority[family] : filterPriority.vlan
  const outPrio = filterPriority[family]
  const outside = { address: key.address, port: key.port }
  if (nat === 'pod') {
    return [
      { ...toWire, prio: outPrio, ...host, side: 'src', srcMac: uplink.mac },
      { ...toVf, prio: inPrio, ...host, ...macs },
    ]
  }
  const direct = directSubnets
    .filter((subnet) => ipFamily(subnet) === family)
    .flatMap((peer): FlowFilter[] => {
      const prio = filterPriority[family === 4 ? 'direct4' : 'direct6']
      return [
        { ...toWire, prio, ...pod, side: 'src', peer },
        { ...toVf, prio: vlan === 0 ? prio : filterPriority.directVlan, ...pod, peer },
      ]
    })
  return [
    ...direct,
    { ...toWire, prio: outPrio, ...pod, side: 'src', srcMac: uplink.mac, to: outside },
    { ...toVf, prio: inPrio, ...host, ...macs, to: { address: key.toAddress, port: key.toPort } },
  ]
}

const whole = { fragments: 'none' } as const

/** The place of a filter on an interface. */
export function on({ name, ifindex }: LinkFacts): { readonly link: string; readonly ifindex: number } {
  return { link: name, ifindex }
}

function matching({ address, proto, port }: PortKey): Pick<FlowFilter, 'address' | 'proto' | 'port'> {
  return { address, proto, port }
}
