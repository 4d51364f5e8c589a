/** Counters of interfaces, of VFs and of the wire: what a program that watches a node asks. */

/** Counters of one direction; undefined where nobody counts that. */
export interface Traffic {
  readonly bytes: bigint
  readonly packets: bigint
  readonly dropped?: bigint | undefined
  readonly errors?: bigint | undefined
  readonly broadcast?: bigint | undefined
  readonly multicast?: bigint | undefined
}

/** Counters of an interface or a VF, as its owner sees the directions. */
export interface Counted {
  readonly receive: Traffic
  readonly transmit: Traffic
}

/** Counters of a PF's uplink, and of its VFs by their index; no VFs where the driver does not count for them. */
export interface PortCounted {
  readonly uplink: Counted | undefined
  readonly vfs: ReadonlyMap<number, Counted>
}

/** Questions about traffic in the namespace of this process. */
export interface TrafficFacts {
  /** The uplink with this number, and its VFs: `numVfs` is their number. undefined when the interface is gone. */
  port(ifindex: number, numVfs: number): PortCounted | undefined
  /** All interfaces, by number. */
  links(): ReadonlyMap<number, Counted>
  /** Counters of the wire (IEEE 802.3) of those interfaces whose drivers have them, by number. */
  wire(ifindexes: readonly number[]): ReadonlyMap<number, Counted>
  close(): void
}
