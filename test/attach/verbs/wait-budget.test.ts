// GC shares its time among devices that are nowhere to be seen. The clock moves when somebody sleeps.
import { expect, test } from 'vitest'
import { collectInTime, gcMilliseconds, type Waits } from '../../../src/attach/verbs/wait-budget.ts'
import type { Machine } from '../../../src/kernel/api/machine.ts'

/** A machine that only sleeps, how long it has, and the clock by which it does. */
function sleeper() {
  const slept = { milliseconds: 0 }
  const now = () => slept.milliseconds
  const machine = {
    sleep: (milliseconds: number) => {
      slept.milliseconds += milliseconds
    },
  } as Machine
  return { machine, slept, now }
}

/** Devices by name with the milliseconds after which each comes home, which are looked for as a restore looks. */
function collecting(devices: Readonly<Record<string, number>>) {
  const home: string[] = []
  const collect = ({ machine }: Waits, name: string) => {
    for (let waited = 0; waited < (devices[name] ?? 0); waited += 20) machine.sleep(20)
    home.push(name)
  }
  return { home, names: Object.keys(devices), collect }
}

test('what is at hand comes first, and nobody waits for the others meanwhile', () => {
  const { machine, slept, now } = sleeper()
  const { home, names, collect } = collecting({ hidden: 17_000, one: 0, late: 40, two: 0 })
  expect(collectInTime(machine, names, collect, { start: 0, now })).toEqual([])
  expect(home).toEqual(['one', 'two', 'hidden', 'late'])
  expect(slept.milliseconds).toBe(17_040)
})

test('a pod that hides many devices makes no GC longer than its time; what is left is named', () => {
  const { machine, slept, now } = sleeper()
  const devices = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`vf${index}`, 17_000]))
  const { home, names, collect } = collecting({ ...devices, own: 0 })
  const left = collectInTime(machine, names, collect, { start: 0, now })
  expect(slept.milliseconds).toBe(gcMilliseconds)
  expect(home).toEqual(['own', 'vf0'])
  expect(left).toEqual(names.slice(1, 30))
})

test('the next GC begins with another one of them', () => {
  const { machine, now } = sleeper()
  const { home, names, collect } = collecting({ a: 10_000, b: 10_000, c: 10_000, d: 10_000 })
  expect(collectInTime(machine, names, collect, { start: 0.5, milliseconds: 25_000, now })).toEqual([
    'a',
    'b',
  ])
  expect(home).toEqual(['c', 'd'])
})

test('what fails ends it as before: the caller tells one device from the next', () => {
  const { machine, now } = sleeper()
  const fail = () => {
    throw new Error('broken')
  }
  expect(() => collectInTime(machine, ['a'], fail, { now })).toThrow('broken')
})

test('what is locked within counts too, and whatever fails then is tried again while there is time', () => {
  const { machine: node, slept, now } = sleeper()
  class LockTimeout extends Error {
    readonly kind = 'lock-timeout'
  }
  const asked: number[] = []
  const withLock = (_: string, milliseconds: number): never => {
    asked.push(milliseconds)
    slept.milliseconds += milliseconds
    throw new LockTimeout()
  }
  const shorts: boolean[] = []
  const collect = ({ machine, isShort }: Waits) => {
    try {
      machine.withLock('pf', 20_000, () => undefined)
    } catch {
      shorts.push(isShort())
    }
  }
  collectInTime({ ...node, withLock }, ['a', 'b'], collect, { start: 0, now })
  expect([asked, shorts]).toEqual([
    [0, 0],
    [true, true],
  ])
  const waiting = ({ machine }: Waits) => machine.withLock('ipam', 20_000, () => undefined)
  expect(() => collectInTime({ ...node, withLock }, ['a', 'b'], waiting, { start: 0, now })).toThrow(
    LockTimeout,
  )
  expect(asked.slice(2)).toEqual([0, 0, 20_000])
})

test('locks that others hold count: none is waited for at first, then as long as there is time', () => {
  const { machine, slept, now } = sleeper()
  class LockTimeout extends Error {
    readonly kind = 'lock-timeout'
  }
  const asked: (readonly [string, number])[] = []
  const collect = ({ locking }: Waits, name: string) =>
    locking((milliseconds) => {
      asked.push([name, milliseconds])
      if (name === 'free') return
      slept.milliseconds += milliseconds
      throw new LockTimeout()
    })
  expect(collectInTime(machine, ['held', 'free', 'kept'], collect, { start: 0, now })).toEqual([
    'held',
    'kept',
  ])
  expect(asked).toEqual([
    ['held', 0],
    ['free', 0],
    ['kept', 0],
    ['held', gcMilliseconds],
    ['kept', 0],
  ])
})
