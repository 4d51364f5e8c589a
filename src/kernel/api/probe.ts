/** Abilities of kernel and NIC, and settings of the kernel. */
import type { Side } from '../../ops/op.ts'

/** `hw-tc-offload` of ethtool: the interface hands filters to its NIC; `off` can be switched on, `fixed` can't. */
export type TcOffload = 'on' | 'off' | 'fixed'

/** Abilities that missingNeeds() tries out: those that a pod can ask for. */
export interface Needs {
  /** Port mappings. */
  readonly ports: boolean
  /** ... of VFs and NICs. */
  readonly steering: boolean
  /** ... that are translated in the pod, whose table the program `nft` loads. */
  readonly inPod: boolean
  /** ... that the NIC translates. */
  readonly translation: boolean
  /** ... of VFs with a representor, on addresses in a VLAN. */
  readonly tags: boolean
  /** Limits of whatever port and direction. */
  readonly rates: boolean
  /** ... as far as a shaper on an interface is all that they are made of. */
  readonly shapers: boolean
  /** ... by policers. */
  readonly police: boolean
}

/** Questions about abilities. */
export interface ProbeKernel {
  /** Asks netlink for a link; throws when it does not answer. */
  probe(): void
  /**
   * Abilities that are wanted and that this kernel, or its `nft`, does not have: one line for each. Tried out where nobody
   * sees it, and nothing is left of it.
   */
  missingNeeds(wanted: Needs): readonly string[]
  /** The setting by which a host interface hands filters to its NIC. */
  tcOffload(ifindex: number): TcOffload
  /** A setting below /proc/sys; undefined when this kernel does not have it. */
  sysctl(side: Side, key: string): string | undefined
}
