/** The addresses, routes and announcement of an ADD, as operations in the pod. Pure. */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import { contains, ipFamily, parseCidr } from '../../lib/ip.ts'
import type { AttachConfig } from '../config/config.ts'
import type { PlannedOp } from './planned.ts'

/** The decisions of an address manager about the pod's interface. */
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
): PlannedOp[] {
  const ops: PlannedOp[] = []
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
 * Announces the addresses. One packet socket could announce all, but closing a packet socket costs an RCU grace period of 10-30 ms
 * (packet_release). So the kernel is told to ask for the pod's own address, which neighbours hear as an announcement. The kernel asks by
 * the first address of a subnet alone. The other addresses need frames of ours.
 */
function planAnnouncement(
  { name: link, ifindex, mac }: AddressedLink,
  addresses: readonly string[],
  wish: AttachConfig['announce'],
): PlannedOp[] {
  const frames = (list: readonly string[], how: NonNullable<AttachConfig['announce']>): PlannedOp[] =>
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
      (address): PlannedOp => ({ do: 'neigh.use', side: 'pod', link, ifindex, address: bare(address) }),
    ),
    ...frames(
      v4.filter((address) => !byKernel.includes(address)),
      { count: 1, intervalMs: 0, carrierMs: 200 },
    ),
  ]
}

function setOne(key: string): PlannedOp {
  return { do: 'sysctl.set', side: 'pod', key, value: '1', was: '0', mayFail: true }
}

function bare(cidr: string): string {
  return cidr.slice(0, cidr.indexOf('/'))
}
