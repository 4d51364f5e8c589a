/** Names of the Container Device Interface (CDI specification 0.5.0, "Kind" and "CDI Devices"; pkg/parser of its library). Pure. */
import type { PoolConfig } from '../../config/plugin-config.ts'
import type { DeviceType } from '../../inventory/snapshot.ts'

/** The class of a kind, as users of the SR-IOV network device plugin know it. */
const classes: Readonly<Record<DeviceType, string>> = {
  netDevice: 'net-pci',
  accelerator: 'net-accel',
  auxNetDevice: 'net-sf',
}

/** The part of a pool that its CDI names depend on. */
export type Named = Pick<PoolConfig, 'prefix' | 'name' | 'deviceType'>

/** The class of a pool's devices: `net-pci`, `net-accel` or `net-sf`. */
export function cdiClass({ deviceType }: Pick<Named, 'deviceType'>): string {
  return classes[deviceType]
}

/** The kind of a pool's spec: `PREFIX/CLASS`. Pools of one prefix and type share it. */
export function cdiKind(pool: Named): string {
  return `${pool.prefix}/${cdiClass(pool)}`
}

/** The qualified name of a device: `PREFIX/CLASS=ID`. */
export function cdiName(pool: Named, id: string): string {
  return `${cdiKind(pool)}=${id}`
}

/** True for a prefix that can be the vendor of a kind: a letter first, a letter or digit last, and `-`, `_`, `.` between. */
export function isCdiVendor(prefix: string): boolean {
  return /^[A-Za-z]([\w.-]*[A-Za-z0-9])?$/.test(prefix)
}

/** True for an id that can be the name of a device: a letter or digit at both ends, and `-`, `_`, `.`, `:` between. */
export function isCdiDevice(id: string): boolean {
  return /^[A-Za-z0-9]([\w.:-]*[A-Za-z0-9])?$/.test(id)
}
