/** Others who use host ports: programs of the host, its open connections, and who else translates. */
import type { PortKey, Proto } from '../../ops/op.ts'
import type { FreedKey } from './reservations.ts'

/** A socket that takes what comes to a port. `address` is `0.0.0.0` or `::` for all of its family. */
export interface Listener {
  readonly proto: 'tcp' | 'udp'
  readonly address: string
  readonly port: number
  /** A socket on `::` that leaves IPv4 alone. */
  readonly v6only: boolean
  /** Number of the socket, as in /proc/PID/fd. */
  readonly inode: number
}

/** An address and port. */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** A connection that is open from a key. */
export interface OpenConnection {
  readonly proto: Proto
  /** A key, or for a UDP socket that is not connected `0.0.0.0` or `::` and its port. */
  readonly local: Endpoint
  /** The other end; undefined for a UDP socket that is not connected. */
  readonly peer: Endpoint | undefined
  /** The end that opened it, where that is not the host; its address and port are replaced by `local`. */
  readonly source?: Endpoint
  /** Number of the socket, as in /proc/PID/fd; 0 for one that no program has any more. */
  readonly inode?: number
  /** A socket on `::` that leaves IPv4 alone. */
  readonly v6only?: boolean
}

/** Rules and services of others that take connections to host ports. */
export interface ForeignNat {
  /** The sign that kube-proxy gives out node ports on this node; undefined where there is none. */
  readonly kubeProxy: string | undefined
  /** The rule or service that takes connections to a key, in words; undefined when none does. */
  taker(key: FreedKey): string | undefined
  /** Connections that others take of a port that is mapped; `isHosts`: the host's table translates it, in its turn among all chains. */
  losses(key: PortKey, isHosts: boolean): Losses
  /** Rules that were met and can't be read, and that do not name the port. */
  unread(): readonly string[]
}

/** Packets that do not come to the pod although their port is mapped. */
export interface Losses {
  /** The rule or service that takes nearly every packet, in words; undefined when none does. */
  readonly all: string | undefined
  /** Rules that take the packets of some senders: it depends on the sender, an interface, a mark or chance. */
  readonly some: readonly string[]
}

/** Questions about the other users of host ports. */
export interface PortUserKernel {
  /** Sockets of the host's programs that wait for a protocol's connections or datagrams. */
  listeners(proto: 'tcp' | 'udp'): readonly Listener[]
  /** Name of a program that holds a socket; undefined when none can be seen. */
  programWith(inode: number): string | undefined
  /** Connections that are open from one of these addresses and ports: of the host's programs, and those that it translates to them. */
  openConnections(keys: readonly FreedKey[]): readonly OpenConnection[]
  /** Others on the host that translate packets to host ports; `keys` are all that will be asked about. */
  foreignNat(keys: readonly FreedKey[]): ForeignNat
}
