// The keeper of allocations: asks at the start, after an allocation, when a source says that something changed, and again while the
// answer is not settled; tells each change once; and survives a restart without a source by its note.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  type Allocations,
  type Holding,
  type HoldingSource,
  SourceUnavailable,
} from '../../../device-plugin/allocations/holding.ts'
import { AllocationKeeper, type KeeperOptions } from '../../../device-plugin/allocations/keeper.ts'
import { eventually } from '../../support/eventually.ts'

const resource = 'intel.com/vfs'
const times = {
  ...{ pauses: [5, 10, 20, 40], rarely: 100_000, debounce: 5 },
  ...{ patience: 100, settle: 60, linger: 60 },
}

/** A source that says what it is told to say. */
class Source implements HoldingSource {
  readonly name: string
  holdings: readonly Holding[] | undefined
  reads = 0
  /** Ends when the source answers. */
  answering: () => Promise<void> = async () => undefined
  changed: (() => void) | undefined

  constructor(name: string, holdings: readonly Holding[] | undefined) {
    this.name = name
    this.holdings = holdings
  }

  async read(): Promise<readonly Holding[]> {
    this.reads++
    await this.answering()
    if (this.holdings === undefined) throw new SourceUnavailable('nobody answers')
    return this.holdings
  }

  watch(changed: () => void): () => void {
    this.changed = changed
    return () => {
      this.changed = undefined
    }
  }
}

const by = (device: string, name = 'p'): Holding => ({ resource, device, pod: { namespace: 'n', name } })
let folder = ''
let keepers: AllocationKeeper[] = []
let lines: string[] = []
let changes: Allocations[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keeper-'))
  keepers = []
  lines = []
  changes = []
})
afterEach(() => {
  for (const one of keepers) one.stop()
  rmSync(folder, { recursive: true })
})

function keeper(sources: readonly HoldingSource[], more: Partial<KeeperOptions> = {}): AllocationKeeper {
  const made = new AllocationKeeper({
    ...{ sources, bootId: 'boot', noteFile: join(folder, 'note.json'), times },
    onChange: (now) => changes.push(now),
    log: {
      info: (message) => lines.push(`info: ${message}`),
      warn: (message) => lines.push(`warning: ${message}`),
    },
    ...more,
  })
  keepers.push(made)
  return made
}

const held = (one: AllocationKeeper) => [...one.now.held.keys()].sort()

test('the first question tells all, and the change is told once', async () => {
  const source = new Source('podresources', [by('a'), by('b')])
  const one = keeper([source])
  expect(one.now.isGuess).toBe(true)
  await one.start()
  expect(held(one)).toEqual(['a', 'b'])
  expect(one.now.source).toBe('podresources')
  expect(changes.length).toBe(1)
  await one.ask()
  expect(changes.length).toBe(1)
  expect(lines).toEqual(['info: podresources tells which devices are in use'])
})

test('a device that was given out counts at once, and sources are asked until one names it', async () => {
  const source = new Source('podresources', [])
  // However slow the machine is, the device is not given up before the source names it.
  const one = keeper([source], { times: { ...times, settle: 1e9 } })
  await one.start()
  one.given(resource, ['a'])
  expect(held(one)).toEqual(['a'])
  const asked = source.reads
  await eventually(() => expect(source.reads).toBeGreaterThan(asked + 1))
  expect(held(one)).toEqual(['a'])
  source.holdings = [by('a', 'new')]
  await eventually(() => expect(one.now.held.get('a')?.pod?.name).toBe('new'))
})

test('a device that was given out and that no source ever names is free again', async () => {
  const source = new Source('podresources', [])
  const one = keeper([source])
  await one.start()
  one.given(resource, ['a'])
  await eventually(() => expect(held(one)).toEqual([]))
})

test('a device that no source names is free as soon as its time is over, however long the next pause is', async () => {
  const [first, second] = [new Source('podresources', []), new Source('checkpoint', [])]
  const one = keeper([first, second], { times: { ...times, pauses: [5, 1e9] } })
  await one.start()
  one.given(resource, ['a'])
  expect(held(one)).toEqual(['a'])
  await eventually(() => expect(held(one)).toEqual([]))
  // The same for one that the lower source alone names.
  second.holdings = [by('b')]
  await one.ask()
  expect(held(one)).toEqual(['b'])
  await eventually(() => expect(held(one)).toEqual([]))
})

test('a question that begins before the time of a device is over, and ends after it, is followed by another one', async () => {
  const source = new Source('podresources', [])
  const one = keeper([source], { times: { ...times, pauses: [5, 1e9], patience: 30_000 } })
  await one.start()
  one.given(resource, ['a'])
  const given = performance.now()
  source.answering = () => eventually(() => expect(performance.now() - given).toBeGreaterThan(times.settle))
  await eventually(() => expect(held(one)).toEqual([]))
  expect(source.reads).toBeLessThan(5)
})

test('a source that says that something changed is asked; many changes are one question', async () => {
  const source = new Source('checkpoint', [])
  const one = keeper([source])
  await one.start()
  source.holdings = [by('a')]
  for (let count = 0; count < 1_000; count++) source.changed?.()
  await eventually(() => expect(held(one)).toEqual(['a']))
  expect(source.reads).toBeLessThan(5)
  one.stop()
  expect(source.changed).toBeUndefined()
})

test('the next source answers where the first does not, and none at all makes a guess', async () => {
  const [first, second] = [new Source('podresources', undefined), new Source('checkpoint', [by('a')])]
  const one = keeper([first, second])
  await one.start()
  expect(one.now).toMatchObject({ source: 'checkpoint', isGuess: false })
  second.holdings = undefined
  await one.ask()
  expect(one.now).toMatchObject({ source: 'guess', isGuess: true })
  expect(held(one)).toEqual(['a'])
  expect(lines.at(-1)).toContain('podresources: nobody answers; checkpoint: nobody answers')
  // Nobody has to call: the source is found when it is there again.
  first.holdings = [by('b')]
  await eventually(() => expect(held(one)).toEqual(['b']))
})

test('a source that hangs is passed over', async () => {
  const hanging: HoldingSource = { name: 'podresources', read: () => new Promise(() => undefined) }
  const one = keeper([hanging, new Source('checkpoint', [by('a')])])
  await one.start()
  expect(one.now.source).toBe('checkpoint')
})

test('questions that come during a question lead to one more, which sees what was new', async () => {
  let answer: ((holdings: readonly Holding[]) => void) | undefined
  let reads = 0
  const slow: HoldingSource = {
    name: 'podresources',
    read: () => {
      reads++
      return new Promise((resolve) => {
        answer = resolve
      })
    },
  }
  const one = keeper([slow])
  const started = one.start()
  const others = [one.ask(), one.ask(), one.ask()]
  answer?.([])
  await eventually(() => expect(reads).toBe(2))
  answer?.([by('a')])
  await Promise.all([started, ...others])
  expect([reads, held(one)]).toEqual([2, ['a']])
})

test('devices of others do not count', async () => {
  const one = keeper([new Source('podresources', [by('a'), by('gpu-1')])], {
    isWanted: ({ device }) => device !== 'gpu-1',
  })
  await one.start()
  expect(held(one)).toEqual(['a'])
})

test('after a restart without a source the note tells what was given out, until the attachment ends', async () => {
  const first = keeper([new Source('podresources', [by('a')])])
  await first.start()
  first.given(resource, ['b'])
  first.stop()
  const second = keeper([new Source('podresources', undefined)])
  await second.start()
  expect(second.now.held.get('a')).toEqual(by('a'))
  expect(second.now.held.get('b')).toEqual({ resource, device: 'b' })
  expect(second.now.isGuess).toBe(true)
  const attachment = {
    ...{ device: 'b', containerID: 'c', ifname: 'net1', network: 'n' },
    ...{ alive: true, pendingClose: false, pod: undefined },
  }
  second.look(new Map([['b', attachment]]))
  second.look(new Map())
  expect(held(second)).toEqual(['a'])
  expect(held(keeper([]))).toEqual(['a'])
})

test('a note of another boot, a broken one and one that nobody of us wrote count as none', () => {
  const note = join(folder, 'note.json')
  keeper([]).given(resource, ['a'])
  expect(held(keeper([]))).toEqual(['a'])
  expect(held(keeper([], { bootId: 'other' }))).toEqual([])
  const text = readFileSync(note, 'utf8')
  for (const broken of ['', '{', 'null', '[]', text.replace('"schema":1', '"schema":2'), text.slice(0, -5)]) {
    writeFileSync(note, broken)
    expect(held(keeper([]))).toEqual([])
  }
})

test('a note that can not be written is said once a content, and nothing fails', () => {
  writeFileSync(join(folder, 'file'), '')
  const one = keeper([], { noteFile: join(folder, 'file', 'note.json') })
  one.given(resource, ['a'])
  one.look(new Map())
  expect(held(one)).toEqual(['a'])
  expect(lines.filter((line) => line.startsWith('warning: Cannot write'))).toHaveLength(1)
})
