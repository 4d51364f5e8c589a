/** Others who use host ports: programs of the host, its open connections, and who else translates. */
import type { PortKey, Proto } from '../../ops/op.ts'
import type { FreedKey } from './reservations.ts'

/** A socket that listens on a port. `address` is `0.0.0.0` or `::` for all addresses of its family. */
export interface Listener {
  readonly proto: 'tcp' | 'udp'
  readonly address: string
  readonly port: number
  /** True for a socket of IPv6 that does not accept IPv4 (IPV6_V6ONLY). */
  readonly v6only: boolean
  /** Number of the socket, as in /proc/PID/fd. */
  readonly inode: number
}

/** One end of a connection. */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** A connection that is open from a key. */
export interface OpenConnection {
  readonly proto: Proto
  /** Address and port of a key. An unconnected UDP socket may have `0.0.0.0` or `::` and the port of a key. */
  readonly local: Endpoint
  /** The other end; undefined for an unconnected UDP socket. */
  readonly peer: Endpoint | undefined
  /** The original source of a masqueraded connection, which the host replaces by `local`; absent for the host's own. */
  readonly source?: Endpoint
  /** Number of the socket, as in /proc/PID/fd; 0 for a socket that no program holds any more. */
  readonly inode?: number
  /** True for a socket of IPv6 that does not accept IPv4 (IPV6_V6ONLY). */
  readonly v6only?: boolean
}

/** Foreign NAT: rules and services of others that take connections to host ports. */
export interface ForeignNat {
  /** The sign that kube-proxy gives out node ports on this node; undefined where there is none. */
  readonly kubeProxy: string | undefined
  /** The rule or service that takes connections to a key, as text; undefined when none does. */
  taker(key: FreedKey): string | undefined
  /** The losses of a mapped port. `isHosts`: the host table translates the port, at its priority among all chains. */
  losses(key: PortKey, isHosts: boolean): Losses
  /** Rules on the paths that cannot be read, and that do not name the port. */
  unread(): readonly string[]
}

/** Packets to a mapped port that do not reach the pod. */
export interface Losses {
  /** The rule or service that takes nearly every packet, as text; undefined when none does. */
  readonly all: string | undefined
  /** Rules that take some packets, by sender, interface, mark or chance. */
  readonly some: readonly string[]
}

/** Questions about the other users of host ports. */
export interface PortUserKernel {
  /** Sockets of the host's programs that wait for a protocol's connections or datagrams on one of `ports`. */
  listeners(proto: 'tcp' | 'udp', ports: readonly number[]): readonly Listener[]
  /** Name of a program that holds a socket; undefined when none can be seen. */
  programWith(inode: number): string | undefined
  /** Connections that are open from one of these addresses and ports: of the host's programs, and those that it translates to them. */
  openConnections(keys: readonly FreedKey[]): readonly OpenConnection[]
  /** Others on the host that translate packets to host ports; `keys` are all that will be asked about. */
  foreignNat(keys: readonly FreedKey[]): ForeignNat
}
