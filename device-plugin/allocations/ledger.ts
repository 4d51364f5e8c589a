/**
 * The ledger of devices in use: what sources told, what was given out since, and what is in doubt between two sources. Pure: it has
 * no clock and asks nobody. Times are milliseconds of one clock that never goes back.
 */
import type { Attachment } from './attachment.ts'
import type { Allocations, Holding } from './holding.ts'

/** The name of the source while no source answers. */
export const guess = 'guess'

/** An answer of one source. */
export interface Answer {
  readonly source: string
  /** Time at which the question began. */
  readonly askedAt: number
  readonly holdings: readonly Holding[]
}

/** A device as the ledger keeps it over a restart. */
export interface LedgerEntry {
  readonly holding: Holding
  /** A record of vf-attach was there since the device was given out. */
  readonly wasAttached: boolean
}

interface Given {
  readonly resource: string
  readonly at: number
  /** The holder before, whom sources may name for a while. */
  readonly before: string | undefined
}

/** Times that the ledger goes by, in milliseconds. */
export interface LedgerTimes {
  /** A device that was given out and that no source names after this time was never used. */
  readonly settle: number
  /** A device that only a lower source names is free after this time. */
  readonly linger: number
}

/** See the head of this file. */
export class Ledger {
  readonly #times: LedgerTimes
  #told: ReadonlyMap<string, Holding> = new Map()
  readonly #given = new Map<string, Given>()
  /** Devices that only a lower source names, since when. */
  #doubted: ReadonlyMap<string, number> = new Map()
  /** Devices of which vf-attach has or had a record since they were given out. */
  readonly #attached = new Set<string>()
  /** The pod of each living attachment, by device. */
  #podOf: ReadonlyMap<string, string> = new Map()
  #source = guess
  /** Time of the last answers. */
  #toldAt = 0

  constructor(times: LedgerTimes, entries: readonly LedgerEntry[] = []) {
    this.#times = times
    this.#told = new Map(entries.map(({ holding }) => [holding.device, holding]))
    for (const { holding, wasAttached } of entries) if (wasAttached) this.#attached.add(holding.device)
  }

  /** Devices in use now. */
  get allocations(): Allocations {
    const held = new Map(this.#told)
    for (const [device, { resource }] of this.#given) held.set(device, { resource, device })
    return { held, source: this.#source, isGuess: this.#source === guess }
  }

  /** For the next process. */
  get entries(): readonly LedgerEntry[] {
    return [...this.allocations.held.values()].map((holding) => ({
      holding,
      wasAttached: this.#attached.has(holding.device),
    }))
  }

  /** True while another question soon may give another answer. */
  isUnsettled(now: number): boolean {
    if (this.#source === guess || this.#given.size > 0) return true
    return [...this.#doubted.values()].some((since) => now - since < this.#times.linger)
  }

  /**
   * The time from which on a question changes something although no source has news; undefined while there is none. It is over where the
   * last question had begun before it.
   */
  get settlesAt(): number | undefined {
    if (this.#source === guess) return undefined
    const { settle, linger } = this.#times
    const moments = [
      ...[...this.#given.values()].map(({ at }) => at + settle),
      ...[...this.#doubted.values()].map((since) => since + linger).filter((at) => at > this.#toldAt),
    ]
    return moments.length === 0 ? undefined : Math.min(...moments)
  }

  /** Devices were given out. */
  give(resource: string, devices: readonly string[], now: number): void {
    const doubted = new Map(this.#doubted)
    for (const device of devices) {
      this.#given.set(device, { resource, at: now, before: holderOf(this.#told.get(device)) })
      this.#attached.delete(device)
      doubted.delete(device)
    }
    this.#doubted = doubted
  }

  /**
   * Takes the answers to one round of questions, the source to trust most first. Its answer replaces everything that was told
   * before; none at all leaves everything as it is, and makes it a guess.
   */
  tell(answers: readonly Answer[], now: number): void {
    const [main, ...others] = answers
    if (main === undefined) {
      this.#source = guess
      return
    }
    this.#source = main.source
    this.#toldAt = now
    const told = this.#byDevice(main.holdings)
    this.#doubt(
      told,
      others.flatMap(({ holdings }) => holdings),
      now,
    )
    for (const [device, { at, before }] of this.#given) {
      if (main.askedAt < at) continue
      const holder = holderOf(told.get(device))
      const isNamed = holder !== undefined && holder !== before
      if (isNamed || main.askedAt - at >= this.#times.settle) this.#given.delete(device)
    }
    // Another process of ours may have given the device out: the record that was seen is of the holder before.
    for (const [device, holding] of told) {
      const former = this.#told.get(device)
      if (former?.pod !== undefined && holderOf(former) !== holderOf(holding)) this.#attached.delete(device)
    }
    this.#told = told
    this.#forget()
  }

  /**
   * kubelet answers before it has found its pods again after a restart, and its older file still names them. So a device that the
   * lower source alone names stays in use for a while, and `told` gets it.
   */
  #doubt(told: Map<string, Holding>, holdings: readonly Holding[], now: number): void {
    const doubted = new Map<string, number>()
    for (const [device, holding] of this.#byDevice(holdings)) {
      if (told.has(device)) continue
      const since = this.#doubted.get(device) ?? now
      doubted.set(device, since)
      if (now - since < this.#times.linger) told.set(device, holding)
    }
    this.#doubted = doubted
  }

  /** Old kubelets list pods that have ended beside the pod that has the device now. */
  #byDevice(holdings: readonly Holding[]): Map<string, Holding> {
    const found = new Map<string, Holding>()
    for (const holding of holdings) {
      const rival = found.get(holding.device)
      if (rival === undefined || this.#isRather(holding, rival)) found.set(holding.device, holding)
    }
    return found
  }

  /** A living attachment knows its pod; after a new allocation the former holder is the one that has ended; else the later entry. */
  #isRather(one: Holding, other: Holding): boolean {
    const pod = this.#podOf.get(one.device)
    if (pod !== undefined && (podName(one) === pod) !== (podName(other) === pod)) return podName(one) === pod
    const given = this.#given.get(one.device)
    if (given !== undefined) return holderOf(one) !== given.before
    const known = holderOf(this.#told.get(one.device))
    return known === undefined || holderOf(other) !== known
  }

  /**
   * Takes the records of vf-attach. While no source answers, a device whose record was there and is gone is free: its DEL has
   * restored it.
   */
  look(attachments: ReadonlyMap<string, Attachment>): void {
    this.#podOf = new Map(
      [...attachments].flatMap(([device, { alive, pod }]) =>
        alive && pod !== undefined ? [[device, `${pod.namespace}/${pod.name}`] as const] : [],
      ),
    )
    const told = new Map(this.#told)
    for (const device of this.allocations.held.keys()) {
      const attachment = attachments.get(device)
      // A record of a pod that has ended is of the holder before.
      if (attachment?.alive === true && !attachment.pendingClose) this.#attached.add(device)
      if (attachment !== undefined || !this.#attached.has(device) || this.#source !== guess) continue
      told.delete(device)
      this.#given.delete(device)
    }
    this.#told = told
    this.#forget()
  }

  #forget(): void {
    for (const device of this.#attached)
      if (!this.#told.has(device) && !this.#given.has(device)) this.#attached.delete(device)
  }
}

/** One holder of a device, told from others; undefined without a holding. */
function holderOf(holding: Holding | undefined): string | undefined {
  if (holding === undefined) return undefined
  const { pod, container, resource } = holding
  return [resource, pod?.namespace, pod?.name, pod?.uid, container].join(' ')
}

function podName({ pod }: Holding): string | undefined {
  return pod === undefined ? undefined : `${pod.namespace}/${pod.name}`
}
