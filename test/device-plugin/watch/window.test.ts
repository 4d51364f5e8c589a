// Windows of changes: one call for many changes, never two at once, a pause in a storm, and periodic scans that cost little.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Change, Changes } from '../../../device-plugin/inventory/watch/change.ts'
import { Windows, type WindowTimes } from '../../../device-plugin/inventory/watch/window.ts'
import { VirtualClock } from './virtual-clock.ts'

const pci = (subject: string): Change => ({ kind: 'pci', subject })

function bed(onChange: (changes: Changes) => void | Promise<void> = () => undefined, times?: WindowTimes) {
  const clock = new VirtualClock()
  const calls: (Changes & { readonly at: number })[] = []
  const failures: unknown[] = []
  const windows = new Windows({
    clock,
    ...(times === undefined ? {} : { times }),
    onChange: (changes) => {
      calls.push({ ...changes, at: clock.now() })
      return onChange(changes)
    },
    onFailure: (error) => failures.push(error),
  })
  return { clock, windows, calls, failures }
}

describe('a window', () => {
  test('closes 100 ms after the last change', async () => {
    const { clock, windows, calls } = bed()
    windows.add(pci('a'))
    await clock.advance(60)
    windows.add(pci('b'))
    await clock.advance(99)
    expect(calls).toEqual([])
    await clock.advance(1)
    expect(calls).toEqual([
      { at: 160, total: 2, counts: { pci: 2 }, subjects: ['pci a', 'pci b'], isFull: false },
    ])
    await clock.advance(10_000)
    expect(calls).toHaveLength(1)
  })

  test('closes after 250 ms, whatever comes', async () => {
    const { clock, windows, calls } = bed()
    for (let count = 0; count < 50; count++) {
      windows.add(pci(String(count)))
      await clock.advance(10)
    }
    await clock.advance(1_000)
    expect(calls.map(({ at }) => at)).toEqual([250, 500])
    expect(calls.map(({ total }) => total).reduce((sum, one) => sum + one)).toBe(50)
  })

  test('tells of the first eight different subjects, and counts the rest', async () => {
    const { clock, windows, calls } = bed()
    for (let count = 0; count < 5_000; count++) windows.add(pci(String(count >> 1)))
    windows.add({ kind: 'link', subject: 'eth0' })
    expect(clock.pending).toBe(2)
    await clock.advance(250)
    expect(calls).toMatchObject([
      {
        total: 5_001,
        counts: { pci: 5_000, link: 1 },
        subjects: Array.from('01234567', (one) => `pci ${one}`),
      },
    ])
  })

  test.each(['lost', 'asked', 'timer'] as const)('with %s is a full one', async (kind) => {
    const { clock, windows, calls } = bed()
    windows.add({ kind, subject: 'x' })
    windows.add(pci('a'))
    await clock.advance(250)
    windows.add(pci('b'))
    await clock.advance(250)
    expect(calls.map(({ isFull }) => isFull)).toEqual([true, false])
  })

  test('is not opened after close, and an open one is forgotten', async () => {
    const { clock, windows, calls } = bed()
    windows.add(pci('a'))
    windows.close()
    windows.add(pci('b'))
    expect(clock.pending).toBe(0)
    await clock.advance(3_600_000)
    expect(calls).toEqual([])
  })
})

describe('onChange', () => {
  test('never runs twice at a time; what comes meanwhile is one more window', async () => {
    const waiting: (() => void)[] = []
    const { clock, windows, calls } = bed(() => new Promise((resolve) => waiting.push(resolve)))
    windows.add(pci('a'))
    await clock.advance(100)
    windows.add(pci('b'))
    await clock.advance(5_000)
    windows.add(pci('c'))
    await clock.advance(5_000)
    expect(calls).toHaveLength(1)
    waiting.shift()?.()
    await clock.advance(0)
    expect(calls[1]).toMatchObject({ at: 10_100, subjects: ['pci b', 'pci c'] })
    waiting.shift()?.()
    await clock.advance(1_000)
    expect(calls).toHaveLength(2)
  })

  test('that throws is told of, and the next change calls it again', async () => {
    const { clock, windows, calls, failures } = bed(() => {
      throw new RangeError('no')
    })
    windows.add(pci('a'))
    await clock.advance(250)
    windows.add(pci('b'))
    await clock.advance(250)
    expect(calls).toHaveLength(2)
    expect(failures).toEqual([new RangeError('no'), new RangeError('no')])
    expect(windows.stats).toMatchObject({ runs: 2, failures: 2 })
  })

  test('that throws is called again after 1 s, then later and later, without any change; a success ends that', async () => {
    let isBroken = true
    const { clock, windows, calls } = bed(() => {
      if (isBroken) throw new RangeError('no')
    })
    windows.add(pci('a'))
    await clock.advance(8_000)
    expect(calls.map(({ at }) => at)).toEqual([100, 1_200, 3_300, 7_400])
    isBroken = false
    await clock.advance(8_100)
    expect(calls).toHaveLength(5)
    await clock.advance(59_000)
    expect(calls).toHaveLength(5)
  })

  test('that never succeeds is called once in a minute in the end', async () => {
    const { clock, windows, calls } = bed(() => {
      throw new RangeError('no')
    })
    windows.add(pci('a'))
    await clock.advance(600_000)
    const before = calls.length
    await clock.advance(600_000)
    expect(calls.length - before).toBeLessThanOrEqual(10)
  })

  test('pauses in a storm for twice its processor time, 500 ms at most', async () => {
    for (const [cost, gap] of [
      [100, 200],
      [1_000, 500],
    ] as const) {
      const { clock, windows, calls } = bed(() => clock.work(cost))
      for (let count = 0; count < 200; count++) {
        windows.add(pci('a'))
        await clock.advance(20)
      }
      const times = calls.map(({ at }) => at)
      const gaps = times.slice(1).map((at, index) => at - (times[index] as number) - cost)
      expect(gaps.length).toBeGreaterThan(2)
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(gap)
      expect(Math.max(...gaps)).toBeLessThanOrEqual(gap + 300)
    }
  })

  test('never misses a change, and is never called for none', async () => {
    const step = fc.record({ wait: fc.nat(400), cost: fc.nat(50), add: fc.nat(3) })
    const property = fc.asyncProperty(fc.array(step), async (steps) => {
      let cost = 0
      const { clock, windows, calls } = bed(() => clock.work(cost))
      let added = 0
      for (const one of steps) {
        cost = one.cost
        for (let count = 0; count < one.add; count++) windows.add(pci(String(added++)))
        await clock.advance(one.wait)
      }
      await clock.advance(1_000)
      expect(calls.map(({ total }) => total).reduce((sum, total) => sum + total, 0)).toBe(added)
      expect(calls.every(({ total }) => total > 0)).toBe(true)
    })
    await fc.assert(property, { numRuns: 50 })
  })
})

describe('the periodic scan', () => {
  test.each([
    ['a minute after a cheap one', 1, 60_000],
    ['4,000 times its processor time later', 150, 600_000],
    ['a quarter of an hour later at most', 5_000, 900_000],
  ])('comes %s', async (_, cost, period) => {
    const { clock, windows, calls } = bed(() => clock.work(cost))
    await clock.advance(60_100)
    expect(calls).toMatchObject([{ counts: { timer: 1 }, isFull: true }])
    const before = clock.now()
    expect(windows.stats.period).toBe(period)
    await clock.advance(period - 1)
    expect(calls).toHaveLength(1)
    await clock.advance(101)
    expect(calls).toHaveLength(2)
    expect(calls[1]?.at).toBe(before + period + 100)
  })

  test('is put off by each other scan', async () => {
    const { clock, windows, calls } = bed()
    for (let count = 0; count < 10; count++) {
      windows.add(pci('a'))
      await clock.advance(59_000)
    }
    expect(calls.map(({ counts }) => counts)).toEqual(Array.from({ length: 10 }, () => ({ pci: 1 })))
  })
})
