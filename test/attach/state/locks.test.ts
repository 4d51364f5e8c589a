// The waits of a verb for locks share one bound of time.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { withDeviceLock } from '../../../src/attach/foreign/device-lock.ts'
import { onePfChangeAtATime, withPatience } from '../../../src/attach/state/locks.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import type { Machine } from '../../../src/kernel/api/machine.ts'
import type { Op } from '../../../src/ops/op.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

class LockTimeout extends Error {
  readonly kind = 'lock-timeout'
}

/** A machine whose locks are held by others for so long, in milliseconds, by the ends of their paths. */
function machineWith(held: Readonly<Record<string, number>>) {
  const asked: (readonly [string, number])[] = []
  const machine: Partial<Machine> = {
    sharedDir: '/shared',
    withLock: (path, milliseconds, action) => {
      asked.push([path, milliseconds])
      const wait = held[path] ?? 0
      vi.advanceTimersByTime(Math.min(wait, milliseconds))
      if (wait > milliseconds) throw new LockTimeout(path)
      return action()
    },
  }
  return { machine: machine as Machine, asked }
}

describe('all waits of a verb for locks together', () => {
  test('are bounded; what is done under a lock does not count', () => {
    const { machine, asked } = machineWith({ a: 12_000, b: 15_000 })
    const patient = withPatience(machine)
    const value = patient.withLock('a', 30_000, () => {
      vi.advanceTimersByTime(60_000)
      return patient.withLock('b', 30_000, () => patient.withLock('c', 30_000, () => 7))
    })
    expect(value).toBe(7)
    expect(asked).toEqual([
      ['a', 30_000],
      ['b', 18_000],
      ['c', 3_000],
    ])
  })

  test('one that was not to be had has used up its part, and a free one is still had', () => {
    const { machine, asked } = machineWith({ a: 60_000 })
    const patient = withPatience(machine)
    expect(() => patient.withLock('a', 30_000, () => 0)).toThrow(LockTimeout)
    expect(() => patient.withLock('a', 30_000, () => 0)).toThrow(LockTimeout)
    expect(patient.withLock('b', 30_000, () => 7)).toBe(7)
    expect(asked.map(([, milliseconds]) => milliseconds)).toEqual([30_000, 0, 0])
  })

  test('a shorter wait stays as short, and an error under a lock is passed on', () => {
    const { machine, asked } = machineWith({})
    const patient = withPatience(machine)
    const fail = () => {
      throw new RangeError('mine')
    }
    expect(() => patient.withLock('a', 0, fail)).toThrow('mine')
    expect(asked).toEqual([['a', 0]])
  })

  test('the locks of a device and of its PF are such', () => {
    const lock = '/state/lock/netdev:dev0'
    const { machine, asked } = machineWith({ [lock]: 12_000, '/shared/pf-lock 0000:3b:00.0': 15_000 })
    const patient = withPatience(machine)
    const kernel: Partial<Kernel> = { run: () => ({}) }
    const change: Op = { do: 'vf.set', pf: 'pf0', vf: 0, set: { trust: true }, was: { trust: false } }
    withDeviceLock(patient, '/state', 'netdev:dev0', () => {
      const runner = onePfChangeAtATime(patient, kernel as Kernel, '0000:3b:00.0')
      runner.run(change)
      runner.run({ do: 'link.set', side: 'host', name: 'vf0', set: { up: true }, was: { up: false } })
      expect(() => runner.run(change)).toThrow(LockTimeout)
    })
    expect(asked.map(([, milliseconds]) => milliseconds)).toEqual([30_000, 18_000, 3_000])
  })
})
