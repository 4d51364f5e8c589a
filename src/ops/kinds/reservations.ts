/** Operations on host ports that an attachment takes, and on tables of nftables. */
import type { Proto, Side } from './common.ts'

/** One element of the host's map of taken host ports. */
export interface PortKey {
  readonly address: string
  readonly proto: Proto
  readonly port: number
  readonly toAddress: string
  readonly toPort: number
}

/** Connections from `source` (CIDR) to a reserved key get an address of the host in its place. */
export interface Masquerade {
  readonly source: string
  readonly address: string
  readonly proto: Proto
  readonly port: number
}

/** An operation on reservations or a table of nftables. */
export type ReservationOp =
  | {
      do: 'ports.reserve' | 'ports.release'
      keys: readonly PortKey[]
      masquerade: readonly Masquerade[]
      owner: string
      /** Filters are to take frames for these keys past the host's stack: its own connections are kept off them. */
      steered?: boolean
    }
  /** Ports that the kernel gives to no program of the host by itself; `were`: those of them that it gave to none before. */
  | { do: 'localports.reserve' | 'localports.release'; ports: readonly number[]; were: readonly number[] }
  | { do: 'nft.load' | 'nft.drop'; side: Side; table: string; text: string; family?: TableFamily }

/** The family of a table of nftables, where it is not `inet`: `netdev` sees the frames of an interface before all others do. */
export type TableFamily = 'netdev'
