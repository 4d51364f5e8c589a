// Interfaces in the words of `ip -d -j link`: the output of our decoder, and the part of ip's output that both know. In: a decoded
// message, or an object of ip. Out: objects to compare.

import type { Came } from '../../hack/lab/driver/client.ts'
import { IFF } from '../../src/netlink/rtnl/link.ts'

const flagNames = {
  LOOPBACK: IFF.IFF_LOOPBACK,
  BROADCAST: IFF.IFF_BROADCAST,
  NOARP: IFF.IFF_NOARP,
  UP: IFF.IFF_UP,
  LOWER_UP: IFF.IFF_LOWER_UP,
} as const
const operStates = ['UNKNOWN', 'NOTPRESENT', 'DOWN', 'LOWERLAYERDOWN', 'TESTING', 'DORMANT', 'UP']

/** A decoded link in the words of `ip -d -j link`, without the parts that have no codec. */
export function asIpShows({ value }: Came, names: ReadonlyMap<unknown, unknown>): Record<string, unknown> {
  const info = value.IFLA_LINKINFO as Record<string, unknown> | undefined
  const data = info?.IFLA_INFO_DATA as Record<string, unknown> | undefined
  const bits = value.ifi_flags as number
  return comparable({
    ifindex: value.ifi_index,
    ifname: value.IFLA_IFNAME,
    link: names.get(value.IFLA_LINK),
    master: names.get(value.IFLA_MASTER),
    flags: Object.entries(flagNames).flatMap(([name, bit]) => (bits & bit ? [name] : [])),
    mtu: value.IFLA_MTU,
    qdisc: value.IFLA_QDISC,
    operstate: operStates[value.IFLA_OPERSTATE as number],
    txqlen: value.IFLA_TXQLEN,
    address: value.IFLA_ADDRESS,
    broadcast: value.IFLA_BROADCAST,
    group: value.IFLA_GROUP === 0 ? 'default' : String(value.IFLA_GROUP),
    promiscuity: value.IFLA_PROMISCUITY,
    allmulti: value.IFLA_ALLMULTI,
    min_mtu: value.IFLA_MIN_MTU,
    max_mtu: value.IFLA_MAX_MTU,
    num_tx_queues: value.IFLA_NUM_TX_QUEUES,
    num_rx_queues: value.IFLA_NUM_RX_QUEUES,
    gso_max_size: value.IFLA_GSO_MAX_SIZE,
    tso_max_size: value.IFLA_TSO_MAX_SIZE,
    gro_ipv4_max_size: value.IFLA_GRO_IPV4_MAX_SIZE,
    ifalias: value.IFLA_IFALIAS,
    altnames: value.IFLA_PROP_LIST,
    ...(info === undefined
      ? {}
      : {
          linkinfo: {
            info_kind: info.IFLA_INFO_KIND,
            ...(info.IFLA_INFO_KIND === 'vlan'
              ? {
                  info_data: {
                    protocol: data?.IFLA_VLAN_PROTOCOL === 0x88a8 ? '802.1ad' : '802.1Q',
                    id: data?.IFLA_VLAN_ID,
                  },
                }
              : {}),
          },
        }),
  })
}

const fields =
  `ifindex ifname link master flags mtu qdisc operstate txqlen address broadcast group promiscuity allmulti
  min_mtu max_mtu num_tx_queues num_rx_queues gso_max_size tso_max_size gro_ipv4_max_size ifalias altnames`.split(
    /\s+/,
  )

/** The part of a link that both sides know. */
export function comparable(link: Record<string, unknown>): Record<string, unknown> {
  const { linkinfo, flags } = link as {
    linkinfo?: { info_kind: string; info_data?: { protocol: string; id: number } }
    flags: string[]
  }
  const { protocol, id } = linkinfo?.info_kind === 'vlan' ? (linkinfo.info_data ?? {}) : {}
  return {
    ...Object.fromEntries(fields.filter((key) => link[key] !== undefined).map((key) => [key, link[key]])),
    flags: flags.filter((flag) => flag in flagNames).sort(),
    kind: linkinfo?.info_kind,
    protocol,
    id,
  }
}
