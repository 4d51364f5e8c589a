/** Counters of the kernel, hardware and software apart. */

/** Packets and bytes. */
export interface Passed {
  readonly packets: bigint
  readonly bytes: bigint
}

/** Frames that a filter has matched. Bytes are without the Ethernet header where tc counts them so. */
export interface FilterCounters {
  readonly inHw: boolean
  readonly hardware: Passed
  readonly software: Passed
}
