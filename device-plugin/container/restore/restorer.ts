/**
 * Restores devices whose pod is dead and whose DEL does not come: one at a time, each after the time that its pool gives the runtime.
 * Decides by what it is shown; how a device is restored is a parameter.
 */
import type { Attachment } from '../../allocations/attachment.ts'
import type { Clock } from '../../inventory/watch/window.ts'

/** A device that waits for its restore. */
export interface Unrestored {
  readonly attachment: Attachment
  /** Milliseconds from the first sight of the dead pod to the restore. */
  readonly after: number
}

/** The surroundings of a restorer. */
export interface RestorerOptions {
  /** Restores the device of an attachment; returns remarks, and rejects with the reason. */
  readonly restore: (attachment: Attachment) => Promise<string>
  /** Looks again, right before a restore: what still waits now. */
  readonly now: () => readonly Unrestored[]
  /** A device was restored, or could not be. */
  readonly onEnd: () => void
  readonly log: {
    info(message: string, fields?: Readonly<Record<string, unknown>>): void
    warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  }
  readonly clock: Pick<Clock, 'now' | 'after'>
}

/** vf-attach had nothing to say against it, and the record is as it was. */
class RecordStays extends Error {
  override readonly name = 'RecordStays'

  constructor(remarks: string) {
    super(`vf-attach has left its record as it was${remarks === '' ? '' : ` (${remarks})`}`)
  }
}

/** Pauses behind the first failure and the next ones, in milliseconds; the last goes on. */
export const restorePauses: readonly number[] = [10_000, 30_000, 60_000, 300_000, 900_000]

interface Waiting extends Unrestored {
  dueAt: number
  failures: number
}

/** See the head of this file. */
export class Restorer {
  readonly #options: RestorerOptions
  /** By device and attachment. */
  #waiting: ReadonlyMap<string, Waiting> = new Map()
  #callOff = () => {}
  #isBusy = false
  #isStopped = false

  constructor(options: RestorerOptions) {
    this.#options = options
  }

  /** Takes the devices that wait now. One that is missing has been restored, or its pod is there after all. */
  look(unrestored: readonly Unrestored[]): void {
    const now = this.#options.clock.now()
    this.#waiting = new Map(
      unrestored.map((one) => {
        const key = keyOf(one)
        const before = this.#waiting.get(key)
        if (before === undefined) return [key, { ...one, dueAt: now + one.after, failures: 0 }]
        // A config may have changed the time; a failure has a time of its own.
        const dueAt = before.failures > 0 ? before.dueAt : before.dueAt - before.after + one.after
        return [key, { ...one, dueAt, failures: before.failures }]
      }),
    )
    this.#plan()
  }

  /** Begins no other restore. */
  stop(): void {
    this.#isStopped = true
    this.#callOff()
  }

  #plan(): void {
    this.#callOff()
    if (this.#isStopped || this.#isBusy || this.#waiting.size === 0) return
    const dueAt = Math.min(...[...this.#waiting.values()].map((one) => one.dueAt))
    const { clock } = this.#options
    this.#callOff = clock.after(Math.max(0, dueAt - clock.now()), () => void this.#next())
  }

  async #next(): Promise<void> {
    // Nobody may have looked for long: the pod of a record can be another one by now.
    this.look(this.#options.now())
    this.#callOff()
    const [due] = [...this.#waiting.values()]
      .filter(({ dueAt }) => dueAt <= this.#options.clock.now())
      .sort((left, right) => left.dueAt - right.dueAt)
    if (due !== undefined) await this.#restore(due)
    this.#plan()
  }

  async #restore(one: Waiting): Promise<void> {
    const { log, restore, onEnd } = this.#options
    const { device, containerID } = one.attachment
    const fields = { device, containerID }
    const pause = restorePauses[Math.min(one.failures, restorePauses.length - 1)] ?? 0
    this.#isBusy = true
    try {
      const remarks = await restore(one.attachment)
      // A DEL that does not find the record ends well, too.
      if (this.#options.now().some((left) => keyOf(left) === keyOf(one))) throw new RecordStays(remarks)
      log.info(`${device} is restored after its pod, for which no DEL came`, fields)
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error)
      if (!this.#isStopped)
        log.warn(`Cannot restore ${device}: ${words}; another try follows in ${pause / 1_000} s`, fields)
    }
    this.#isBusy = false
    // For one that is restored this is over with the next look.
    const waiting = this.#waiting.get(keyOf(one)) ?? one
    waiting.failures++
    waiting.dueAt = this.#options.clock.now() + pause
    if (!this.#isStopped) onEnd()
  }
}

function keyOf({ attachment }: Unrestored): string {
  const { device, containerID, ifname, network } = attachment
  return [device, containerID, ifname, network].join(' ')
}
