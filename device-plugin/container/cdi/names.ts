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

/** Longest part of an annotation's key behind the slash, in characters (Kubernetes: qualified names). */
const longestKey = 63

/**
 * The names as an annotation, for an answer without CDI names; none for no names. The key has the resource in it, so that two pools in
 * one container have two keys. A name that is too long for a key is cut, with a sum of it at the end.
 */
export function annotationsOf(
  { prefix, name }: Named,
  cdiNames: readonly string[],
): Readonly<Record<string, string>> {
  if (cdiNames.length === 0) return {}
  const full = `${prefix}_${name}`.replace(/[^A-Za-z0-9]+$/, '')
  const key = full.length <= longestKey ? full : `${full.slice(0, longestKey - 9)}-${sumOf(full)}`
  return { [`cdi.k8s.io/${key}`]: cdiNames.join(',') }
}

/** FNV-1a of 32 bits, as eight hex digits. */
function sumOf(text: string): string {
  let sum = 0x811c9dc5
  for (const byte of Buffer.from(text)) sum = Math.imul(sum ^ byte, 0x01000193) >>> 0
  return sum.toString(16).padStart(8, '0')
}
