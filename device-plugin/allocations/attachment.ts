/** Attachments of the CNI plugins, found by device. Types alone. */

/** An attachment that vf-attach has a record of. */
export interface Attachment {
  /** The device: PCI address, or name on the auxiliary bus. */
  readonly device: string
  readonly containerID: string
  readonly ifname: string
  readonly network: string
  /** The pod's network namespace is there. */
  readonly alive: boolean
  /** Its DEL was called while a program had the device open. The device is restored when it is closed. */
  readonly pendingClose: boolean
  readonly pod: { readonly namespace: string; readonly name: string } | undefined
}
