/** Traits of an interface: the less known attributes that the interface keeps when it moves to another namespace. */
import type { Link, LinkRequest } from '../../netlink/rtnl/link.ts'
import type { LinkTraits } from '../../ops/op.ts'
import type { XdpFacts } from '../api/facts.ts'

/**
 * IFF_DEBUG, NOTRAILERS, NOARP, MULTICAST, PORTSEL, AUTOMEDIA and DYNAMIC of linux/if.h. __dev_change_flags()
 * (net/core/dev.c) sets these flags beside IFF_UP, IFF_PROMISC and IFF_ALLMULTI.
 */
const settableFlags = 0x4 | 0x20 | 0x80 | 0x1000 | 0x2000 | 0x4000 | 0x8000

/** The traits of an interface. */
export function traitsOf(link: Link): LinkTraits {
  return {
    flags: link.ifi_flags & settableFlags,
    mode: link.IFLA_LINKMODE,
    group: link.IFLA_GROUP,
    broadcast: link.IFLA_BROADCAST,
    protoDown: link.IFLA_PROTO_DOWN === undefined ? undefined : link.IFLA_PROTO_DOWN !== 0,
    // Read for a dummy alone, whose carrier user space sets. Other kinds report the carrier of a wire.
    carrier: link.IFLA_LINKINFO?.IFLA_INFO_KIND === 'dummy' ? link.IFLA_CARRIER === 1 : undefined,
    gsoMaxSize: link.IFLA_GSO_MAX_SIZE,
    gsoMaxSegs: link.IFLA_GSO_MAX_SEGS,
    groMaxSize: link.IFLA_GRO_MAX_SIZE,
    gsoIpv4MaxSize: link.IFLA_GSO_IPV4_MAX_SIZE,
    groIpv4MaxSize: link.IFLA_GRO_IPV4_MAX_SIZE,
  }
}

const noReason = { IFLA_PROTO_DOWN_REASON_MASK: 0xffff_ffff, IFLA_PROTO_DOWN_REASON_VALUE: 0 }

/** A request that sets traits, without the ifindex. IFF_UP, IFF_PROMISC and IFF_ALLMULTI stay as they are. */
export function traitsRequest(set: LinkTraits): LinkRequest {
  const { flags, mode, group, broadcast, protoDown, carrier } = set
  const all: { readonly [K in keyof LinkRequest]: LinkRequest[K] | undefined } = {
    ...(flags === undefined ? {} : { ifi_flags: flags, ifi_change: settableFlags }),
    ...(group === undefined ? {} : { IFLA_GROUP: group }),
    ...(broadcast === undefined ? {} : { IFLA_BROADCAST: broadcast }),
    ...(carrier === undefined ? {} : { IFLA_CARRIER: carrier ? 1 : 0 }),
    ...(mode === undefined ? {} : { IFLA_LINKMODE: mode }),
    ...(protoDown === undefined ? {} : { IFLA_PROTO_DOWN: protoDown ? 1 : 0 }),
    // The reasons go too: the kernel refuses to end proto_down while a reason is set.
    ...(protoDown === false ? { IFLA_PROTO_DOWN_REASON: noReason } : {}),
    IFLA_GSO_MAX_SIZE: set.gsoMaxSize,
    IFLA_GSO_MAX_SEGS: set.gsoMaxSegs,
    // The limits of IPv4 come last: the kernel overwrites them with the limits of all protocols.
    IFLA_GRO_MAX_SIZE: set.groMaxSize,
    IFLA_GSO_IPV4_MAX_SIZE: set.gsoIpv4MaxSize,
    IFLA_GRO_IPV4_MAX_SIZE: set.groIpv4MaxSize,
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as LinkRequest
}

/** The XDP programs of an interface, at most one for each mode. */
export function xdpOf(found: Link['IFLA_XDP']): readonly XdpFacts[] {
  if (found === undefined) return []
  const modes = [
    ['skb', found.IFLA_XDP_SKB_PROG_ID],
    ['drv', found.IFLA_XDP_DRV_PROG_ID],
    ['hw', found.IFLA_XDP_HW_PROG_ID],
  ] as const
  return modes.flatMap(([mode, program]) =>
    program === undefined || program === 0 ? [] : [{ mode, program }],
  )
}
