// The supervisor's decisions: which call goes to which worker and when, how many workers there are, which ones end, and who is sent away.
// Time is a number here.
import { beforeEach, describe, expect, test } from 'vitest'
import type { EndedCall, Report } from '../../../src/agent/control.ts'
import { Decisions } from '../../../src/agent/supervisor/decisions.ts'
import {
  type Action,
  type Event,
  type Limits,
  times,
  type Verb,
} from '../../../src/agent/supervisor/events.ts'

const limits: Limits = { least: 2, most: 4, processors: 2, calls: 100, kilobytes: 100_000 }
const ended = (more: Partial<EndedCall> = {}): Report => ({
  ...{ did: 'ended', outcome: 'answered', milliseconds: 1, kilobytes: 1000 },
  ...more,
})

let decisions: Decisions
let now = 0
beforeEach(() => {
  decisions = new Decisions(limits)
  now = 0
})

const take = (event: Event): readonly Action[] => decisions.take(event, now)
const pass = (milliseconds: number): readonly Action[] => {
  now += milliseconds
  return take({ is: 'time' })
}
const report = (worker: number, one: Report) => take({ is: 'report', worker, report: one })
const hello = (connection: number, verb: Verb = 'ADD') => take({ is: 'hello', connection, verb })
const states = () => decisions.workers.map(({ state }) => state)

/** Starts the agent with two workers, 1 and 2, both free. */
function begin(): void {
  expect(pass(0)).toEqual([1, 2].map((worker) => ({ do: 'start', worker })))
  report(1, { did: 'start' })
  report(2, { did: 'start' })
}

/** Two workers that serve the connections 1 and 2. */
function beginBusy(): void {
  begin()
  hello(1)
  hello(2)
  expect(states()).toEqual(['busy', 'busy'])
  for (const worker of [1, 2]) report(worker, { did: 'begin', name: 'vf-attach', verb: 'ADD' })
}

/** Four workers, which are all that there may be, and wait. */
function beginFull(on: 'ipam' | 'lock'): void {
  begin()
  for (const connection of [1, 2, 3, 4]) hello(connection)
  for (const worker of [1, 2]) report(worker, { did: 'wait', on })
  for (const worker of [3, 4]) {
    expect(pass(times.crowded)).toEqual([{ do: 'start', worker }])
    report(worker, { did: 'start' })
    report(worker, { did: 'wait', on })
  }
  expect(states()).toEqual(['busy', 'busy', 'busy', 'busy'])
}

describe('a call', () => {
  test('is told to wait, and goes at once to the worker that was free last', () => {
    begin()
    now = 10
    hello(1)
    report(2, { did: 'begin', name: 'vf-attach', verb: 'ADD' })
    const [hand] = decisions.workers.filter(({ state }) => state === 'busy')
    report(hand?.id ?? 0, ended())
    now = 20
    expect(hello(2)).toEqual([
      { do: 'wait', connection: 2 },
      { do: 'hand', connection: 2, worker: hand?.id },
    ])
  })

  test('waits for a worker, DELs before others, others as they have come', () => {
    beginBusy()
    hello(3, 'ADD')
    hello(4, 'CHECK')
    hello(5, 'DEL')
    const order = [1, 2, 1].map((worker) => report(worker, ended()))
    expect(order).toEqual([
      [{ do: 'hand', connection: 5, worker: 1 }],
      [{ do: 'hand', connection: 3, worker: 2 }],
      [{ do: 'hand', connection: 4, worker: 1 }],
    ])
  })

  test('whose shim has left goes to nobody', () => {
    beginBusy()
    hello(3)
    take({ is: 'left', connection: 3 })
    expect(report(1, ended())).toEqual([])
    expect(decisions.queued).toBe(0)
  })

  test('that a worker did not take goes to another, and the worker is ended', () => {
    begin()
    const hand = hello(1).find((action) => action.do === 'hand')
    const worker = hand?.worker ?? 0
    expect(take({ is: 'unhanded', connection: 1, worker })).toEqual([
      { do: 'kill', worker, reason: 'it took no call' },
      { do: 'hand', connection: 1, worker: 3 - worker },
      { do: 'start', worker: 3 },
    ])
  })

  test('is sent away after its patience once all workers that there may be are busy', () => {
    beginFull('lock')
    hello(5)
    expect(pass(times.patience - 1)).toEqual([])
    expect(pass(1)).toEqual([{ do: 'standalone', connection: 5, reason: 'no worker is free' }])
  })

  test('is sent away soon once the IPAM programs of all workers that there may be have no answer', () => {
    beginFull('ipam')
    hello(5, 'DEL')
    expect(pass(times.hung - 1)).toEqual([])
    expect(pass(1)).toEqual([{ do: 'standalone', connection: 5, reason: 'no worker is free' }])
    hello(6, 'DEL')
    expect(pass(times.hopeless - 1)).toEqual([])
    expect(pass(1)).toEqual([{ do: 'standalone', connection: 6, reason: 'no worker is free' }])
  })

  test('is not sent away early while workers work and more may come', () => {
    beginBusy()
    hello(3)
    for (let time = 0; time < times.longest - 100; time += 100) {
      for (const worker of [1, 2]) report(worker, { did: 'work' })
      expect(pass(100)).toEqual([])
    }
    for (const worker of [1, 2]) report(worker, { did: 'work' })
    expect(pass(100)).toEqual([{ do: 'standalone', connection: 3, reason: 'no worker is free' }])
  })
})

describe('another worker starts', () => {
  test('when calls wait and all workers have waited long enough', () => {
    beginBusy()
    hello(3)
    report(1, { did: 'wait', on: 'ipam' })
    report(2, { did: 'wait', on: 'lock' })
    expect(pass(times.crowded - 1)).toEqual([])
    expect(pass(1)).toEqual([{ do: 'start', worker: 3 }])
    // One at a time.
    expect(pass(times.crowded)).toEqual([])
    expect(report(3, { did: 'start' })).toEqual([{ do: 'hand', connection: 3, worker: 3 }])
  })

  test('not while one of them works', () => {
    beginBusy()
    hello(3)
    report(1, { did: 'wait', on: 'ipam' })
    report(2, { did: 'wait', on: 'ipam' })
    report(2, { did: 'work' })
    expect(pass(times.crowded)).toEqual([])
  })

  test('when they have reported nothing for long', () => {
    beginBusy()
    hello(3)
    expect(pass(times.silent)).toEqual([{ do: 'start', worker: 3 }])
  })

  test('when there are fewer than processors', () => {
    decisions = new Decisions({ ...limits, processors: 3 })
    beginBusy()
    hello(3)
    expect(pass(times.crowded)).toEqual([{ do: 'start', worker: 3 }])
  })

  test('and ends when it has been idle, down to the least number', () => {
    beginBusy()
    hello(3)
    pass(times.silent)
    report(3, { did: 'start' })
    for (const worker of [1, 2, 3]) report(worker, ended())
    expect(pass(times.idle - 1)).toEqual([])
    expect(pass(1)).toEqual([{ do: 'end', worker: 1 }])
    take({ is: 'exit', worker: 1 })
    expect(pass(times.idle * 2)).toEqual([])
  })
})

describe('a worker is replaced', () => {
  test.each([
    ['has served its number of calls', { calls: 1 }, ended()],
    ['has grown', {}, ended({ kilobytes: limits.kilobytes })],
  ])('that %s', (_, more, report) => {
    decisions = new Decisions({ ...limits, ...more })
    begin()
    const worker = hello(1).find((action) => action.do === 'hand')?.worker ?? 0
    expect(take({ is: 'report', worker, report })).toEqual([
      { do: 'end', worker },
      { do: 'start', worker: 3 },
    ])
    expect(take({ is: 'exit', worker })).toEqual([])
  })

  test('that leaves by itself, which is no crash', () => {
    begin()
    const worker = hello(1).find((action) => action.do === 'hand')?.worker ?? 0
    expect(report(worker, ended({ leaves: 'a descriptor is left' }))).toEqual([{ do: 'start', worker: 3 }])
    expect(take({ is: 'exit', worker })).toEqual([])
  })

  test('with new settings, after its call', () => {
    begin()
    const busy = hello(1).find((action) => action.do === 'hand')?.worker ?? 0
    const free = 3 - busy
    expect(take({ is: 'limits', limits })).toEqual([
      { do: 'end', worker: free },
      { do: 'start', worker: 3 },
    ])
    expect(report(busy, ended())).toEqual([
      { do: 'end', worker: busy },
      { do: 'start', worker: 4 },
    ])
  })
})

describe('a worker is ended by force', () => {
  test.each([
    ['makes no progress', times.stuck, false, 'no progress'],
    ['has had no shim', times.orphaned, true, 'its caller was gone'],
  ] as const)('that %s for long', (_, time, isOrphaned, reason) => {
    begin()
    const worker = hello(1).find((action) => action.do === 'hand')?.worker ?? 0
    report(worker, { did: 'begin', name: 'vf-attach', verb: 'ADD' })
    if (isOrphaned) take({ is: 'shim gone', worker })
    expect(pass(time - 1)).toEqual([])
    expect(pass(1)).toEqual([
      { do: 'kill', worker, reason },
      { do: 'start', worker: 3 },
    ])
  })

  test('that takes no call, so that its shim goes on by itself', () => {
    begin()
    const worker = hello(1).find((action) => action.do === 'hand')?.worker ?? 0
    expect(pass(times.deaf - 1)).toEqual([])
    expect(pass(1)).toContainEqual({ do: 'kill', worker, reason: 'it took no call' })
  })

  test('not while it makes progress', () => {
    begin()
    const worker = hello(1).find((action) => action.do === 'hand')?.worker ?? 0
    report(worker, { did: 'begin', name: 'vf-attach', verb: 'ADD' })
    pass(times.stuck - 1)
    report(worker, { did: 'work' })
    expect(pass(times.stuck - 1)).toEqual([])
  })

  test('that does not end, and one that does not start', () => {
    begin()
    take({ is: 'limits', limits })
    expect(pass(times.end)).toEqual(
      [1, 2].map((worker) => ({ do: 'kill', worker, reason: 'it did not end' })),
    )
    expect(pass(times.start - times.end)).toEqual([
      { do: 'kill', worker: 3, reason: 'it did not start' },
      { do: 'kill', worker: 4, reason: 'it did not start' },
    ])
  })
})

test('no call waits for long for a worker that is slow to start, and another one is started', () => {
  decisions = new Decisions({ ...limits, least: 1 })
  pass(0)
  pass(times.slowStart)
  hello(1)
  expect(pass(times.crowded)).toEqual([{ do: 'start', worker: 2 }])
  expect(pass(times.patience - times.crowded)).toEqual([
    { do: 'standalone', connection: 1, reason: 'no worker is free' },
  ])
})

describe('workers that crash', () => {
  test('are replaced at once the first time, then after longer and longer pauses; calls are sent away meanwhile', () => {
    decisions = new Decisions({ ...limits, least: 1 })
    pass(0)
    expect(take({ is: 'exit', worker: 1 })).toEqual([
      { do: 'crashed', worker: 1, milliseconds: 0 },
      { do: 'start', worker: 2 },
    ])
    for (let worker = 2, pause: number = times.firstPause; worker < 12; worker++) {
      expect(take({ is: 'exit', worker })).toEqual([{ do: 'crashed', worker, milliseconds: pause }])
      expect(hello(worker)).toEqual([
        { do: 'wait', connection: worker },
        { do: 'standalone', connection: worker, reason: 'workers do not start' },
      ])
      expect(decisions.deadline(now)).toBe(pause)
      expect(pass(pause - 1)).toEqual([])
      expect(pass(1)).toEqual([{ do: 'start', worker: worker + 1 }])
      pause = Math.min(pause * 2, times.longestPause)
    }
  })

  test('count anew after a calm time', () => {
    decisions = new Decisions({ ...limits, least: 1 })
    pass(0)
    take({ is: 'exit', worker: 1 })
    report(2, { did: 'start' })
    pass(times.calm + 1)
    expect(take({ is: 'exit', worker: 2 })).toEqual([
      { do: 'crashed', worker: 2, milliseconds: 0 },
      { do: 'start', worker: 3 },
    ])
  })
})

describe('the end', () => {
  test('comes after the calls that wait, and after all workers', () => {
    beginBusy()
    hello(3)
    expect(take({ is: 'drain' })).toEqual([])
    expect(report(1, ended())).toEqual([{ do: 'hand', connection: 3, worker: 1 }])
    expect(report(2, ended())).toEqual([{ do: 'end', worker: 2 }])
    expect(take({ is: 'exit', worker: 2 })).toEqual([])
    expect(report(1, ended())).toEqual([{ do: 'end', worker: 1 }])
    expect(take({ is: 'exit', worker: 1 })).toEqual([{ do: 'finish' }])
  })

  test('sends calls away that nobody takes in time', () => {
    beginBusy()
    hello(3)
    take({ is: 'drain' })
    expect(pass(times.patience)).toEqual([{ do: 'standalone', connection: 3, reason: 'the agent stops' }])
  })

  test('comes at once when nobody is there', () => {
    expect(take({ is: 'drain' })).toEqual([{ do: 'finish' }])
  })

  test('does not wait for a process that the kernel does not let go', () => {
    begin()
    take({ is: 'drain' })
    pass(times.end)
    expect(pass(times.killed)).toEqual([{ do: 'finish' }])
  })
})
