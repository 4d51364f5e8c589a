/**
 * Finds open connections from an address and port of the host: sockets of the host's programs, and connections of others that the
 * host masquerades to that address and port. A flow filter for the port would take the replies to these connections.
 */
import { ipFamily, ipFromBytes } from '../../lib/ip.ts'
import { decodeSocket, dumpSockets, localPortOf } from '../../netlink/diag/inet.ts'
import type { Request } from '../../netlink/message.ts'
import {
  type Connection,
  decodeConnection,
  dumpRepliesOf,
  dumpRepliesTo,
  TCP_CONNTRACK,
} from '../../netlink/nf/conntrack.ts'
import { AF } from '../../netlink/rtnl/const.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { Proto } from '../../ops/op.ts'
import { readText } from '../../sys/files.ts'
import type { Endpoint, OpenConnection } from '../api/port-users.ts'
import type { FreedKey } from '../api/reservations.ts'
import { givenOut, mostPorts } from './listening-sockets.ts'

const protocols = { tcp: 6, udp: 17, sctp: 132 } as const
/**
 * States of sockets (net/tcp_states.h) that wait for packets from the other end. TCP: all but TIME_WAIT, CLOSE and LISTEN. UDP:
 * connected (1) or not (7).
 */
const states = {
  tcp: [1, 2, 3, 4, 5, 8, 9, 11, 12].reduce((sum, state) => sum | (1 << state), 0),
  udp: (1 << 1) | (1 << 7),
} as const
const notConnected = 7

/**
 * All connections that are open from the keys. `diag` is a socket of NETLINK_SOCK_DIAG. `conntrack` runs its argument with a socket
 * of NETLINK_NETFILTER, and returns nothing where the kernel has none. Unconnected UDP sockets count only on ports of
 * net.ipv4.ip_local_port_range, where they wait for answers. On other ports they are listeners.
 */
export function openConnections(
  diag: NetlinkSocket,
  conntrack: (action: (socket: NetlinkSocket) => OpenConnection[]) => OpenConnection[],
  keys: readonly FreedKey[],
): OpenConnection[] {
  const of = (proto: Proto) => keys.filter((key) => key.proto === proto)
  return [
    ...socketsOn(diag, 'tcp', of('tcp')),
    ...socketsOn(diag, 'udp', of('udp')),
    ...conntrack((socket) => translatedTo(socket, keys)),
  ]
}

function socketsOn(socket: NetlinkSocket, proto: 'tcp' | 'udp', keys: readonly FreedKey[]): OpenConnection[] {
  const ports = new Set(keys.map(({ port }) => port))
  if (ports.size === 0) return []
  const [first, last] = givenOut()
  const asked = ports.size > mostPorts ? undefined : [...ports]
  // Both families are read: a socket of IPv6 may have a connection of IPv4.
  return [AF.AF_INET, AF.AF_INET6].flatMap((family) =>
    socket
      .dump(dumpSockets(family, protocols[proto], states[proto], asked))
      .filter((message) => ports.has(localPortOf(message)))
      .map(decodeSocket)
      .flatMap((found): OpenConnection[] => {
        const { idiag_src, idiag_dst, idiag_sport, idiag_dport } = found.id
        const text = (bytes: Uint8Array) =>
          ipFromBytes(family === AF.AF_INET ? bytes.subarray(0, 4) : bytes).replace(/^::ffff:(?=.*\.)/, '')
        const isOpen = proto === 'tcp' || found.idiag_state !== notConnected
        if (!isOpen && (idiag_sport < first || idiag_sport > last)) return []
        const local = { address: text(idiag_src), port: idiag_sport }
        if (isOpen && !keys.some((key) => isAt(key, local))) return []
        return [
          {
            ...{ proto, local, inode: found.idiag_inode, v6only: found.INET_DIAG_SKV6ONLY === 1 },
            peer: isOpen ? { address: text(idiag_dst), port: idiag_dport } : undefined,
          },
        ]
      }),
  )
}

function isAt(key: Endpoint, { address, port }: Endpoint): boolean {
  return key.port === port && key.address === address
}

/**
 * Masqueraded connections: the replies go to a key, and the original source is another address. For each dump the kernel walks
 * through its whole table, which takes milliseconds.
 */
function translatedTo(socket: NetlinkSocket, keys: readonly FreedKey[]): OpenConnection[] {
  const count = readText('/proc/sys/net/netfilter/nf_conntrack_count')
  // Without a tracked connection the kernel translates none.
  if (keys.length === 0 || count === undefined || count.trim() === '0') return []
  return questions(keys)
    .flatMap((question) => socket.dump(question).map(decodeConnection))
    .filter((one) => !isOver(one))
    .flatMap((one) => translated(one, keys) ?? [])
}

/** The dumps: one per family and port, or one per address (one in all for IPv6), whichever are fewer. */
function questions(keys: readonly FreedKey[]): Request[] {
  const familyOf = ({ address }: FreedKey) => (ipFamily(address) === 4 ? AF.AF_INET : AF.AF_INET6)
  const ports = new Map(keys.map((key) => [`${familyOf(key)} ${key.proto} ${key.port}`, key]))
  const addresses = new Map(keys.map((key) => [familyOf(key) === AF.AF_INET ? key.address : 'IPv6', key]))
  if (ports.size <= addresses.size)
    return [...ports.values()].map((key) => dumpRepliesTo(familyOf(key), protocols[key.proto], key.port))
  return [...addresses.values()].map((key) => dumpRepliesOf(familyOf(key), key.address))
}

function isOver({ CTA_PROTOINFO: info }: Connection): boolean {
  const state = info?.CTA_PROTOINFO_TCP?.CTA_PROTOINFO_TCP_STATE
  return state !== undefined && (Object.values(TCP_CONNTRACK) as number[]).includes(state)
}

function translated(
  { CTA_TUPLE_ORIG: original, CTA_TUPLE_REPLY: reply }: Connection,
  keys: readonly FreedKey[],
): OpenConnection | undefined {
  const [source, peer, local] = [endOf(original, 'SRC'), endOf(reply, 'SRC'), endOf(reply, 'DST')]
  const number = reply?.CTA_TUPLE_PROTO?.CTA_PROTO_NUM
  const key = keys.find((one) => local !== undefined && isAt(one, local) && protocols[one.proto] === number)
  // A connection of a host program is left out: its socket is found by socketsOn().
  if (source === undefined || local === undefined || key === undefined || isAt(source, local))
    return undefined
  return { proto: key.proto, local, peer, source }
}

function endOf(tuple: Connection['CTA_TUPLE_ORIG'], end: 'SRC' | 'DST'): Endpoint | undefined {
  const { CTA_TUPLE_IP: ip, CTA_TUPLE_PROTO: proto } = tuple ?? {}
  const [address, port] =
    end === 'SRC'
      ? [ip?.CTA_IP_V4_SRC ?? ip?.CTA_IP_V6_SRC, proto?.CTA_PROTO_SRC_PORT]
      : [ip?.CTA_IP_V4_DST ?? ip?.CTA_IP_V6_DST, proto?.CTA_PROTO_DST_PORT]
  return address === undefined || port === undefined ? undefined : { address, port }
}
