// Properties of the ledger over any order of allocations, ends of pods, answers, lost sources, attachments and restarts: a device
// that the source says is held is held, one that was just given out is held, and a guess frees only what an attachment ended.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Attachment } from '../../../device-plugin/allocations/attachment.ts'
import type { Holding } from '../../../device-plugin/allocations/holding.ts'
import { Ledger } from '../../../device-plugin/allocations/ledger.ts'

const times = { settle: 100, linger: 100 }
const devices = ['a', 'b', 'c', 'd'] as const
type Device = (typeof devices)[number]
const resource = 'intel.com/vfs'

const device = fc.constantFrom(...devices)
const step = fc.oneof(
  fc.record({ do: fc.constant('allocate' as const), device }),
  fc.record({ do: fc.constant('free' as const), device }),
  fc.record({ do: fc.constant('attach' as const), device }),
  fc.record({ do: fc.constant('detach' as const), device }),
  fc.record({ do: fc.constant('wait' as const), for: fc.integer({ min: 1, max: 150 }) }),
  fc.record({
    do: fc.constant('ask' as const),
    sources: fc.constantFrom('both', 'list', 'file', 'none'),
    /** kubelet has not found its pods again: the list lacks some. */
    lacks: fc.array(device, { maxLength: 2 }),
  }),
  fc.record({ do: fc.constant('look' as const) }),
  fc.record({ do: fc.constant('restart' as const) }),
)

/** kubelet, vf-attach and the clock, with the ledger beside them. */
class World {
  ledger = new Ledger(times)
  now = 0
  readonly #held = new Map<Device, Holding>()
  readonly #file = new Map<Device, Holding>()
  readonly #attached = new Map<string, Attachment>()
  /** Devices that have to be held whatever comes next, but an answer of a source. */
  expected = new Set<string>()
  #count = 0

  allocate(device: Device): void {
    if (this.#held.has(device)) return
    this.ledger.give(resource, [device], this.now)
    const pod = { namespace: 'n', name: `p${++this.#count}` }
    this.#held.set(device, { resource, device, pod, container: 'c' })
    this.#file.clear()
    for (const [id, holding] of this.#held) this.#file.set(id, holding)
    this.expected.add(device)
  }

  free(device: Device): void {
    if (!this.#attached.has(device)) this.#held.delete(device)
  }

  attach(device: Device): void {
    if (!this.#held.has(device)) return
    this.#attached.set(device, {
      ...{ device, containerID: `c${this.#count}`, ifname: 'net1', network: 'n' },
      ...{ alive: true, pendingClose: false, pod: undefined },
    })
  }

  detach(device: Device): void {
    // The DEL of a pod comes with its end: kubelet may take long to see that.
    if (this.#attached.delete(device)) this.expected.delete(device)
  }

  ask(sources: string, lacks: readonly Device[]): void {
    const askedAt = this.now
    const listed = [...this.#held.values()].filter((one) => !lacks.includes(one.device as Device))
    const list = { source: 'podresources', askedAt, holdings: listed }
    const file = { source: 'checkpoint', askedAt, holdings: [...this.#file.values()] }
    const answers = { both: [list, file], list: [list], file: [file], none: [] }[sources] ?? []
    const before = new Set(this.ledger.allocations.held.keys())
    this.ledger.tell(answers, this.now)
    const [main] = answers
    const { held, isGuess, source } = this.ledger.allocations
    expect([source, isGuess]).toEqual([main?.source ?? 'guess', main === undefined])
    if (main === undefined) expect(new Set(held.keys())).toEqual(before)
    else this.expected = new Set(main.holdings.map((one) => one.device))
  }

  look(): void {
    this.ledger.look(this.#attached)
  }

  restart(): void {
    this.ledger = new Ledger(times, this.ledger.entries)
  }

  check(): void {
    const held = [...this.ledger.allocations.held.keys()]
    expect(held).toEqual(expect.arrayContaining([...this.expected]))
  }
}

test('no order of events frees a device that is in use by what the sources said at last', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const world = new World()
      for (const one of steps) {
        world.now++
        if (one.do === 'wait') world.now += one.for
        else if (one.do === 'ask') world.ask(one.sources, one.lacks)
        else if (one.do === 'look' || one.do === 'restart') world[one.do]()
        else world[one.do](one.device)
        world.check()
      }
    }),
    { numRuns: 2_000 },
  )
})

test('a device that kubelet has found again after a restart was never free in between', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 4 }), (pauses) => {
      const ledger = new Ledger(times)
      const one = { resource, device: 'a', pod: { namespace: 'n', name: 'p' }, container: 'c' }
      const file = { resource, device: 'a', pod: { namespace: '', name: '', uid: 'u' }, container: 'c' }
      let now = 0
      const ask = (...listed: Holding[]) =>
        ledger.tell(
          [
            { source: 'podresources', askedAt: now, holdings: listed },
            { source: 'checkpoint', askedAt: now, holdings: [file] },
          ],
          now,
        )
      ask(one)
      for (const pause of pauses) {
        now += pause
        ask()
        expect([...ledger.allocations.held.keys()]).toEqual(['a'])
      }
      ask(one)
      expect(ledger.allocations.held.get('a')).toEqual(one)
    }),
  )
})

test('in the end the ledger says what the source says, whatever came before', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const world = new World()
      for (const one of steps) {
        world.now++
        if (one.do === 'wait') world.now += one.for
        else if (one.do === 'ask') world.ask(one.sources, one.lacks)
        else if (one.do === 'look' || one.do === 'restart') world[one.do]()
        else world[one.do](one.device)
      }
      for (let round = 0; round < 2; round++) {
        world.now += 200
        world.ask('list', [])
      }
      expect(new Set(world.ledger.allocations.held.keys())).toEqual(world.expected)
      expect(world.ledger.isUnsettled(world.now)).toBe(false)
    }),
  )
})
