// The ledger of devices in use: an answer replaces what was known, a device that was given out stays taken until a source can
// know of it, and without a source only the end of its attachment frees a device.
import { describe, expect, test } from 'vitest'
import type { Attachment } from '../../../device-plugin/allocations/attachment.ts'
import type { Holding } from '../../../device-plugin/allocations/holding.ts'
import { Ledger } from '../../../device-plugin/allocations/ledger.ts'

const times = { settle: 60, linger: 60 }
const resource = 'intel.com/vfs'
const by = (device: string, pod: string): Holding => ({
  ...{ resource, device },
  pod: { namespace: 'default', name: pod },
  container: 'c',
})
const list = (askedAt: number, ...holdings: Holding[]) => ({ source: 'podresources', askedAt, holdings })
const file = (askedAt: number, ...holdings: Holding[]) => ({ source: 'checkpoint', askedAt, holdings })
const attachment = (device: string, change: Partial<Attachment> = {}): Attachment => ({
  ...{ device, containerID: 'c1', ifname: 'net1', network: 'n' },
  ...{ alive: true, pendingClose: false, pod: undefined },
  ...change,
})
const records = (...all: Attachment[]) => new Map(all.map((one) => [one.device, one]))
const held = (ledger: Ledger) => [...ledger.allocations.held.keys()].sort()
const podOf = (ledger: Ledger, device: string) => ledger.allocations.held.get(device)?.pod?.name

describe('a source answers', () => {
  test('its answer replaces the former one', () => {
    const ledger = new Ledger(times)
    expect(ledger.allocations).toEqual({ held: new Map(), source: 'guess', isGuess: true })
    ledger.tell([list(0, by('a', 'p'), by('b', 'p'))], 1)
    expect(held(ledger)).toEqual(['a', 'b'])
    ledger.tell([list(2, by('b', 'p'))], 3)
    expect(ledger.allocations).toEqual({
      held: new Map([['b', by('b', 'p')]]),
      source: 'podresources',
      isGuess: false,
    })
    expect(ledger.isUnsettled(3)).toBe(false)
  })

  test('a device that was given out stays taken until the source names its holder', () => {
    const ledger = new Ledger(times)
    ledger.tell([list(0)], 1)
    ledger.give(resource, ['a'], 10)
    expect(ledger.allocations.held.get('a')).toEqual({ resource, device: 'a' })
    ledger.tell([list(9)], 11)
    ledger.tell([list(12)], 13)
    expect(held(ledger)).toEqual(['a'])
    expect(ledger.isUnsettled(14)).toBe(true)
    ledger.tell([list(15, by('a', 'p'))], 16)
    expect(podOf(ledger, 'a')).toBe('p')
    expect(ledger.isUnsettled(17)).toBe(false)
    ledger.tell([list(18)], 19)
    expect(held(ledger)).toEqual([])
  })

  test('a device that was given out and that no source ever names is free again after the time to settle', () => {
    const ledger = new Ledger(times)
    ledger.give(resource, ['a'], 10)
    ledger.tell([list(69)], 69)
    expect(held(ledger)).toEqual(['a'])
    ledger.tell([list(70)], 70)
    expect(held(ledger)).toEqual([])
  })

  test('the holder before does not count as the new one while sources are behind', () => {
    const ledger = new Ledger(times)
    ledger.tell([file(0, by('a', 'old'))], 1)
    ledger.give(resource, ['a'], 10)
    ledger.tell([file(11, by('a', 'old'))], 12)
    expect(ledger.allocations.held.get('a')).toEqual({ resource, device: 'a' })
    ledger.tell([file(13, by('a', 'new'))], 14)
    expect(podOf(ledger, 'a')).toBe('new')
  })

  test('of two pods with one device, the one with a living attachment has it, else the one that is new', () => {
    const ledger = new Ledger(times)
    const both = [by('a', 'old'), by('a', 'new')]
    ledger.tell([list(0, by('a', 'old'))], 1)
    ledger.give(resource, ['a'], 2)
    ledger.tell([list(3, ...both)], 4)
    expect(podOf(ledger, 'a')).toBe('new')
    ledger.tell([list(5, ...both.toReversed())], 6)
    expect(podOf(ledger, 'a')).toBe('new')
    ledger.look(records(attachment('a', { pod: { namespace: 'default', name: 'old' } })))
    ledger.tell([list(7, ...both)], 8)
    expect(podOf(ledger, 'a')).toBe('old')
  })
})

describe('two sources disagree', () => {
  test('a device that the file alone names stays taken for a while: kubelet may not have found its pods again', () => {
    const ledger = new Ledger(times)
    ledger.tell([list(0, by('a', 'p')), file(0, by('a', 'uid'))], 1)
    expect(podOf(ledger, 'a')).toBe('p')
    ledger.tell([list(2), file(2, by('a', 'uid'))], 3)
    expect(held(ledger)).toEqual(['a'])
    expect(ledger.isUnsettled(4)).toBe(true)
    ledger.tell([list(5, by('a', 'p')), file(5, by('a', 'uid'))], 6)
    expect(podOf(ledger, 'a')).toBe('p')
    ledger.tell([list(70), file(70, by('a', 'uid'))], 70)
    ledger.tell([list(129), file(129, by('a', 'uid'))], 129)
    expect(held(ledger)).toEqual(['a'])
    ledger.tell([list(130), file(130, by('a', 'uid'))], 130)
    expect(held(ledger)).toEqual([])
    expect(ledger.isUnsettled(131)).toBe(false)
  })

  test('a device that the file does not name either is free at once', () => {
    const ledger = new Ledger(times)
    ledger.tell([list(0, by('a', 'p')), file(0, by('a', 'uid'))], 1)
    ledger.tell([list(2), file(2)], 3)
    expect(held(ledger)).toEqual([])
  })
})

describe('no source answers', () => {
  test('devices stay taken, and the state says that it is a guess', () => {
    const ledger = new Ledger(times)
    ledger.tell([list(0, by('a', 'p'))], 1)
    ledger.tell([], 1_000)
    ledger.give(resource, ['b'], 1_001)
    ledger.tell([], 9_000)
    expect(held(ledger)).toEqual(['a', 'b'])
    expect(ledger.allocations).toMatchObject({ source: 'guess', isGuess: true })
    expect(ledger.isUnsettled(9_001)).toBe(true)
  })

  test('a device is free when the record of its attachment was there and is gone', () => {
    const ledger = new Ledger(times)
    ledger.give(resource, ['a', 'b'], 0)
    ledger.look(records())
    expect(held(ledger)).toEqual(['a', 'b'])
    ledger.look(records(attachment('a')))
    ledger.look(records(attachment('a', { alive: false })))
    expect(held(ledger)).toEqual(['a', 'b'])
    ledger.look(records())
    expect(held(ledger)).toEqual(['b'])
  })

  test('the record of the holder before does not count: its end frees nothing', () => {
    const ledger = new Ledger(times)
    ledger.give(resource, ['a'], 0)
    ledger.look(records(attachment('a')))
    ledger.give(resource, ['a'], 1)
    ledger.look(records(attachment('a', { alive: false })))
    ledger.look(records(attachment('a', { pendingClose: true })))
    ledger.look(records())
    expect(held(ledger)).toEqual(['a'])
  })

  test('a record that went while a source still answered counts once none does', () => {
    const ledger = new Ledger(times)
    ledger.tell([list(0, by('a', 'p'))], 1)
    ledger.look(records(attachment('a')))
    ledger.look(records())
    expect(held(ledger)).toEqual(['a'])
    ledger.tell([], 2)
    expect(held(ledger)).toEqual(['a'])
    ledger.look(records())
    expect(held(ledger)).toEqual([])
  })

  test('another process of ours gave the device out: the record of the holder before does not count', () => {
    const ledger = new Ledger(times)
    ledger.tell([list(0, by('a', 'old'))], 1)
    ledger.look(records(attachment('a')))
    ledger.tell([list(2, by('a', 'new'))], 3)
    ledger.tell([], 4)
    ledger.look(records())
    expect(held(ledger)).toEqual(['a'])
  })

  test('the next process goes on with the entries of this one', () => {
    const first = new Ledger(times)
    first.tell([list(0, by('a', 'p'))], 1)
    first.give(resource, ['b'], 2)
    first.look(records(attachment('a')))
    const second = new Ledger(times, first.entries)
    expect(held(second)).toEqual(['a', 'b'])
    expect(second.allocations.isGuess).toBe(true)
    second.look(records())
    expect(held(second)).toEqual(['b'])
  })
})
