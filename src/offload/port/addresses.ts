/** The host's addresses: on an uplink with the VLANs, bridges and bonds above it, or on all of the node. */
import type { AddressFacts, LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { parseCidr } from '../../lib/ip.ts'
import { filtersVlans, tagProtocol } from '../../nic/netdev.ts'

/** An address of the node, and the VLAN in which the uplink carries it (0 = untagged). */
export interface HostAddress {
  readonly address: string
  readonly link: string
  readonly vlan: number
  /** The address is gone within a day or a week: only a config that names it gets it. */
  readonly temporary?: true
}

/** Interfaces that take all frames of the ports below them; a VRF does not, its ports keep their addresses. */
const stacked: ReadonlySet<string> = new Set(['bridge', 'bond', 'team'])

/** An interface that can hold an address, and the VLAN in which its frames are on the uplink (0 = untagged). */
interface Holder {
  readonly link: LinkFacts
  readonly vlan: number
}

/** The families of which addresses are asked for. */
const bothFamilies = [4, 6] as const

/**
 * Global addresses on the uplink and above it. One address can be there twice, in two VLANs. `known` are those of the host,
 * where the caller has asked for them already.
 */
export function uplinkAddresses(
  kernel: Kernel,
  uplink: LinkFacts,
  known: readonly AddressFacts[] = kernel.nodeAddresses(bothFamilies),
): HostAddress[] {
  const all = globalAddresses(known)
  return holders(around(kernel), { link: uplink, vlan: 0 }).flatMap(({ link, vlan }) =>
    all.filter(({ ifindex }) => ifindex === link.ifindex).map((one) => hostAddress(one, link.name, vlan)),
  )
}

/**
 * Global addresses of the node, as they are now. Those on interfaces that are down are not its own: kube-proxy (IPVS) keeps
 * the addresses of services on one. `known` as above.
 */
export function nodeAddresses(
  kernel: Kernel,
  known: readonly AddressFacts[] = kernel.nodeAddresses(bothFamilies),
): HostAddress[] {
  const all = globalAddresses(known)
  const up = new Map<number, string>()
  for (const link of kernel.linksAt([...new Set(all.map(({ ifindex }) => ifindex))]))
    if (link.up) up.set(link.ifindex, link.name)
  return all.flatMap((one) => {
    const link = up.get(one.ifindex)
    return link === undefined ? [] : [hostAddress(one, link, 0)]
  })
}

function hostAddress({ address, temporary }: AddressFacts, link: string, vlan: number): HostAddress {
  const found = { address: parseCidr(address).ip, link, vlan }
  return temporary === true ? { ...found, temporary } : found
}

function globalAddresses(known: readonly AddressFacts[]): AddressFacts[] {
  return known.filter(({ scope, duplicate }) => scope === 0 && duplicate !== true)
}

/** The questions about what is above an interface. */
interface Around {
  readonly kernel: Kernel
  /** All VLANs of the host. */
  vlans(): readonly LinkFacts[]
}

function around(kernel: Kernel): Around {
  let vlans: readonly LinkFacts[] | undefined
  return {
    kernel,
    vlans: () => {
      vlans ??= kernel.linksOfKind('vlan')
      return vlans
    },
  }
}

function holders(node: Around, from: Holder): Holder[] {
  const { kernel } = node
  // A second tag would have to be matched too: addresses in a VLAN within a VLAN are not served.
  const vlans = from.vlan === 0 ? node.vlans().filter(({ lower }) => lower === from.link.ifindex) : []
  // Nor those behind service tags (802.1ad), of which nobody knows an ordinary VLAN.
  const tagged = vlans.flatMap((link) => (link.vlanId === undefined ? [] : [{ link, vlan: link.vlanId }]))
  const { master: number } = from.link
  const master = number === undefined ? undefined : kernel.link('host', number)
  const above = master?.kind === undefined || !stacked.has(master.kind) ? [] : overPort(node, from, master)
  return [from, ...above, ...tagged.flatMap((holder) => holders(node, holder))]
}

/** The interface that `port` belongs to, and what is above it, with VLANs as that port carries them. */
function overPort(node: Around, port: Holder, master: LinkFacts): Holder[] {
  const { kernel } = node
  if (master.kind !== 'bridge' || !filtersVlans(master.name))
    return holders(node, { link: master, vlan: port.vlan })
  const onPort = kernel.bridgeVlans('host', port.link.ifindex)
  const own = kernel.bridgeVlans('host', master.ifindex).find(({ pvid }) => pvid)?.vid
  // The bridge's own frames are in its own PVID, those of an interface above it in that one's VLAN; neither may pass a
  // port that is not in it.
  const carried = (vid: number | undefined): number | undefined => {
    const vlan = onPort.find((candidate) => candidate.vid === vid)
    return vlan === undefined ? undefined : vlan.untagged ? port.vlan : isOrdinary ? vlan.vid : undefined
  }
  // One that goes by service tags has no other VLANs that a frame with an ordinary tag could be of.
  const isOrdinary = tagProtocol(master.name) !== '0x88a8'
  return holders(node, { link: master, vlan: 0 }).flatMap((holder) => {
    if (holder.vlan !== 0 && !isOrdinary) return []
    const vlan = carried(holder.vlan === 0 ? own : holder.vlan)
    return vlan === undefined ? [] : [{ ...holder, vlan }]
  })
}
