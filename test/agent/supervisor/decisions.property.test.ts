// The supervisor's decisions under events by chance: each call gets one of a worker and a sending away, no worker gets two, and once
// events stop and time goes by nobody waits for ever.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EndedCall, Report } from '../../../src/agent/control.ts'
import { Decisions } from '../../../src/agent/supervisor/decisions.ts'
import type { Event, Limits, Verb } from '../../../src/agent/supervisor/events.ts'

const limits: Limits = { least: 2, most: 5, processors: 2, calls: 20, kilobytes: 100_000 }
const ended: EndedCall = { did: 'ended', outcome: 'answered', milliseconds: 1, kilobytes: 1 }

/** The world around the decisions: which shims wait, what each worker does. */
class World {
  readonly decisions = new Decisions(limits)
  readonly waiting = new Map<number, Verb>()
  readonly served = new Set<number>()
  /** Workers whose process lives, with the connection that each has. */
  readonly workers = new Map<number, number | undefined>()
  readonly ready = new Set<number>()
  readonly ending = new Set<number>()
  now = 0
  isFinished = false
  #connection = 1

  take(event: Event): void {
    for (const action of this.decisions.take(event, this.now)) {
      expect(this.isFinished).toBe(false)
      switch (action.do) {
        case 'wait':
          expect(this.waiting.has(action.connection)).toBe(true)
          break
        case 'standalone':
          expect(this.waiting.delete(action.connection)).toBe(true)
          break
        case 'hand': {
          expect(this.ready.has(action.worker) && !this.ending.has(action.worker)).toBe(true)
          expect(this.workers.get(action.worker)).toBeUndefined()
          const verb = this.waiting.get(action.connection)
          if (verb !== 'DEL') expect([...this.waiting.values()]).not.toContain('DEL')
          expect(this.waiting.delete(action.connection)).toBe(true)
          expect(this.served.has(action.connection)).toBe(false)
          this.served.add(action.connection)
          this.workers.set(action.worker, action.connection)
          break
        }
        case 'start':
          expect(this.workers.has(action.worker)).toBe(false)
          this.workers.set(action.worker, undefined)
          break
        case 'end':
          expect(this.workers.has(action.worker)).toBe(true)
          this.ending.add(action.worker)
          break
        case 'kill':
          this.ending.add(action.worker)
          break
        case 'crashed':
          break
        case 'finish':
          expect([...this.waiting]).toEqual([])
          this.isFinished = true
      }
    }
    const living = [...this.workers.keys()].filter((worker) => !this.ending.has(worker))
    expect(living.length).toBeLessThanOrEqual(limits.most)
    if (!this.isFinished) {
      const deadline = this.decisions.deadline(this.now)
      if (this.waiting.size > 0) expect(deadline).toBeGreaterThan(0)
    }
  }

  hello(verb: Verb): void {
    const connection = this.#connection++
    this.waiting.set(connection, verb)
    this.take({ is: 'hello', connection, verb })
  }

  pick<T>(all: Iterable<T>, choice: number): T | undefined {
    const list = [...all]
    return list[choice % Math.max(list.length, 1)]
  }

  report(worker: number, report: Report): void {
    if (report.did === 'start') this.ready.add(worker)
    if (report.did === 'ended') this.workers.set(worker, undefined)
    this.take({ is: 'report', worker, report })
  }

  exit(worker: number): void {
    this.workers.delete(worker)
    this.ready.delete(worker)
    this.take({ is: 'exit', worker })
  }

  /** One thing that happens by chance. */
  step(kind: number, choice: number): void {
    const worker = this.pick(this.workers.keys(), choice)
    const busy = this.pick(
      [...this.workers].flatMap(([id, connection]) => (connection === undefined ? [] : [id])),
      choice,
    )
    if (kind < 4) this.hello((['ADD', 'DEL', 'CHECK', 'GC'] as const)[kind] ?? 'ADD')
    else if (kind < 6) {
      const fresh = this.pick(
        [...this.workers.keys()].filter((id) => !this.ready.has(id)),
        choice,
      )
      if (fresh !== undefined) this.report(fresh, { did: 'start' })
    } else if (kind < 10) {
      if (busy !== undefined) this.report(busy, kind === 9 ? { ...ended, kilobytes: 200_000 } : ended)
    } else if (kind === 10) {
      if (busy !== undefined) this.report(busy, { did: 'wait', on: 'ipam' })
    } else if (kind === 11) {
      if (worker !== undefined) this.exit(worker)
    } else if (kind === 12) {
      const connection = this.pick(this.waiting.keys(), choice)
      if (connection === undefined) return
      this.waiting.delete(connection)
      this.take({ is: 'left', connection })
    } else if (kind === 13) {
      if (busy !== undefined) this.take({ is: 'shim gone', worker: busy })
    } else if (kind === 14) this.take({ is: 'limits', limits })
    else {
      this.now += choice
      this.take({ is: 'time' })
    }
  }

  /** Workers do as they are told, and nothing new comes, until nothing is left to do. */
  settle(): void {
    for (let round = 0; round < 2_000 && !this.isFinished; round++) {
      for (const worker of this.ending) if (this.workers.has(worker)) this.exit(worker)
      for (const worker of [...this.workers.keys()])
        if (!this.ready.has(worker)) this.report(worker, { did: 'start' })
      for (const [worker, connection] of [...this.workers])
        if (connection !== undefined && !this.ending.has(worker)) this.report(worker, ended)
      if (this.isFinished) return
      this.now += Math.ceil(this.decisions.deadline(this.now) ?? 1)
      this.take({ is: 'time' })
    }
  }
}

const steps = fc.array(fc.tuple(fc.nat(18), fc.nat(2_000)), { maxLength: 200 })

test('each call gets one end, and the agent comes to its own', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const world = new World()
      world.take({ is: 'time' })
      for (const [kind, choice] of all) world.step(kind, choice)
      world.settle()
      expect([...world.waiting]).toEqual([])
      expect(world.decisions.queued).toBe(0)
      world.take({ is: 'drain' })
      world.settle()
      expect(world.isFinished).toBe(true)
    }),
    { numRuns: 300 },
  )
})
