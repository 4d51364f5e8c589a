/** The order for hack/bench/inside.ts, and all that a native table needs. */
import type { Node } from './nodes.ts'
import type { Peer } from './peers.ts'

/** Everything that a table needs. */
export interface Bench {
  /** A folder on the disk with the compiled programs `runner` and `empty`. */
  readonly folder: string
  readonly peers: Readonly<Record<'installed' | 'newest', Peer>>
  readonly rounds: Readonly<Record<'version' | 'calls' | 'traced' | 'small' | 'herd' | 'size', number>>
  /** A node without an agent. */
  readonly plain: Node
  /** A node with an agent, if this build has one. */
  readonly warm: Node | undefined
}

/** The order for this process. */
export interface BenchOrder extends Pick<Bench, 'folder' | 'peers' | 'rounds'> {
  readonly table: string
}
