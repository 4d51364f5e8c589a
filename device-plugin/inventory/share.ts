/** Snapshots share what has not changed: the memory of a large node's devices is made once, and what follows sees that nothing is new. */
import { isDeepStrictEqual } from 'node:util'
import type { Snapshot } from './snapshot.ts'

/**
 * `next` with the objects of `former` wherever they are equal: devices, PFs, and the lists of both when all of them are equal. Pure, and
 * nothing but the identity of objects differs from `next`.
 */
export function shared(next: Snapshot, former: Snapshot | undefined): Snapshot {
  if (former === undefined) return next
  const known = new Map(former.devices.map((device) => [device.id, device]))
  const devices = next.devices.map((device) => same(device, known.get(device.id)))
  const pfs = new Map([...next.pfs].map(([address, pf]) => [address, same(pf, former.pfs.get(address))]))
  const areDevicesOld =
    devices.length === former.devices.length && devices.every((device, at) => device === former.devices[at])
  const arePfsOld =
    pfs.size === former.pfs.size && [...pfs].every(([address, pf]) => pf === former.pfs.get(address))
  return {
    ...next,
    devices: areDevicesOld ? former.devices : devices,
    pfs: arePfsOld ? former.pfs : pfs,
  }
}

/** True when both snapshots show the same devices and PFs, by their identity. */
export function isSameNode(left: Snapshot, right: Snapshot): boolean {
  return left.devices === right.devices && left.pfs === right.pfs
}

function same<T>(next: T, former: T | undefined): T {
  return former !== undefined && isDeepStrictEqual(next, former) ? former : next
}
