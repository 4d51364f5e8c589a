/** Keeps the state of allocations: asks the sources when something may have changed, and rarely otherwise. */
import { errorText } from '../../src/lib/error-text.ts'
import type { PluginLog } from '../log.ts'
import type { Attachment } from './attachment.ts'
import { type Allocations, type Holding, type HoldingSource, SourceUnavailable } from './holding.ts'
import { type Answer, guess, Ledger } from './ledger.ts'
import { noteText, readNote, writeNote } from './note.ts'

/** Times of a keeper, in milliseconds. */
export interface KeeperTimes {
  /** Pauses between questions while the answer is not settled: after an allocation, in doubt, and without a source. */
  readonly pauses: readonly number[]
  /** Pause while nothing happens. */
  readonly rarely: number
  /** Events within this time lead to one question. */
  readonly debounce: number
  /** A source that has not answered in this time is not to be had. */
  readonly patience: number
  /** See LedgerTimes. */
  readonly settle: number
  readonly linger: number
}

/** The pauses together are longer than `settle` and `linger`, so both end while questions are frequent. */
export const keeperTimes: KeeperTimes = {
  pauses: [300, 1_000, 3_000, 10_000, 30_000, 60_000],
  rarely: 300_000,
  debounce: 200,
  patience: 10_000,
  settle: 60_000,
  linger: 60_000,
}

/** The surroundings of a keeper. */
export interface KeeperOptions {
  /** The one to trust most first. */
  readonly sources: readonly HoldingSource[]
  /** Called after each change. */
  readonly onChange: (now: Allocations) => void
  /** Gets one sentence for each change between sources, and for what can't be written. */
  readonly log: Pick<PluginLog, 'info' | 'warn'>
  /** File that keeps the guess over a restart; undefined: none. */
  readonly noteFile?: string
  /** Of this boot (Machine.bootId). */
  readonly bootId: string
  /** Holdings that count; all without it. A node has devices of other plugins too. */
  readonly isWanted?: (holding: Holding) => boolean
  readonly times?: KeeperTimes
}

/** See the head of this file. */
export class AllocationKeeper {
  readonly #options: KeeperOptions
  readonly #times: KeeperTimes
  readonly #ledger: Ledger
  #now: Allocations
  #note = ''
  #source = ''
  #pause = 0
  #timer: NodeJS.Timeout | undefined
  #poked: NodeJS.Timeout | undefined
  #asking: Promise<void> | undefined
  #isStale = false
  #watches: readonly (() => void)[] = []
  #isStopped = false

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#times = options.times ?? keeperTimes
    const { noteFile, bootId } = options
    this.#ledger = new Ledger(this.#times, noteFile === undefined ? [] : readNote(noteFile, bootId))
    this.#now = this.#ledger.allocations
  }

  /** Devices in use, as far as is known now. */
  get now(): Allocations {
    return this.#now
  }

  /** Asks for the first time, and begins to watch. Never fails: without a source the state is a guess. */
  async start(): Promise<void> {
    this.#watches = this.#options.sources.flatMap((one) => one.watch?.(() => this.#poke()) ?? [])
    await this.ask()
  }

  /** Ends all watches and questions. */
  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    clearTimeout(this.#poked)
    for (const end of this.#watches) end()
    for (const source of this.#options.sources) source.end?.()
  }

  /** Devices were given to a container. They count as used from now on; sources are asked soon. */
  given(resource: string, devices: readonly string[]): void {
    this.#ledger.give(resource, devices, performance.now())
    this.#pause = 0
    this.#publish()
    this.#plan()
  }

  /** Takes the records of vf-attach by device; to be called after each look at them. */
  look(attachments: ReadonlyMap<string, Attachment>): void {
    this.#ledger.look(attachments)
    this.#publish()
  }

  /** Asks all sources now. Calls during a question lead to one more. Never fails. */
  ask(): Promise<void> {
    if (this.#asking !== undefined) {
      this.#isStale = true
      return this.#asking
    }
    this.#asking = this.#askUntilFresh().finally(() => {
      this.#asking = undefined
      this.#plan()
    })
    return this.#asking
  }

  async #askUntilFresh(): Promise<void> {
    do {
      this.#isStale = false
      await this.#askOnce()
    } while (this.#isStale && !this.#isStopped)
  }

  async #askOnce(): Promise<void> {
    const answers: Answer[] = []
    const refusals: string[] = []
    for (const source of this.#options.sources) {
      const askedAt = performance.now()
      try {
        const holdings = await inTime(source, this.#times.patience)
        answers.push({
          ...{ source: source.name, askedAt },
          holdings: holdings.filter((one) => this.#options.isWanted?.(one) ?? true),
        })
      } catch (error) {
        refusals.push(`${source.name}: ${errorText(error)}`)
      }
    }
    if (this.#isStopped) return
    this.#ledger.tell(answers, performance.now())
    this.#report(refusals)
    this.#publish()
  }

  #report(refusals: readonly string[]): void {
    const { source } = this.#ledger.allocations
    if (source === this.#source) return
    this.#source = source
    const because = refusals.length === 0 ? '' : ` (${refusals.join('; ')})`
    const { log } = this.#options
    if (source !== guess) log.info(`${source} tells which devices are in use${because}`)
    else
      log.warn(
        `Cannot learn which devices are in use: devices that were given out count as used until their attachment ends${because}`,
      )
  }

  /** A debounced question. */
  #poke(): void {
    if (this.#isStopped || this.#poked !== undefined) return
    this.#poked = setTimeout(() => {
      this.#poked = undefined
      void this.ask()
    }, this.#times.debounce)
    this.#poked.unref()
  }

  /** Sets the time of the next question that no event asks for. */
  #plan(): void {
    clearTimeout(this.#timer)
    if (this.#isStopped || this.#asking !== undefined) return
    const { pauses, rarely } = this.#times
    const now = performance.now()
    if (!this.#ledger.isUnsettled(now)) this.#pause = 0
    // Without a source the last of the pauses goes on.
    const pause = this.#ledger.isUnsettled(now)
      ? (pauses[Math.min(this.#pause++, pauses.length - 1)] ?? rarely)
      : rarely
    // A device whose time is over is free then, not at the end of a long pause.
    const { settlesAt = Number.POSITIVE_INFINITY } = this.#ledger
    this.#timer = setTimeout(() => void this.ask(), Math.min(pause, Math.max(settlesAt - now, 0) + 1))
    this.#timer.unref()
  }

  /** Writes the note and tells of the change, where there is one. */
  #publish(): void {
    const now = this.#ledger.allocations
    const note = noteText(this.#ledger.entries, this.#options.bootId)
    const isSame = sameHoldings(now, this.#now)
    this.#now = isSame ? { ...now, held: this.#now.held } : now
    if (note !== this.#note) this.#keep(note)
    if (!isSame) this.#options.onChange(this.#now)
  }

  #keep(note: string): void {
    const { noteFile, log } = this.#options
    this.#note = note
    if (noteFile === undefined) return
    try {
      writeNote(noteFile, note)
    } catch (error) {
      log.warn(
        `Cannot write "${noteFile}", which keeps the devices in use over a restart: ${errorText(error)}`,
      )
    }
  }
}

function sameHoldings(one: Allocations, other: Allocations): boolean {
  if (one.source !== other.source || one.held.size !== other.held.size) return false
  for (const [device, holding] of one.held) {
    const known = other.held.get(device)
    if (known === undefined || JSON.stringify(known) !== JSON.stringify(holding)) return false
  }
  return true
}

/** The answer of a source within `patience` milliseconds. @throws SourceUnavailable */
async function inTime(source: HoldingSource, patience: number): Promise<readonly Holding[]> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new SourceUnavailable(`no answer within ${patience} ms`)), patience)
  })
  try {
    return await Promise.race([source.read(), late])
  } finally {
    clearTimeout(timer)
  }
}
