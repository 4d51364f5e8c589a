/**
 * Devices that Allocate has refused. Such a device is unhealthy for a while: kubelet would choose it again for the next pod, and that
 * pod would fail as well. It is free of that as soon as something about it has changed.
 */

/** Milliseconds that the first refusal counts. Each one that follows doubles them. */
const first = 30_000
const longest = 300_000

/** A refusal, as health asks. */
export interface Refused {
  readonly resource: string
  readonly text: string
  /** Time at which it ends, on the clock of the caller. */
  readonly until: number
}

interface Kept extends Refused {
  /** Facts about the device when it was refused. */
  readonly sign: string
  readonly count: number
}

/** The refusals that count, by device. Times are milliseconds of one clock that never goes back. */
export class Refusals {
  readonly #kept = new Map<string, Kept>()

  /** A device was refused. `sign`: a text that is another one when something about the device has changed. */
  add(device: string, resource: string, text: string, sign: string, now: number): void {
    const count = (this.#kept.get(device)?.count ?? -1) + 1
    const until = now + Math.min(longest, first * 2 ** Math.min(count, 30))
    this.#kept.set(device, { resource, text, sign, until, count })
  }

  /** A device was given away. */
  forget(device: string): void {
    this.#kept.delete(device)
  }

  /** The refusals that count now. `signOf` is undefined for a device that is not there. */
  at(now: number, signOf: (device: string) => string | undefined): ReadonlyMap<string, Refused> {
    // The number of refusals is remembered for a while after the last one has ended.
    for (const [device, { sign, until }] of this.#kept)
      if (signOf(device) !== sign || now >= until + longest) this.#kept.delete(device)
    return new Map([...this.#kept].filter(([, { until }]) => now < until))
  }
}
