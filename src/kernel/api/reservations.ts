/** Host ports that attachments have reserved: the host's port map in nftables, and the ports that no program gets. */
import type { Op, PortKey, TableFamily } from '../../ops/op.ts'

/** A host port, whatever it led to. */
export type FreedKey = Pick<PortKey, 'address' | 'proto' | 'port'>

/** The reservation of one attachment. */
export type Reservation = Omit<Extract<Op, { do: 'ports.reserve' | 'ports.release' }>, 'do'>

/** A host port whose frames filters take past the host's stack. */
export interface SteeredPort {
  readonly cookie: string
  readonly port: number
}

/** A host port of 127.0.0.0/8, and the pod's address that it leads to. */
export interface LoopbackPort {
  readonly cookie: string
  readonly toAddress: string
}

/** A reserved port with the number of connections that were opened to it: undefined in a map that does not count. */
export interface OpenedPort extends FreedKey {
  readonly opened: bigint | undefined
}

/** As {@link OpenedPort}, with the cookie of its owner (32 hexadecimal digits). */
export interface OwnedPort extends OpenedPort {
  readonly cookie: string
}

/** The host's port map as it is: whoever flushes the node's rules takes it away, and one that is made then has another handle. */
export interface PortTable {
  /** NFTA_TABLE_HANDLE: no other table of the namespace has it, before or after. */
  readonly handle: bigint
  /** Its chains and sets: each owner has a chain. */
  readonly use: number
}

/** The result of a reservation: it stands (`made`: the handle of the table that was made for it), or was not made. */
export interface Reserved {
  readonly made?: bigint | undefined
  /** The reason why it was not made: the table is not what the caller took it for. */
  readonly changed?: Error
}

/** The result of a release. */
export interface Released {
  /** Ports that are free now. */
  readonly keys: readonly FreedKey[]
  /** The table went with the last reservation. */
  readonly tableGone: boolean
}

/** The result of a repair: reservations were to be there. */
export interface Completed {
  /** undefined: there is none, because nobody has anything reserved. */
  readonly table: PortTable | undefined
  /** Owners of whom something was missing, and is there now. */
  readonly restored: readonly string[]
  /** Owners whose reservation could not be put back, each with the reason. */
  readonly refused: readonly { readonly owner: string; readonly reason: string }[]
}

/** Questions about reservations, and changes of the table that take a look at it first. */
export interface ReservationKernel {
  /** The host's port map as it is now; undefined when there is none. */
  portTable(): PortTable | undefined
  /**
   * Reserves host ports, all or none, in the table that is there or in a new one; throws PortTaken. Nothing is done, and
   * `changed` returned, where the table is not as `table` says.
   */
  reservePorts(reservation: Reservation, table: 'absent' | 'present'): Reserved
  /**
   * Removes every element of the host's port map whose comment starts with `cookie`, and the table with its last one.
   * Returns the keys that are free now. `known` is the reservation if there is a record of it: it is asked for by its keys
   * then. `table` is the table if it holds the reservations of all; `incomplete`: it stays, because others may miss theirs.
   */
  releasePorts(
    cookie: string,
    known?: Omit<Reservation, 'owner'>,
    table?: PortTable | 'incomplete' | 'unknown',
  ): Released
  /** Puts back the missing parts of these reservations, and writes the chains anew. Reservations of others are left. */
  completeTable(wanted: readonly Reservation[]): Completed
  /** True when the attachment with this cookie (32 digits) has host ports reserved. */
  hasReservation(cookie: string): boolean
  /** Cookies that begin with `prefix` (hex) of those who have host ports reserved. */
  reservedCookies(prefix: string): readonly string[]
  /** Those of `keys` that the host's port map has for the cookie, each with its connections. */
  openedPorts(cookie: string, keys: readonly FreedKey[]): readonly OpenedPort[]
  /** All of the host's port map, in one look: for whoever asks for the ports of many attachments. */
  everyOpenedPort(): readonly OwnedPort[]
  /** Host ports that filters of ours steer, by the host's table. */
  steeredPorts(): readonly SteeredPort[]
  /** Host ports of 127.0.0.0/8 that lead to pods, by the host's table. */
  loopbackPorts(): readonly LoopbackPort[]
  /** Ports that the kernel gives to no program of the host by itself (net.ipv4.ip_local_reserved_ports). */
  localPorts(): readonly number[]
  /** Has the kernel forget UDP connections to these host ports. A failure is a notice. */
  forgetConnections(keys: readonly FreedKey[]): void
  /**
   * Removes the table of that name from the pod, of family inet where none is named; succeeds when there is none. EPERM for one
   * that a program there owns.
   */
  dropPodTable(table: string, family?: TableFamily): void
}
