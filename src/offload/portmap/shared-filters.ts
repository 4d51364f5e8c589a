/**
 * Rules on a pod's representor that no single mapping has, and all share: what fragments become, and with `nat: nic` what
 * goes to the node and to other pods of the card, which must not be translated. Pure.
 */
import { ipFamily } from '../../lib/ip.ts'
import type { FlowFilter, PortKey } from '../../ops/op.ts'
import { neighbourMacs } from '../port/neighbours.ts'
import type { Port, UplinkAttachment } from '../port/port.ts'
import { filterPriority } from '../state/identity.ts'
import { on } from './filters.ts'
import { isLoopback } from './keys.ts'
import type { Translator } from './nat-choice.ts'

/** The facts of the filters beside the keys. */
export interface SharedContext {
  readonly port: Port
  readonly wire: UplinkAttachment
  readonly cookie: string
  readonly nat: Translator
  readonly directSubnets: readonly string[]
  /** The node's addresses on the uplink and above it. */
  readonly nodeAddresses: readonly string[]
  /** VLAN in which the uplink carries an address, 0 = untagged. */
  vlanOf(address: string): number
}

/** Rules that must be in the NIC, as the mappings' own are, and those of software whatever the NIC takes. */
export interface SharedRules {
  readonly nic: readonly FlowFilter[]
  readonly host: readonly FlowFilter[]
}

/** The rules for these keys; none where there is no representor. */
export function sharedRules(all: readonly PortKey[], context: SharedContext): SharedRules {
  const keys = all.filter(({ address }) => !isLoopback(address))
  if (context.wire.representor === undefined) return { nic: [], host: [] }
  if (context.nat !== 'nic') return { nic: [], host: fragmentsOut(keys, context) }
  const nic = untranslated(keys, context)
  return { nic, host: [...fragmentsOf(nic), ...fragmentsKept(keys, context)] }
}

/**
 * The pod translates: each fragment of a datagram that it sends has the node's address, and nothing else that the pod sends
 * has. No port is needed to know them, and no NIC: they miss all its rules.
 */
function fragmentsOut(keys: readonly PortKey[], { wire, cookie, vlanOf }: SharedContext): FlowFilter[] {
  const addresses = new Set(keys.filter(({ proto }) => proto === 'udp').map(({ address }) => address))
  return [...addresses].map((address) => {
    const vlan = vlanOf(address)
    return {
      ...onRepresentor(wire),
      out: on(wire.uplink),
      prio: filterPriority[ipFamily(address)],
      ...{ address, proto: 'udp', side: 'src', fragments: 'only' },
      srcMac: wire.uplink.mac,
      ...(vlan === 0 ? {} : { push: vlan }),
      cookie,
    }
  })
}

/**
 * Frames of the pod to the node, which has reached it by the host's stack, and to VFs of the same card, which the wire would
 * not bring back: they go their usual way as they are. Those VFs are known by their MACs, since nobody knows their addresses. By
 * rules of the pod's address and not of its ports, so that there are few.
 */
function untranslated(
  keys: readonly PortKey[],
  { port, wire, cookie, nodeAddresses }: SharedContext,
): FlowFilter[] {
  const macs = neighbourMacs(port)
  return podAddresses(keys).flatMap((address): FlowFilter[] => {
    const family = ipFamily(address)
    const rule: FlowFilter = {
      ...onRepresentor(wire),
      prio: filterPriority[family === 4 ? 'untranslated4' : 'untranslated6'],
      ...{ address, side: 'src', verdict: 'pass', cookie },
    }
    const peers = [...new Set(nodeAddresses.filter((one) => ipFamily(one) === family))]
    return [
      ...peers.map((one) => ({ ...rule, peer: `${one}/${family === 4 ? 32 : 128}` })),
      ...macs.map((mac) => ({ ...rule, mac })),
    ]
  })
}

/** The same for fragments in software, which is not asked for what the NIC does. */
function fragmentsOf(rules: readonly FlowFilter[]): FlowFilter[] {
  return rules.map((rule) => ({ ...rule, fragments: 'only' }))
}

/**
 * Nobody can translate the fragments of a datagram without connections, and with the pod's address they must not leave the
 * card: they go nowhere, unless they are for somebody of the direct networks.
 */
function fragmentsKept(
  keys: readonly PortKey[],
  { wire, cookie, directSubnets }: SharedContext,
): FlowFilter[] {
  const protos = new Map(keys.map(({ toAddress, proto }) => [`${toAddress} ${proto}`, { toAddress, proto }]))
  const direct = podAddresses(keys).flatMap((address) => {
    const family = ipFamily(address)
    const prio = filterPriority[family === 4 ? 'direct4' : 'direct6']
    const rule = { ...onRepresentor(wire), prio, address, side: 'src', fragments: 'only' } as const
    return directSubnets
      .filter((peer) => ipFamily(peer) === family)
      .map((peer): FlowFilter => ({ ...rule, peer, verdict: 'pass', cookie }))
  })
  const dropped = [...protos.values()].map(({ toAddress: address, proto }): FlowFilter => {
    const prio = filterPriority[ipFamily(address)]
    const rule = { ...onRepresentor(wire), prio, address, proto, side: 'src', fragments: 'only' } as const
    return { ...rule, verdict: 'drop', cookie }
  })
  return [...direct, ...dropped]
}

function podAddresses(keys: readonly PortKey[]): string[] {
  return [...new Set(keys.map(({ toAddress }) => toAddress))]
}

function onRepresentor({ representor, uplink }: UplinkAttachment): ReturnType<typeof on> {
  return on(representor ?? uplink)
}
