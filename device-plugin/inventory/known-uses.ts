/**
 * The uses of devices by the host over time: a snapshot without an answer of the kernel gets the uses that were known before. A device
 * that nobody knew before may be the host's own, and counts as used. Pure but for its memory, which holds one entry for each device.
 */
import type { Device, Snapshot } from './snapshot.ts'

/** The use of a device that is new while the kernel tells nothing. A sentence without a subject, as all in `hostUses`. */
export const unknownUse =
  'may be in use by the host (the kernel did not tell of interfaces, routes or addresses)'

/** See the head of this file. */
export class KnownUses {
  #uses: ReadonlyMap<string, readonly string[]> = new Map()

  /** The snapshot with uses that can be relied on. A snapshot in which the kernel has told all of it stays as it is. */
  complete(snapshot: Snapshot): Snapshot {
    if (snapshot.areHostUsesUnknown === undefined) {
      this.#uses = new Map(snapshot.devices.map(({ id, hostUses }) => [id, hostUses]))
      return snapshot
    }
    // A device that goes and comes back meanwhile is a new one: another card may be in its place.
    const here = new Set(snapshot.devices.map(({ id }) => id))
    this.#uses = new Map([...this.#uses].filter(([id]) => here.has(id)))
    return { ...snapshot, devices: snapshot.devices.map((device) => this.#withUses(device)) }
  }

  #withUses(device: Device): Device {
    const known = this.#uses.get(device.id) ?? [unknownUse]
    const now = device.hostUses.filter((use) => !known.includes(use))
    return { ...device, hostUses: [...known, ...now] }
  }
}
