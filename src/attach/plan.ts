/**
 * The page a reviewer reads: what `vf-attach` does to a node, in which order and why. Pure: config and facts in,
 * operations out; no clock, no kernel.
 */

import type { LinkFacts } from '../kernel/api/facts.ts'
import { contains, ipFamily, parseCidr } from '../lib/ip.ts'
import { pick } from '../lib/pick.ts'
import type { LinkAttributes, Op, VfAttributes } from '../ops/op.ts'
import type { AttachConfig } from './config/config.ts'
import type { AttachFacts, VfFacts } from './device/facts.ts'

/**
 * Operations of an ADD up to IPAM.
 *
 * PF side first: a VF's driver may refuse or lose a MAC that its PF does not know yet. Then one request that moves and
 * renames, so that no udev rule ever sees a foreign name on the host. The first operation changes little but carries
 * the interface's whole old state, so that a rollback restores the MAC last, after the PF side (drivers refuse a VF's
 * own MAC change while the PF's old setting stands). `podIfindex` is the number that the interface gets in the pod, by
 * which every operation there knows it: a name in a pod is the pod's to give.
 */
export function planAdd(config: AttachConfig, facts: AttachFacts, ifname: string, podIfindex?: number): Op[] {
  const ops: Op[] = []
  const { vf } = facts
  const link = facts.port?.link
  // By number: udev may rename an interface between our look and our change.
  const host =
    link === undefined ? undefined : ({ side: 'host', name: link.name, ifindex: link.ifindex } as const)
  if (link !== undefined && host !== undefined) {
    const was = { mac: link.mac, mtu: link.mtu, up: link.up }
    const released = facts.port?.master === undefined ? {} : { master: facts.port.master }
    ops.push({ do: 'link.set', ...host, set: link.up ? { up: false } : {}, was: { ...was, ...released } })
    if (vf !== undefined && config.mac !== undefined && config.mac !== link.mac) {
      // Some drivers (igb) let a VF set its own MAC only as long as the PF has set none. Where that is refused too,
      // the last operation asks again, and the kernel side knows one more way.
      const mac = { set: { mac: config.mac }, was: { mac: link.mac } }
      ops.push({ do: 'link.set', ...host, ...mac, mayFail: true })
    }
  }
  if (vf !== undefined) {
    const set = wishedVf(config, vf.attributes)
    const was = pick(vf.attributes, set)
    if (Object.keys(set).length > 0) ops.push({ do: 'vf.set', pf: vf.pfName, vf: vf.index, set, was })
    ops.push(...planRepresentor(config, facts, vf, config.mtu ?? link?.mtu))
  }
  if (link === undefined || host === undefined) return ops
  if (link.altnames.includes(ifname)) {
    // The kernel moves the interface and only then finds the new name taken, by the interface's own altname.
    ops.push({ do: 'altname.del', ...host, altname: ifname })
  }
  const inPod = podIfindex ?? link.ifindex
  const move = { from: 'host', name: link.name, ifindex: link.ifindex, to: 'pod', newName: ifname } as const
  ops.push({ do: 'link.move', ...move, newIfindex: inPod })
  const set: LinkAttributes = {
    ...(config.mac === undefined ? {} : { mac: config.mac }),
    ...(config.mtu === undefined ? {} : { mtu: config.mtu }),
    up: true,
  }
  const place = { side: 'pod', name: ifname, ifindex: inPod } as const
  ops.push({ do: 'link.set', ...place, set, was: { up: false }, ifDifferent: true })
  return ops
}

/** The VF's other end in the eSwitch: up, as large as the pod's interface and, if wanted, a port of a bridge. */
function planRepresentor(
  config: AttachConfig,
  { bridgeVlan = 0 }: AttachFacts,
  vf: VfFacts,
  mtu: number | undefined,
): Op[] {
  if (vf.representor === undefined) return []
  const { link, master } = vf.representor
  const place = { side: 'host', name: link.name, ifindex: link.ifindex } as const
  const joins = config.bridge !== undefined && config.bridge.name !== master ? config.bridge.name : undefined
  const set: LinkAttributes = {
    ...(mtu === undefined || mtu === link.mtu ? {} : { mtu }),
    ...(joins === undefined ? {} : { master: joins }),
    ...(link.up ? {} : { up: true }),
  }
  const was = { mtu: link.mtu, master: master ?? '', up: link.up }
  const ops: Op[] = []
  if (Object.keys(set).length > 0) ops.push({ do: 'link.set', ...place, set, was: pick(was, set) })
  const vlan = joins === undefined ? undefined : config.bridge?.vlan
  if (vlan !== undefined) {
    const port = { side: 'host', link: link.name } as const
    const own = { pvid: true, untagged: true }
    // A new port is in the bridge's default VLAN, from which the pod has to be kept.
    if (bridgeVlan !== 0 && bridgeVlan !== vlan)
      ops.push({ do: 'bridge.vlan.del', ...port, vlan: { vid: bridgeVlan, ...own } })
    ops.push({ do: 'bridge.vlan.add', ...port, vlan: { vid: vlan, ...own } })
  }
  return ops
}

/** What an address manager decided, as far as it concerns the pod's interface. */
export interface Addressing {
  readonly addresses: readonly string[]
  readonly routes: readonly {
    readonly dst: string
    readonly gw?: string | undefined
    readonly mtu?: number | undefined
    readonly advmss?: number | undefined
    readonly priority?: number | undefined
    readonly table?: number | undefined
    readonly scope?: number | undefined
  }[]
  /** First gateway per family: the CNI spec lets a route leave its gateway out and mean this one. */
  readonly gateway4: string | undefined
  readonly gateway6: string | undefined
}

/** The first gateway of each family. */
export function gatewaysOf(
  ips: readonly { readonly gateway?: string | undefined }[],
): Pick<Addressing, 'gateway4' | 'gateway6'> {
  const gateway = (family: 4 | 6) =>
    ips.find((ip) => ip.gateway !== undefined && ipFamily(ip.gateway) === family)?.gateway
  return { gateway4: gateway(4), gateway6: gateway(6) }
}

/** The pod's interface as operations name it: by its number, whatever its name is by then. */
export type AddressedLink = Pick<LinkFacts, 'name' | 'ifindex' | 'mac'>

/** Operations of an ADD after IPAM: addresses, then routes in the order given, then the announcement. */
export function planAddressing(
  { name: ifname, ifindex, mac }: AddressedLink,
  addressing: Addressing,
  announce: AttachConfig['announce'],
): Op[] {
  const ops: Op[] = []
  const isWanted = announce?.count !== 0
  if (addressing.addresses.some((address) => address.includes(':'))) {
    // By the name: nothing in the kernel gives these settings a number. A pod that renames its interfaces just now gets them
    // on another one of its own.
    // Runtimes may switch IPv6 off by default. Usable at once while duplicate address detection still runs (RFC 4429).
    // Both settings go with the interface.
    const conf = `net/ipv6/conf/${ifname}`
    // The kernel announces an address when the detection has passed; before, nobody may (see kernel/ip/announce.ts).
    ops.push({ do: 'sysctl.set', side: 'pod', key: `${conf}/disable_ipv6`, value: '0', was: '0' })
    ops.push(setOne(`${conf}/optimistic_dad`))
    if (isWanted) ops.push(setOne(`${conf}/ndisc_notify`))
  }
  // Tells neighbours again whenever the interface goes up.
  if (isWanted && addressing.addresses.some((address) => !address.includes(':'))) {
    ops.push(setOne(`net/ipv4/conf/${ifname}/arp_notify`))
  }
  const place = { side: 'pod', link: ifname, ifindex } as const
  for (const address of addressing.addresses) ops.push({ do: 'addr.add', ...place, address })
  for (const route of addressing.routes) {
    const gw = route.gw ?? (route.dst.includes(':') ? addressing.gateway6 : addressing.gateway4)
    ops.push({
      do: 'route.add',
      side: 'pod',
      route: {
        dst: route.dst,
        link: ifname,
        ifindex,
        ...(gw === undefined ? {} : { gw }),
        ...(route.mtu === undefined ? {} : { mtu: route.mtu }),
        ...(route.advmss === undefined ? {} : { advmss: route.advmss }),
        ...(route.priority === undefined ? {} : { metric: route.priority }),
        ...(route.table === undefined ? {} : { table: route.table }),
        ...(route.scope === undefined ? {} : { scope: route.scope }),
      },
    })
  }
  ops.push(...planAnnouncement({ name: ifname, ifindex, mac }, addressing.addresses, announce))
  return ops
}

/**
 * A packet socket would do for all, but closing one costs an RCU grace period of 10-30 ms (packet_release). So the kernel
 * asks for the pod's own address; it asks by the first address of a subnet, hence frames for the others.
 */
function planAnnouncement(
  { name: link, ifindex, mac }: AddressedLink,
  addresses: readonly string[],
  wish: AttachConfig['announce'],
): Op[] {
  const frames = (list: readonly string[], how: NonNullable<AttachConfig['announce']>): Op[] =>
    list.length === 0 || how.count === 0
      ? []
      : [{ do: 'announce', link, ifindex, mac, addresses: list.map(bare), ...how }]
  if (wish !== undefined) return frames(addresses, wish)
  const v4 = addresses.filter((address) => !address.includes(':'))
  const isFirst = (address: string, at: number) =>
    !v4.slice(0, at).some((earlier) => contains(parseCidr(earlier), parseCidr(address).ip))
  const byKernel = v4.filter(isFirst)
  return [
    ...byKernel.map(
      (address): Op => ({ do: 'neigh.use', side: 'pod', link, ifindex, address: bare(address) }),
    ),
    ...frames(
      v4.filter((address) => !byKernel.includes(address)),
      { count: 1, intervalMs: 0, carrierMs: 200 },
    ),
  ]
}

function setOne(key: string): Op {
  return { do: 'sysctl.set', side: 'pod', key, value: '1', was: '0', mayFail: true }
}

/** The PF-side attributes to ask for: every wish, even an equal one, so that a driver confirms all of them. */
export function wishedVf(config: AttachConfig, now: VfAttributes): VfAttributes {
  if (config.rate === undefined) return config.vf
  // One request sets both halves; the one that was not asked for keeps what an operator may have set.
  const { min, max } = config.rate
  return { ...config.vf, rate: { min: min ?? now.rate?.min ?? 0, max: max ?? now.rate?.max ?? 0 } }
}

function bare(cidr: string): string {
  return cidr.slice(0, cidr.indexOf('/'))
}
