/**
 * The supervisor's loop: one wait for everything, then what has happened goes to the decisions, and what they want is done. Nothing here
 * may block: a supervisor that stands still delays each call of the node by the shim's patience.
 */
import { errorText } from '../../lib/error-text.ts'
import { close } from '../../sys/ffi.ts'
import { type Polled, poll, pollBits, type SignalName, signalDescriptor, takeSignal } from '../../sys/poll.ts'
import type { Report } from '../control.ts'
import { socketPath } from '../protocol.ts'
import { readSettings, type Settings } from '../settings.ts'
import { type AgentStatus, statusSocketPath } from '../status.ts'
import { type Connection, Connections, shimOf } from './connections.ts'
import { Decisions } from './decisions.ts'
import type { Action, Event, Limits } from './events.ts'
import { endListener, type Listener, listenOver, ownerOf } from './listener.ts'
import { tell, tellOnce } from './log.ts'
import type { ServiceManager } from './notify.ts'
import { StatusServer } from './status-server.ts'
import { agentStatus, gauges } from './status-text.ts'
import { Tally } from './tally.ts'
import { WorkerProcess } from './worker-process.ts'

/** Signals that the supervisor takes. All its threads must have them blocked. */
export const ownSignals: readonly SignalName[] = ['SIGTERM', 'SIGINT', 'SIGHUP']

/** Pause between two looks at the socket's file, in milliseconds: a new agent may have put its own there. */
const lookTime = 1_000

/** A descriptor that is waited for, and what is done then. */
interface Watched extends Polled {
  act(bits: number): void
}

/** What the loop is started with. */
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
  readonly #connections = new Connections()
  readonly #workers = new Map<number, WorkerProcess>()
  readonly #tally = new Tally()
  readonly #calls = new Map<number, { call?: string; waits?: string; kilobytes: number }>()
  readonly #began = performance.now()
  readonly #signals = signalDescriptor(ownSignals)
  #listener: Listener | undefined
  readonly #status: StatusServer
  #lookedAt = 0
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
    this.#listener = listenOver(socketPath)
    this.#status.listen(this.#settings.metrics)
    this.#options.manager.ready('serves calls')
    this.#happened({ is: 'time' })
    while (!this.#isFinished) {
      const watched = this.#watched()
      const bits = poll(watched, this.#patience())
      for (const [index, one] of watched.entries()) if (bits[index] !== 0) one.act(bits[index] ?? 0)
      this.#tick()
    }
    this.#status.end()
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
    for (const [id, worker] of this.#workers) {
      if (worker.control !== undefined)
        all.push({ fd: worker.control, events: pollBits.in, act: () => this.#hear(id, worker) })
      all.push({ fd: worker.process, events: pollBits.in, act: () => this.#exited(id, worker) })
      if (worker.shim !== undefined)
        all.push({ fd: worker.shim, events: pollBits.in, act: () => this.#shimGone(id, worker) })
    }
    for (const one of this.#connections.all)
      all.push({
        fd: one.fd,
        events: one.isQueued ? pollBits.remoteClosed : pollBits.in,
        act: () => (one.isQueued ? this.#left(one) : this.#greet(one)),
      })
    if (this.#listener !== undefined) {
      const { fd } = this.#listener
      all.push({ fd, events: pollBits.in, act: () => this.#accept(fd) })
    }
    all.push(...this.#status.watched())
    return all
  }

  #patience(): number {
    const now = performance.now()
    const moments = [
      this.#decisions.deadline(now),
      this.#connections.deadline(now),
      this.#status.deadline(now),
      this.#listener === undefined ? undefined : this.#lookedAt + lookTime - now,
      this.#options.manager.interval === undefined
        ? undefined
        : this.#signOfLife + this.#options.manager.interval - now,
    ].filter((one) => one !== undefined)
    // A millisecond more: a wait that ends a little early would be followed by many short ones.
    return moments.length === 0 ? -1 : Math.max(Math.min(...moments), 0) + 1
  }

  #tick(): void {
    const now = performance.now()
    for (const one of this.#connections.silent(now)) this.#connections.drop(one)
    this.#status.endSilent(now)
    const { manager } = this.#options
    if (manager.interval !== undefined && now - this.#signOfLife >= manager.interval) {
      this.#signOfLife = now
      manager.isAlive()
    }
    if (this.#listener !== undefined && now - this.#lookedAt >= lookTime)
      this.#lookAtSocket(this.#listener, now)
    this.#happened({ is: 'time' })
  }

  #lookAtSocket(listener: Listener, now: number): void {
    this.#lookedAt = now
    const owner = ownerOf(listener)
    if (owner === 'us') return
    if (owner === 'other') {
      this.#drain(`another agent listens at ${listener.path}`)
      return
    }
    tell(`${listener.path} was removed: the agent listens there anew`)
    try {
      this.#listener = listenOver(socketPath)
      close(listener.fd)
    } catch (error) {
      tellOnce(`Cannot listen: ${errorText(error)}`)
    }
  }

  /** An event, and all that follows from it. */
  #happened(event: Event): void {
    this.#events.push(event)
    // Actions that fail are events of their own, and come after those that are under way.
    if (this.#events.length > 1) return
    for (let next = this.#events[0]; next !== undefined; next = this.#events[0]) {
      const actions = this.#decisions.take(next, performance.now())
      for (const action of actions) this.#do(action)
      this.#events.shift()
    }
  }

  #do(action: Action): void {
    switch (action.do) {
      case 'wait':
        this.#withConnection(action.connection, (one) => this.#connections.sayWait(one))
        return
      case 'standalone':
        this.#tally.fellBack(action.reason)
        this.#withConnection(action.connection, (one) => this.#connections.standalone(one, action.reason))
        return
      case 'hand':
        this.#hand(action.connection, action.worker)
        return
      case 'start':
        this.#start(action.worker)
        return
      case 'end':
        this.#workers.get(action.worker)?.order({ do: 'end' })
        this.#tally.workerEnded('worn')
        return
      case 'kill': {
        const worker = this.#workers.get(action.worker)
        this.#tally.workerEnded(action.reason, `worker ${worker?.pid} is killed: ${action.reason}`)
        worker?.kill()
        return
      }
      case 'crashed':
        this.#tally.workerEnded('crashed')
        if (action.milliseconds > 0) tell(`no worker is started for ${action.milliseconds} ms: they crash`)
        return
      case 'finish':
        this.#isFinished = true
    }
  }

  #withConnection(id: number, action: (one: Connection) => void): void {
    const one = this.#connections.get(id)
    if (one !== undefined) action(one)
  }

  #hand(id: number, number: number): void {
    const one = this.#connections.get(id)
    const worker = this.#workers.get(number)
    if (one === undefined) return
    const shim = shimOf(one)
    if (worker === undefined || !tryTo(() => worker.order({ do: 'take' }, [one.fd]))) {
      if (shim !== undefined) close(shim)
      this.#events.push({ is: 'unhanded', connection: id, worker: number })
      return
    }
    worker.forgetShim()
    worker.shim = shim
    this.#tally.waited(performance.now() - one.since)
    this.#connections.drop(one)
  }

  #start(number: number): void {
    try {
      this.#workers.set(number, WorkerProcess.start())
      this.#calls.set(number, { kilobytes: 0 })
    } catch (error) {
      tellOnce(`Cannot start a worker: ${errorText(error)}`)
      this.#events.push({ is: 'exit', worker: number })
    }
  }

  #accept(listener: number): void {
    const tooMany = () => this.#tally.fellBack('too many connections')
    for (const one of this.#connections.accept(listener, performance.now(), tooMany)) this.#greet(one)
  }

  #greet(one: Connection): void {
    const verb = this.#connections.greeting(one)
    if (verb !== undefined && verb !== 'nothing') this.#happened({ is: 'hello', connection: one.id, verb })
  }

  #left(one: Connection): void {
    this.#connections.drop(one)
    this.#happened({ is: 'left', connection: one.id })
  }

  #hear(number: number, worker: WorkerProcess): void {
    for (const report of worker.reports()) {
      this.#note(number, worker, report)
      this.#happened({ is: 'report', worker: number, report })
    }
  }

  #note(number: number, worker: WorkerProcess, report: Report): void {
    const known = this.#calls.get(number)
    if (known === undefined) return
    if (report.did === 'begin') known.call = `${report.verb} of ${report.name}`
    if (report.did === 'wait') known.waits = report.on
    if (report.did === 'work') delete known.waits
    if (report.did !== 'ended') return
    worker.forgetShim()
    this.#calls.set(number, { kilobytes: report.kilobytes })
    this.#tally.ended(report)
    if (report.leaves !== undefined) {
      const words = `worker ${worker.pid} leaves after ${report.verb} of ${report.name}: ${report.leaves}`
      this.#tally.workerEnded('left', words)
    }
  }

  #shimGone(number: number, worker: WorkerProcess): void {
    worker.forgetShim()
    this.#happened({ is: 'shim gone', worker: number })
  }

  #exited(number: number, worker: WorkerProcess): void {
    // Its last reports come before its end.
    this.#hear(number, worker)
    const state = this.#decisions.workers.find(({ id }) => id === number)?.state
    const words = worker.bury()
    if (state !== 'ending' && state !== 'killed') tell(`worker ${worker.pid} ${words}`)
    this.#workers.delete(number)
    this.#calls.delete(number)
    this.#happened({ is: 'exit', worker: number })
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
    if (this.#listener === undefined) return
    tell(`${reason}: the agent ends after the calls that it has`)
    this.#options.manager.stopping(reason)
    // Whoever has connected already has seen a living agent.
    this.#accept(this.#listener.fd)
    endListener(this.#listener)
    this.#listener = undefined
    this.#happened({ is: 'drain' })
  }

  #report(): AgentStatus {
    return agentStatus({
      ...{ build: this.#options.build, isDraining: this.#listener === undefined },
      ...{ seconds: (performance.now() - this.#began) / 1_000, decisions: this.#decisions },
      ...{ tally: this.#tally, problem: this.#settingsProblem, now: performance.now() },
      workers: new Map([...this.#workers].map(([id, { pid }]) => [id, { pid, ...this.#calls.get(id) }])),
    })
  }
}

function tryTo(action: () => boolean): boolean {
  try {
    return action()
  } catch {
    return false
  }
}
