/**
 * The decisions of the supervisor: events in, actions out. Nothing here asks the system, so that all of it is tested by its rules
 * alone. Time is a number that comes with each event, in milliseconds.
 */
import type { EndedCall, Report } from '../control.ts'
import { type Action, type Event, type Fallback, type Limits, times } from './events.ts'
import { Pauses } from './pauses.ts'
import { Queue } from './queue.ts'

/** A worker, from the decision to start it until its process has ended. */
export interface Worker {
  readonly id: number
  state: 'starting' | 'free' | 'busy' | 'ending' | 'killed'
  /** Time of the last change of the state. */
  since: number
  /** Time of the last report. */
  progress: number
  /** True once the worker has said that the call came. */
  hasBegun: boolean
  /** Set while the worker waits for others, and as long as that is its IPAM program. */
  waits: number | undefined
  runsIpam: number | undefined
  /** Set from the end of the shim on. */
  orphaned: number | undefined
  calls: number
  /** Number of the settings that it was started with. */
  readonly generation: number
}

/** See the head of this file. */
export class Decisions {
  #limits: Limits
  #generation = 0
  readonly #workers = new Map<number, Worker>()
  readonly #queue = new Queue()
  readonly #pauses = new Pauses()
  #nextWorker = 1
  #isDraining = false
  #actions: Action[] = []

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** Workers whose process may exist. */
  get workers(): readonly Readonly<Worker>[] {
    return [...this.#workers.values()]
  }

  /** Calls that wait for a worker. */
  get queued(): number {
    return this.#queue.length
  }

  /** Takes an event. @param now never goes back */
  take(event: Event, now: number): readonly Action[] {
    this.#actions = []
    this.#note(event, now)
    this.#hand(now)
    this.#sendAway(now)
    this.#endLate(now)
    this.#scale(now)
    if (this.#isDraining && this.#queue.length === 0 && this.#workers.size === 0) this.#do({ do: 'finish' })
    return this.#actions
  }

  /** Milliseconds until time alone changes something; undefined when it never does. */
  deadline(now: number): number | undefined {
    const moments: number[] = []
    const first = this.#queue.oldest
    if (first !== undefined) {
      // While calls wait, the rules of scaling are looked at all the time.
      moments.push(now + times.crowded, first + times.crowded, first + times.patience, first + times.longest)
    }
    const living = this.#living()
    if (living.length < this.#limits.least && !this.#isDraining) moments.push(this.#pauses.until)
    for (const { state, since, progress, orphaned, hasBegun } of this.#workers.values()) {
      if (state === 'busy') {
        moments.push(progress + times.stuck)
        if (!hasBegun) moments.push(since + times.deaf)
        if (orphaned !== undefined) moments.push(orphaned + times.orphaned)
      }
      if (state === 'free' && living.length > this.#limits.least) moments.push(since + times.idle)
      if (state === 'starting') moments.push(since + times.slowStart, since + times.start)
      if (state === 'ending') moments.push(since + times.end)
      if (state === 'killed') moments.push(since + times.killed)
    }
    const later = moments.filter((moment) => moment > now)
    return later.length === 0 ? undefined : Math.min(...later) - now
  }

  #do(action: Action): void {
    this.#actions.push(action)
  }

  #note(event: Event, now: number): void {
    switch (event.is) {
      case 'hello': {
        const { connection, verb } = event
        this.#do({ do: 'wait', connection })
        this.#queue.add({ connection, verb, since: now })
        return
      }
      case 'left':
        this.#queue.remove(event.connection)
        return
      case 'report': {
        const worker = this.#workers.get(event.worker)
        if (worker !== undefined) this.#report(worker, event.report, now)
        return
      }
      case 'exit': {
        const worker = this.#workers.get(event.worker)
        this.#workers.delete(event.worker)
        if (worker === undefined || worker.state === 'ending' || worker.state === 'killed') return
        this.#do({ do: 'crashed', worker: worker.id, milliseconds: this.#pauses.crashed(now) })
        return
      }
      case 'unhanded': {
        const worker = this.#workers.get(event.worker)
        if (worker?.state === 'busy') this.#kill(worker, 'it took no call', now)
        this.#queue.addFirst({ connection: event.connection, verb: 'DEL', since: now })
        return
      }
      case 'shim gone': {
        const worker = this.#workers.get(event.worker)
        if (worker?.state === 'busy') worker.orphaned ??= now
        return
      }
      case 'limits':
        this.#limits = event.limits
        this.#generation++
        for (const worker of this.#workers.values()) if (worker.state === 'free') this.#end(worker, now)
        return
      case 'drain':
        this.#isDraining = true
        return
      case 'time':
        return
    }
  }

  #report(worker: Worker, report: Report, now: number): void {
    worker.progress = now
    switch (report.did) {
      case 'start':
        if (worker.state === 'starting') this.#free(worker, now)
        return
      case 'begin':
      case 'work':
        worker.hasBegun = true
        worker.waits = undefined
        worker.runsIpam = undefined
        return
      case 'wait':
        worker.waits ??= now
        if (report.on === 'ipam') worker.runsIpam ??= now
        return
      case 'ended':
        if (worker.state !== 'busy') return
        worker.calls++
        if (report.leaves !== undefined) enter(worker, 'ending', now)
        else if (this.#isWorn(worker, report)) this.#end(worker, now)
        else this.#free(worker, now)
    }
  }

  #isWorn({ calls, generation }: Worker, { kilobytes }: EndedCall): boolean {
    const limits = this.#limits
    return calls >= limits.calls || kilobytes >= limits.kilobytes || generation !== this.#generation
  }

  #free(worker: Worker, now: number): void {
    if (worker.generation === this.#generation) enter(worker, 'free', now)
    else this.#end(worker, now)
  }

  #end(worker: Worker, now: number): void {
    enter(worker, 'ending', now)
    this.#do({ do: 'end', worker: worker.id })
  }

  #kill(worker: Worker, reason: (Action & { do: 'kill' })['reason'], now: number): void {
    enter(worker, 'killed', now)
    this.#do({ do: 'kill', worker: worker.id, reason })
  }

  /** Workers that serve calls, or will. */
  #living(): Worker[] {
    return [...this.#workers.values()].filter(({ state }) => state !== 'ending' && state !== 'killed')
  }

  /** The worker that was free last is the warmest, and lets the others grow idle. */
  #hand(now: number): void {
    while (this.#queue.length > 0) {
      const free = this.#living().filter(({ state }) => state === 'free')
      const [worker] = free.sort((one, other) => other.since - one.since)
      const next = worker === undefined ? undefined : this.#queue.next()
      if (worker === undefined || next === undefined) return
      enter(worker, 'busy', now)
      worker.progress = now
      this.#do({ do: 'hand', connection: next.connection, worker: worker.id })
    }
  }

  /** Sends calls away that would wait for nothing. */
  #sendAway(now: number): void {
    const { reason, patience } = this.#prospect(now)
    for (const { connection } of this.#queue.takeUntil(now - patience))
      this.#do({ do: 'standalone', connection, reason })
  }

  /** The longest wait of a call, and the reason for sending it away then. */
  #prospect(now: number): { readonly reason: Fallback; readonly patience: number } {
    const soon = this.#living().length === 0 ? 0 : times.patience
    if (this.#isDraining) return { reason: 'the agent stops', patience: soon }
    if (this.#pauses.until > now) return { reason: 'workers do not start', patience: soon }
    const isFull = this.#places() >= this.#limits.most
    // A lock passes from call to call; an IPAM program that has no answer yet may have none for minutes.
    const isHung = ({ runsIpam }: Worker) => runsIpam !== undefined && now - runsIpam >= times.hung
    const isHopeless = isFull || this.#living().some((worker) => isSlowStart(worker, now))
    const longest = isHopeless ? times.patience : times.longest
    const isStuck = isFull && this.#living().every(isHung)
    return { reason: 'no worker is free', patience: isStuck ? times.hopeless : longest }
  }

  /** Places that are taken. A killed worker has none: one that the kernel does not let go is lost. */
  #places(): number {
    return [...this.#workers.values()].filter(({ state }) => state !== 'killed').length
  }

  #endLate(now: number): void {
    for (const worker of [...this.#workers.values()]) {
      const { state, since, progress, orphaned } = worker
      if (state === 'busy' && orphaned !== undefined && now - orphaned >= times.orphaned)
        this.#kill(worker, 'its caller was gone', now)
      else if (state === 'busy' && !worker.hasBegun && now - since >= times.deaf)
        this.#kill(worker, 'it took no call', now)
      else if (state === 'busy' && now - progress >= times.stuck) this.#kill(worker, 'no progress', now)
      else if (state === 'ending' && now - since >= times.end) this.#kill(worker, 'it did not end', now)
      else if (state === 'starting' && now - since >= times.start) {
        this.#kill(worker, 'it did not start', now)
        this.#pauses.crashed(now)
      } else if (state === 'killed' && now - since >= times.killed && this.#isDraining)
        // Nobody can end it: a supervisor that is to end waits no longer.
        this.#workers.delete(worker.id)
    }
  }

  #scale(now: number): void {
    if (this.#isDraining) {
      if (this.#queue.length > 0) return
      for (const worker of this.#living()) if (worker.state !== 'busy') this.#end(worker, now)
      return
    }
    if (this.#pauses.until <= now)
      while (this.#living().length < this.#limits.least && this.#places() < this.#limits.most)
        this.#start(now)
    if (this.#isCrowded(now)) this.#start(now)
    const idle = this.#living()
      .filter(({ state, since }) => state === 'free' && now - since >= times.idle)
      .sort((one, other) => one.since - other.since)
    const surplus = Math.max(this.#living().length - this.#limits.least, 0)
    for (const worker of idle.slice(0, surplus)) this.#end(worker, now)
  }

  /** True if another worker would help: calls wait, and those who could serve them wait too, or processors are idle. */
  #isCrowded(now: number): boolean {
    const isOld = now - (this.#queue.oldest ?? now) >= times.crowded
    if (!isOld || this.#pauses.until > now || this.#places() >= this.#limits.most) return false
    const living = this.#living()
    if (living.some((worker) => worker.state === 'starting' && !isSlowStart(worker, now))) return false
    const isHeldUp = ({ waits, progress }: Worker) =>
      (waits !== undefined && now - waits >= times.crowded) || now - progress >= times.silent
    return living.length < this.#limits.processors || living.every(isHeldUp)
  }

  #start(now: number): void {
    const [id, generation] = [this.#nextWorker++, this.#generation]
    const state = { state: 'starting', since: now, progress: now, hasBegun: false } as const
    const common = { waits: undefined, runsIpam: undefined, orphaned: undefined, calls: 0 }
    this.#workers.set(id, { id, ...state, ...common, generation })
    this.#do({ do: 'start', worker: id })
  }
}

function enter(worker: Worker, state: Worker['state'], now: number): void {
  worker.state = state
  worker.since = now
  worker.waits = undefined
  worker.runsIpam = undefined
  worker.orphaned = undefined
  worker.hasBegun = false
}

/** True for a worker that takes so long to start that nobody should wait for it. */
function isSlowStart({ state, since }: Worker, now: number): boolean {
  return state === 'starting' && now - since >= times.slowStart
}
