// A restore waits for its device's own name only while a call of ours may be about to give the name up.
import { describe, expect, test } from 'vitest'
import type { LiveState } from '../../../src/attach/device/live-state.ts'
import { awaitName } from '../../../src/attach/restore/names.ts'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import type { Machine } from '../../../src/kernel/api/machine.ts'
import type { AttachJournal } from '../../../src/records/attach.ts'

class LockTimeout extends Error {
  readonly kind = 'lock-timeout'
}

const OTHER = '0000:01:10.2'
const journal = { original: { link: { name: 'eth2' } } } as unknown as AttachJournal
const looked = (...taken: readonly string[]) => ({ taken: new Set(taken), link: {} }) as unknown as LiveState

/** A host on which `holder` has eth2. The lock of its device is held until `waits`, or for too long. */
function host(holder: Partial<LinkFacts> | undefined, lock: 'free' | 'released' | 'held' = 'free') {
  const asked: string[] = []
  let isGone = holder === undefined
  const machine: Partial<Machine> = {
    sharedDir: '/shared',
    withLock: (path, milliseconds, action) => {
      asked.push(`lock ${path} ${milliseconds}`)
      if (lock === 'held') throw new LockTimeout(path)
      if (lock === 'released') isGone = true
      return action()
    },
  }
  const kernel: Partial<Kernel> = {
    link: (side, name) => {
      asked.push(`link ${side} ${name}`)
      return isGone ? undefined : ({ name: 'eth2', ifindex: 7, ...holder } as LinkFacts)
    },
  }
  const look = () => looked(...(isGone ? [] : ['eth2']))
  const wait = (found: LiveState | 'gone') =>
    awaitName(machine as Machine, kernel as Kernel, journal, found, look)
  return { asked, wait }
}

const ofCard = { parent: OTHER, parentBus: 'pci' }
const lock = `lock /shared/name-lock ${OTHER} 30000`

describe('the wait for a name', () => {
  test('asks nothing when the name is free, and for a device that has ended or has no interface yet', () => {
    const { asked, wait } = host(ofCard)
    const free = looked('altname')
    expect(wait(free)).toBe(free)
    expect(wait('gone')).toBe('gone')
    wait({ ...looked('eth2'), link: undefined })
    expect(asked).toEqual([])
  })

  test('does not begin for a name of software', () => {
    const { asked, wait } = host({})
    expect(wait(looked('eth2'))).toEqual(looked('eth2'))
    expect(asked).toEqual(['link host eth2'])
  })

  test('lasts until the driver of the other device was bound anew, and the name is free', () => {
    const { asked, wait } = host(ofCard, 'released')
    expect(wait(looked('eth2'))).toEqual(looked())
    expect(asked).toEqual(['link host eth2', lock, 'link host eth2'])
  })

  test('ends when the lock is not to be had', () => {
    const { asked, wait } = host(ofCard, 'held')
    expect(wait(looked('eth2'))).toEqual(looked('eth2'))
    expect(asked).toEqual(['link host eth2', lock])
  })

  test('ends at once when no call of ours works on the other device', () => {
    const { asked, wait } = host(ofCard)
    expect(wait(looked('eth2'))).toEqual(looked('eth2'))
    expect(asked).toEqual(['link host eth2', lock, 'link host eth2'])
  })
})
