/** The access that a container gets to devices of a pool. Types alone; no front end is known here. */

/** All that a container gets for the devices that it was given. */
export interface ContainerAccess {
  readonly env: Readonly<Record<string, string>>
  readonly deviceNodes: readonly DeviceNode[]
  readonly mounts: readonly {
    readonly hostPath: string
    readonly containerPath: string
    readonly readOnly: boolean
  }[]
  /** Qualified CDI names, `vendor/class=name`; then `deviceNodes` is empty. */
  readonly cdiNames: readonly string[]
}

/** A device file in the container. */
export interface DeviceNode {
  readonly hostPath: string
  readonly containerPath: string
  /** Of the characters r, w, m. */
  readonly permissions: string
}
