/** Finds the ports on which the host's programs listen. */
import { ipFromBytes } from '../../lib/ip.ts'
import { decodeSocket, dumpSockets } from '../../netlink/diag/inet.ts'
import { AF } from '../../netlink/rtnl/const.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import { linkName, listFolder, readText } from '../../sys/files.ts'
import type { Listener } from '../api/port-users.ts'

/** State of a listening socket: TCP_LISTEN, and TCP_CLOSE for an unconnected UDP socket (net/tcp_states.h). */
const waiting = { tcp: { protocol: 6, state: 10 }, udp: { protocol: 17, state: 7 } } as const

/**
 * The listeners of a protocol on these ports. `socket` is a socket of NETLINK_SOCK_DIAG, whose kernel compares the ports itself: a node has
 * thousands of sockets. A kernel without it lists them among all connections in /proc/net. UDP sockets on ports of
 * net.ipv4.ip_local_port_range are left out: most are clients that wait for one answer.
 */
export function listenersOf(
  socket: NetlinkSocket,
  proto: 'tcp' | 'udp',
  ports: readonly number[],
): Listener[] {
  const wanted = new Set(ports)
  if (proto === 'udp') {
    const [first, last] = givenOut()
    for (const port of ports) if (port >= first && port <= last) wanted.delete(port)
  }
  if (wanted.size === 0) return []
  const all = [AF.AF_INET, AF.AF_INET6].flatMap((family) => {
    try {
      return askKernel(socket, proto, family, [...wanted])
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error
      return readTable(proto, family)
    }
  })
  return all.filter(({ port }) => wanted.has(port))
}

/** Name and process ID of a program that holds the socket, for an error message; undefined when none is visible. */
export function programWith(inode: number): string | undefined {
  const wanted = `socket:[${inode}]`
  for (const pid of listFolder('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const folder = `/proc/${pid}/fd`
      if (listFolder(folder).some((fd) => linkName(`${folder}/${fd}`) === wanted))
        return `${(readText(`/proc/${pid}/comm`) ?? '').trim()} (process ${pid})`
    } catch {
      // The process has ended meanwhile, or this process may not read its files.
    }
  }
  return undefined
}

/** Beyond so many ports the kernel is asked for all sockets: it walks through the list of ports for each socket. */
export const mostPorts = 256

function askKernel(
  socket: NetlinkSocket,
  proto: 'tcp' | 'udp',
  family: number,
  ports: readonly number[],
): Listener[] {
  const { protocol, state } = waiting[proto]
  const onPorts = ports.length > mostPorts ? undefined : ports
  return socket.dump(dumpSockets(family, protocol, 1 << state, onPorts)).map((message) => {
    const found = decodeSocket(message)
    const { idiag_src: source, idiag_sport: port } = found.id
    return {
      ...{ proto, port, inode: found.idiag_inode },
      address: ipFromBytes(family === AF.AF_INET ? source.subarray(0, 4) : source),
      v6only: found.INET_DIAG_SKV6ONLY === 1,
    }
  })
}

/** Reads /proc/net/tcp and the like: `SL: ADDRESS:PORT REMOTE STATE ... INODE`, addresses as 32-bit words in host order. */
function readTable(proto: 'tcp' | 'udp', family: number): Listener[] {
  const text = readText(`/proc/net/${proto}${family === AF.AF_INET ? '' : '6'}`) ?? ''
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const words = line.trim().split(/\s+/)
      const [address = '', port = ''] = (words[1] ?? '').split(':')
      if (Number.parseInt(words[3] ?? '', 16) !== waiting[proto].state) return []
      const bytes = new Uint8Array(address.length / 2)
      const view = new DataView(bytes.buffer)
      for (let at = 0; at < bytes.length; at += 4)
        view.setUint32(at, Number.parseInt(address.slice(at * 2, at * 2 + 8), 16), true)
      const common = { proto, address: ipFromBytes(bytes), port: Number.parseInt(port, 16) }
      return [{ ...common, v6only: false, inode: Number(words[9]) }]
    })
}

/** The first and the last port of net.ipv4.ip_local_port_range, from which the kernel picks ports for programs. */
export function givenOut(): readonly [number, number] {
  const [first, last] = (readText('/proc/sys/net/ipv4/ip_local_port_range') ?? '').trim().split(/\s+/)
  return [Number(first ?? 32_768), Number(last ?? 60_999)]
}
