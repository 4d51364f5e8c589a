// Operations that a Runner takes several of at once: what becomes of them, and of their fault points, is what became of
// them one by one, as far as that can be.
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ApplyError, Transaction } from '../../src/ops/apply.ts'
import { commandLine as describeOp } from '../../src/ops/command-line.ts'
import type { FlowFilterOp, Op, Outcome } from '../../src/ops/op.ts'
import type { Runner } from '../../src/ops/runner.ts'
import { steer } from './examples.ts'

/** A table of filters with so much room; some ports are refused. `calls` are what it was asked for at a time. */
class Table {
  readonly content: number[] = []
  readonly calls: string[][] = []
  readonly refused: ReadonlySet<number>
  readonly room: number

  constructor(refused: readonly number[] = [], room = 100) {
    this.refused = new Set(refused)
    this.room = room
  }

  readonly alone: Runner = { run: (op) => this.#call([op])[0] as Outcome }
  readonly together: Runner = { ...this.alone, runAll: (ops) => this.#call(ops) }

  /** As a kernel does: in order, whatever becomes of the others; a single one throws. */
  #call(ops: readonly Op[]): (Outcome | Error)[] {
    this.calls.push(ops.map((op) => (op.do === 'steer.add' ? '+' : '-') + String(portOf(op))))
    const results = ops.map((op): Outcome | Error => {
      try {
        return this.#change(op)
      } catch (error) {
        return error as Error
      }
    })
    if (ops.length === 1 && results[0] instanceof Error) throw results[0]
    return results
  }

  #change(op: Op): Outcome {
    const port = portOf(op)
    const at = this.content.indexOf(port)
    if (op.do === 'steer.del') this.content.splice(at, 1)
    if (op.do !== 'steer.add') return {}
    if (this.refused.has(port)) throw new RangeError(`no ${port}`)
    if (at >= 0) throw new RangeError(`${port} is taken`)
    if (this.content.length >= this.room) throw new RangeError('full')
    this.content.push(port)
    return { handle: port }
  }
}

function portOf(op: Op): number {
  if (op.do === 'clsact.add' || op.do === 'clsact.del') return 0
  if (op.do !== 'steer.add' && op.do !== 'steer.del') throw new TypeError(`no ${op.do} here`)
  return op.rule.port ?? 0
}

const add = (port: number): Op => ({ do: 'steer.add', offload: 'require', rule: { ...steer, port } })
const adds = (...ports: readonly number[]) => ports.map(add)
const clsact: Op = { do: 'clsact.add', side: 'host', link: 'pf0' }

/** The module afresh, because fault.ts counts for the life of a process. */
let apply: typeof import('../../src/ops/apply.ts')
beforeEach(async () => {
  vi.resetModules()
  apply = await import('../../src/ops/apply.ts')
})

function failureOf(action: () => unknown): ApplyError {
  try {
    action()
  } catch (error) {
    return error as ApplyError
  }
  throw new TypeError('nothing was thrown')
}

describe('apply', () => {
  test('filters that follow each other are added at once, everything else by itself', () => {
    const table = new Table()
    const transaction = new apply.Transaction(table.together)
    const outcomes = transaction.apply([...adds(1, 2), clsact, ...adds(3)])
    expect(outcomes).toEqual([{ handle: 1 }, { handle: 2 }, {}, { handle: 3 }])
    expect(table.calls.splice(0)).toEqual([['+1', '+2'], ['-0'], ['+3']])
    expect(transaction.rollback()).toEqual([])
    expect(table.calls).toEqual([['-3'], ['-0'], ['-2', '-1']])
  })

  test('a filter is taken back by its number, alone and among others', () => {
    const undone: Op[] = []
    const table = new Table()
    const runner: Runner = {
      run: (op) => {
        if (op.do === 'steer.del') undone.push(op)
        return table.alone.run(op)
      },
    }
    for (const way of [
      runner,
      { ...runner, runAll: (ops: readonly FlowFilterOp[]) => ops.map(runner.run) },
    ]) {
      const transaction = new apply.Transaction(way)
      transaction.apply(adds(7, 8))
      transaction.rollback()
      expect(undone.splice(0)).toEqual(
        [8, 7].map((port) => ({ ...add(port), do: 'steer.del', handle: port })),
      )
    }
  })

  test('a refusal takes back all that was added, after it too; the error is of the first', () => {
    const table = new Table([2, 3])
    const transaction = new apply.Transaction(table.together)
    const failure = failureOf(() => transaction.apply([...adds(9), clsact, ...adds(1, 2, 3, 4)]))
    expect(failure.message).toBe(`Cannot run "${describeOp(add(2))}": no 2`)
    expect([failure.op, failure.stuck]).toEqual([add(2), []])
    expect(table.calls.slice(-3)).toEqual([['-4', '-1'], ['-0'], ['-9']])
    expect(table.content).toEqual([])
    expect(transaction.rollback()).toEqual([])
  })

  test('what was there before is not taken back', () => {
    const runner: Runner = { run: () => ({}), runAll: (ops) => ops.map(() => ({ existed: true })) }
    const transaction = new apply.Transaction(runner)
    transaction.apply(adds(1, 2))
    expect(transaction.mark()).toBe(0)
  })

  test('a runner that fails altogether has failed each', () => {
    const table = new Table()
    const broken = {
      ...table.alone,
      runAll: () => {
        throw new RangeError('no answer')
      },
    }
    expect(failureOf(() => new apply.Transaction(broken).apply(adds(1, 2))).op).toEqual(add(1))
    expect(apply.applyAll(broken, adds(1, 2))).toEqual(adds(1, 2).map((op) => `${describeOp(op)}: no answer`))
  })
})

describe('attemptEach', () => {
  const outcomeOf = (result: Outcome[] | ApplyError) =>
    result instanceof apply.ApplyError ? `${portOf(result.op)}: ${result.message}` : result

  test('all lists at once; only the refused ones are taken back', () => {
    const table = new Table([2])
    const transaction = new apply.Transaction(table.together)
    const results = transaction.attemptEach([adds(1), adds(12, 2), adds(3, 4)])
    expect(results[0]).toEqual([{ handle: 1 }])
    expect(results[1]).toMatchObject({ op: add(2), cause: { message: 'no 2' }, stuck: [] })
    expect(results[2]).toEqual([{ handle: 3 }, { handle: 4 }])
    expect(table.calls).toEqual([['+1', '+12', '+2', '+3', '+4'], ['-12']])
    transaction.rollback()
    expect(table.content).toEqual([])
  })

  test('a list that met what a refused one had left gets another try', () => {
    const table = new Table([2], 2)
    const transaction = new apply.Transaction(table.together)
    const results = transaction.attemptEach([adds(11, 12, 2), adds(3), adds(4, 5), adds(6)])
    expect(results.map(outcomeOf)).toEqual([
      expect.stringContaining('2: '),
      [{ handle: 3 }],
      expect.stringContaining('5: '),
      [{ handle: 6 }],
    ])
    expect(table.content).toEqual([3, 6])
  })

  test('one that met nothing of the kind gets none', () => {
    const table = new Table([], 1)
    new apply.Transaction(table.together).attemptEach([adds(1), adds(2), adds(3)])
    expect(table.calls).toEqual([['+1', '+2', '+3']])
  })

  test('is attempt with each list in turn, however much room there is and whatever is refused', () => {
    const port = fc.integer({ min: 1, max: 9 })
    const lists = fc.array(fc.array(port, { minLength: 1, maxLength: 4 }), { maxLength: 8 })
    fc.assert(
      fc.property(lists, fc.array(port, { maxLength: 3 }), fc.nat(12), (wanted, refused, room) => {
        const seen = (['together', 'alone'] as const).map((way) => {
          const table = new Table(refused, room)
          const transaction: Transaction = new apply.Transaction(table[way])
          const results = transaction.attemptEach(wanted.map((ports) => adds(...ports))).map(outcomeOf)
          const content = table.content.toSorted()
          expect(transaction.rollback()).toEqual([])
          expect(table.content).toEqual([])
          return { results, content }
        })
        expect(seen[0]).toEqual(seen[1])
      }),
      { numRuns: 1000 },
    )
  })
})

describe('fault points', () => {
  beforeEach(() => vi.stubGlobal('VF_FLOWER_TEST_BUILD', true))
  afterEach(() => {
    vi.unstubAllGlobals()
    vi.unstubAllEnvs()
    vi.restoreAllMocks()
  })

  function struck(...faults: readonly string[]) {
    vi.stubEnv('VF_FLOWER_FAULT', faults.join(','))
    const table = new Table()
    const failure = failureOf(() => new apply.Transaction(table.together).apply(adds(1, 2, 3)))
    return { table, failure }
  }

  test('before an operation: it alone is left out', () => {
    const { table, failure } = struck('op:2:before:EBUSY')
    expect(table.calls).toEqual([
      ['+1', '+3'],
      ['-3', '-1'],
    ])
    expect(failure).toMatchObject({ op: add(2), cause: { code: 'EBUSY' } })
  })

  test('after an operation: it is taken back as well', () => {
    const { table, failure } = struck('op:1:after:EBUSY')
    expect(table.calls).toEqual([
      ['+1', '+2', '+3'],
      ['-3', '-2', '-1'],
    ])
    expect(failure.op).toEqual(add(1))
  })

  test('in a rollback: the others are taken back', () => {
    const { table, failure } = struck('op:3:before:EBUSY', 'undo:1:before:ENOSPC')
    expect(table.content).toEqual([2])
    expect(failure.stuck).toEqual([expect.stringContaining('injected fault at undo 1 before')])
  })

  test('a process that is killed before one has done nothing of the batch, after one all', () => {
    const done: number[] = []
    for (const [at, fault] of ['op:2:before:SIGKILL', 'op:4:after:SIGKILL'].entries()) {
      const table = new Table()
      vi.spyOn(process, 'kill').mockImplementation(() => {
        done[at] = table.content.length
        return true
      })
      vi.stubEnv('VF_FLOWER_FAULT', fault)
      failureOf(() => new apply.Transaction(table.together).apply(adds(1, 2, 3)))
    }
    expect(done).toEqual([0, 3])
  })
})
