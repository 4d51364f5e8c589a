/**
 * The supervisor's loop: one wait for everything, then what has happened goes to the decisions, and what they want is done. Nothing here
 * may block: a supervisor that stands still delays each call of the node by the shim's patience.
 */
import { errorText } from '../../lib/error-text.ts'
import { collectGarbage } from '../../sys/memory/memory.ts'
import { type Polled, poll, pollBits, type SignalName, signalDescriptor, takeSignal } from '../../sys/poll.ts'
import { socketPath } from '../protocol.ts'
import { readSettings, type Settings } from '../settings.ts'
import { type AgentStatus, statusSocketPath } from '../status.ts'
import type { Connection } from './connections.ts'
import { Crew } from './crew.ts'
import { Decisions } from './decisions.ts'
import type { Action, Event, Limits } from './events.ts'
import { Front } from './front.ts'
import { tell, tellOnce } from './log.ts'
import type { ServiceManager } from './notify.ts'
import { StatusServer } from './status-server.ts'
import { agentStatus, gauges } from './status-text.ts'
import { Tally } from './tally.ts'

/** Signals that the supervisor takes. All its threads must have them blocked. */
export const ownSignals: readonly SignalName[] = ['SIGTERM', 'SIGINT', 'SIGHUP']

/** Time without an event after which garbage is collected, in milliseconds. */
const quietTime = 3_000

/** A descriptor that is waited for, and what is done then. */
interface Watched extends Polled {
  act(bits: number): void
}

/** Parameters of the loop. */
export interface LoopOptions {
  readonly settings: Settings
  readonly processors: number
  readonly build: string
  readonly manager: ServiceManager
}

/** See the head of this file. */
export class Loop {
  readonly #options: LoopOptions
  #settings: Settings
  #settingsProblem: string | undefined
  readonly #decisions: Decisions
  readonly #tally = new Tally()
  readonly #front = new Front(this.#tally, (event) => this.#happened(event))
  readonly #crew = new Crew(this.#tally, (event) => this.#happened(event))
  readonly #began = performance.now()
  readonly #signals = signalDescriptor(ownSignals)
  readonly #status: StatusServer
  /** Time of the last event; undefined once garbage was collected since. */
  #stirredAt: number | undefined = 0
  #signOfLife = 0
  #isFinished = false
  readonly #events: Event[] = []

  constructor(options: LoopOptions) {
    this.#options = options
    this.#settings = options.settings
    this.#decisions = new Decisions(this.#limits())
    this.#status = new StatusServer({
      path: statusSocketPath,
      status: () => this.#report(),
      metrics: () => this.#tally.series.text(gauges(this.#report())),
    })
  }

  /** Serves until a signal, or another agent, ends it. @throws SystemError, OpenFolder when it cannot listen */
  run(): void {
    this.#front.listen()
    this.#status.listen(this.#settings.metrics)
    this.#options.manager.ready('serves calls')
    this.#happened({ is: 'time' })
    while (!this.#isFinished) {
      const watched = this.#watched()
      const bits = poll(watched, this.#patience())
      for (const [index, one] of watched.entries()) if (bits[index] !== 0) this.#act(one, bits[index] ?? 0)
      this.#tick(bits.some((one) => one !== 0))
    }
    this.#status.end()
  }

  #act(one: Watched, bits: number): void {
    try {
      one.act(bits)
    } catch (error) {
      // One connection or worker must not end the service of all.
      tellOnce(`Cannot serve a descriptor: ${errorText(error)}`)
    }
  }

  #limits(): Limits {
    const { workers, maxWorkers, callsPerWorker, workerMemory } = this.#settings
    return {
      ...{ least: workers, most: maxWorkers, processors: this.#options.processors },
      ...{ calls: callsPerWorker, kilobytes: workerMemory * 1024 },
    }
  }

  /** The signals come first, then workers: they may have become free for the connections behind them. */
  #watched(): readonly Watched[] {
    const all: Watched[] = [{ fd: this.#signals, events: pollBits.in, act: () => this.#signal() }]
    all.push(...this.#crew.watched())
    all.push(...this.#front.watched(performance.now()))
    all.push(...this.#status.watched())
    return all
  }

  #patience(): number {
    const now = performance.now()
    const moments = [
      this.#decisions.deadline(now),
      this.#front.deadline(now),
      this.#status.deadline(now),
      this.#options.manager.interval === undefined
        ? undefined
        : this.#signOfLife + this.#options.manager.interval - now,
    ].filter((one) => one !== undefined)
    // A millisecond more: a wait that ends a little early would be followed by many short ones.
    return moments.length === 0 ? -1 : Math.max(Math.min(...moments), 0) + 1
  }

  #tick(isStirred: boolean): void {
    const now = performance.now()
    this.#tidy(isStirred, now)
    this.#status.tick(now)
    const { manager } = this.#options
    if (manager.interval !== undefined && now - this.#signOfLife >= manager.interval) {
      this.#signOfLife = now
      manager.isAlive()
    }
    if (this.#front.isReplaced(now)) this.#drain(`another agent listens at ${socketPath}`)
    this.#happened({ is: 'time' })
  }

  /** Garbage of many calls is collected when none comes. */
  #tidy(isStirred: boolean, now: number): void {
    if (isStirred) this.#stirredAt = now
    else if (this.#stirredAt !== undefined && now - this.#stirredAt >= quietTime) {
      this.#stirredAt = undefined
      collectGarbage()
    }
  }

  /** An event, and all that follows from it. */
  #happened(event: Event): void {
    this.#events.push(event)
    // Actions that fail are events of their own, and come after those that are under way.
    if (this.#events.length > 1) return
    for (let next = this.#events[0]; next !== undefined; next = this.#events[0]) {
      const actions = this.#decisions.take(next, performance.now())
      for (const action of actions)
        try {
          this.#do(action)
        } catch (error) {
          // One connection or worker must not end the service of all.
          tellOnce(`Cannot ${action.do}: ${errorText(error)}`)
        }
      this.#events.shift()
    }
  }

  #do(action: Action): void {
    switch (action.do) {
      case 'wait':
        this.#withConnection(action.connection, (one) => this.#front.connections.sayWait(one))
        return
      case 'standalone':
        this.#tally.fellBack(action.reason)
        this.#withConnection(action.connection, (one) =>
          this.#front.connections.standalone(one, action.reason),
        )
        return
      case 'hand':
        this.#hand(action.connection, action.worker)
        return
      case 'start':
        this.#crew.start(action.worker)
        return
      case 'end':
        this.#crew.end(action.worker)
        return
      case 'kill':
        this.#crew.kill(action.worker, action.reason)
        return
      case 'crashed':
        this.#tally.workerEnded('crashed')
        if (action.milliseconds > 0) tell(`no worker is started for ${action.milliseconds} ms: they crash`)
        return
      case 'finish':
        this.#isFinished = true
    }
  }

  #withConnection(id: number, action: (one: Connection) => void): void {
    const one = this.#front.connections.get(id)
    if (one !== undefined) action(one)
  }

  #hand(id: number, worker: number): void {
    const one = this.#front.connections.get(id)
    if (one === undefined) return
    if (!this.#crew.hand(worker, one.fd)) {
      this.#happened({ is: 'unhanded', connection: id, worker })
      return
    }
    this.#tally.waited(performance.now() - one.since)
    this.#front.connections.drop(one)
  }

  #signal(): void {
    for (let signal = takeSignal(this.#signals); signal !== undefined; signal = takeSignal(this.#signals))
      if (signal === 'SIGHUP') this.#reload()
      else this.#drain(`got ${signal}`)
  }

  #reload(): void {
    const { manager } = this.#options
    manager.reloading()
    try {
      this.#settings = readSettings()
      this.#settingsProblem = undefined
      tell('SIGHUP: the settings were read again; workers are replaced')
    } catch (error) {
      this.#settingsProblem = errorText(error)
      tell(`SIGHUP: ${this.#settingsProblem}; the settings stay as they were; workers are replaced`)
    }
    this.#happened({ is: 'limits', limits: this.#limits() })
    this.#status.listenTcp(this.#settings.metrics)
    manager.ready('serves calls')
  }

  /** Accepts nothing more, and ends after the last call. */
  #drain(reason: string): void {
    if (!this.#front.isListening) return
    tell(`${reason}: the agent ends after the calls that it has`)
    this.#options.manager.stopping(reason)
    this.#front.end()
    this.#happened({ is: 'drain' })
  }

  #report(): AgentStatus {
    return agentStatus({
      ...{ build: this.#options.build, isDraining: !this.#front.isListening },
      ...{ seconds: (performance.now() - this.#began) / 1_000, decisions: this.#decisions },
      ...{ tally: this.#tally, problem: this.#settingsProblem, now: performance.now() },
      workers: this.#crew.states,
    })
  }
}
