/** Sources of an inventory, as parameters: folders may be mounted elsewhere, and tests lay out their own. Types alone. */
import type { NetworkFacts } from '../../src/kernel/api/network-facts.ts'

/** The places that a scan reads. */
export interface Sources {
  /** sysfs, `/sys`. */
  readonly sys: string
  /** Device files as this process sees them, `/dev`. */
  readonly dev: string
  /** Opens the questions about the network; the scan closes them. May throw: then all of their facts are unanswered. */
  readonly openNetwork: () => NetworkFacts
  /**
   * Addresses of the node, as Kubernetes knows it (`status.hostIPs`). Without them, the node's addresses are those of the
   * interfaces that have a default route.
   */
  readonly nodeAddresses?: readonly string[]
}
