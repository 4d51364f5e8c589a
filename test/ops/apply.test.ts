// Operations are run in order, and undone in reverse when one fails.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Transaction } from '../../src/ops/apply.ts'
import { commandLine as describeOp } from '../../src/ops/command-line.ts'
import type { Op, Outcome } from '../../src/ops/op.ts'
import type { Runner } from '../../src/ops/runner.ts'
import { examples } from './examples.ts'

/** Keeps what was added, as a kernel does: adding twice and removing what is not there are refused. */
class Shelf implements Runner {
  readonly content: string[] = []
  readonly ran: string[] = []
  /** Names that are there before anybody adds them, which is no error. */
  readonly shared = new Set<string>()
  /** Operations refused with EBUSY, as `do name`. */
  readonly busy = new Set<string>()

  run(op: Op): Outcome {
    if (op.do === 'announce') {
      this.ran.push('announce')
      return {}
    }
    if (op.do !== 'altname.add' && op.do !== 'altname.del') throw new TypeError(`no ${op.do} here`)
    const step = `${op.do.slice('altname.'.length)} ${op.altname}`
    this.ran.push(step)
    if (this.busy.has(step)) throw new Refusal('EBUSY')
    if (op.do === 'altname.add' && this.shared.has(op.altname)) return { existed: true }
    const at = this.content.indexOf(op.altname)
    if (at >= 0 === (op.do === 'altname.add')) throw new Refusal(at >= 0 ? 'EEXIST' : 'ENOENT')
    if (op.do === 'altname.add') this.content.push(op.altname)
    else this.content.splice(at, 1)
    return { handle: this.ran.length }
  }
}

class Refusal extends Error {
  readonly code: string
  constructor(code: string) {
    super(`RTM_NEWLINKPROP: ${code}`)
    this.code = code
  }
}

const add = (altname: string): Op => ({ do: 'altname.add', side: 'host', name: 'pf0', altname })
const del = (altname: string): Op => ({ do: 'altname.del', side: 'host', name: 'pf0', altname })
const line = (verb: string, name: string) => `ip link property ${verb} dev pf0 altname ${name}`

/** The modules afresh, because fault.ts counts for the life of a process. */
async function load(): Promise<typeof import('../../src/ops/apply.ts')> {
  vi.resetModules()
  return import('../../src/ops/apply.ts')
}

function failureOf(action: () => unknown) {
  try {
    action()
  } catch (error) {
    return error as Error & { readonly op: Op; readonly stuck: readonly string[] }
  }
  throw new TypeError('nothing was thrown')
}

let shelf: Shelf
let transaction: Transaction
let applyAll: typeof import('../../src/ops/apply.ts').applyAll

beforeEach(async () => {
  const module = await load()
  shelf = new Shelf()
  transaction = new module.Transaction(shelf)
  applyAll = module.applyAll
})

describe('Transaction', () => {
  test('carries out in order and returns the outcome of each', () => {
    expect(transaction.apply([add('a'), add('b'), del('a')])).toEqual([
      { handle: 1 },
      { handle: 2 },
      { handle: 3 },
    ])
    expect(shelf.content).toEqual(['b'])
  })

  test('takes back last first, and a failed operation is not among what is taken back', () => {
    shelf.content.push('c')
    const failure = failureOf(() => transaction.apply([add('a'), add('b'), add('c'), add('d')]))
    expect(shelf.ran).toEqual(['add a', 'add b', 'add c', 'del b', 'del a'])
    expect(shelf.content).toEqual(['c'])
    expect(failure).toMatchObject({ name: 'ApplyError', op: add('c'), stuck: [] })
    expect(failure.message).toBe(`Cannot run "${line('add', 'c')}": RTM_NEWLINKPROP: EEXIST`)
    expect(failure.cause).toMatchObject({ code: 'EEXIST' })
  })

  test('takes back what earlier calls did too', () => {
    transaction.apply([add('a')])
    transaction.apply([add('b')])
    failureOf(() => transaction.apply([del('x')]))
    expect(shelf.content).toEqual([])
    expect(shelf.ran.slice(-2)).toEqual(['del b', 'del a'])
  })

  test('reports an inverse that fails and goes on with the others', () => {
    shelf.busy.add('del b')
    const failure = failureOf(() => transaction.apply([add('a'), add('b'), add('c'), del('x')]))
    expect(failure.stuck).toEqual([`not undone: ${line('del', 'b')}: RTM_NEWLINKPROP: EBUSY`])
    expect(failure.message).toContain(line('del', 'x'))
    expect(shelf.content).toEqual(['b'])
  })

  test('never takes back what was there before', () => {
    shelf.shared.add('b')
    expect(transaction.apply([add('a'), add('b')])).toEqual([{ handle: 1 }, { existed: true }])
    expect(transaction.rollback()).toEqual([])
    expect(shelf.ran).toEqual(['add a', 'add b', 'del a'])
  })

  test('back to a mark: what was done before it stays done, until a rollback without one', () => {
    transaction.apply([add('a')])
    const mark = transaction.mark()
    transaction.apply([add('b'), add('c')])
    expect(transaction.rollback(mark)).toEqual([])
    expect(shelf.content).toEqual(['a'])
    expect(transaction.rollback()).toEqual([])
    expect(shelf.content).toEqual([])
  })

  test('a second rollback has nothing to do', () => {
    transaction.apply([add('a')])
    expect(transaction.rollback()).toEqual([])
    expect(transaction.rollback()).toEqual([])
    expect(shelf.ran).toEqual(['add a', 'del a'])
  })

  test('skips what leaves nothing behind', () => {
    transaction.apply([examples.announce, add('a')])
    expect(transaction.rollback()).toEqual([])
    expect(shelf.ran).toEqual(['announce', 'add a', 'del a'])
  })

  test('keeps the text of a thrown value that is no Error', () => {
    const runner: Runner = {
      run: () => {
        throw 'plain'
      },
    }
    const other = new (transaction.constructor as typeof Transaction)(runner)
    expect(failureOf(() => other.apply([add('a')])).message).toBe(`Cannot run "${line('add', 'a')}": plain`)
  })
})

describe('applyAll', () => {
  test('goes on after a failure and returns a line for each', () => {
    shelf.busy.add('add b')
    expect(applyAll(shelf, [add('a'), add('b'), del('x'), add('c')])).toEqual([
      `${line('add', 'b')}: RTM_NEWLINKPROP: EBUSY`,
      `${line('del', 'x')}: RTM_NEWLINKPROP: ENOENT`,
    ])
    expect(shelf.content).toEqual(['a', 'c'])
  })

  test('after a move that failed, whatever has the name on the other side is left alone', () => {
    const ran: string[] = []
    const runner: Runner = {
      run: (op) => {
        if (op.do === 'link.move') throw new Error('EEXIST')
        ran.push(describeOp(op))
        return {}
      },
    }
    const set = { set: { up: true }, was: {} }
    const errors = applyAll(runner, [
      { do: 'link.move', from: 'pod', name: 'net1', to: 'host', newName: 'eth5' },
      { do: 'link.set', side: 'host', name: 'eth5', ...set },
      { do: 'altname.add', side: 'host', name: 'eth5', altname: 'old' },
      { do: 'link.set', side: 'pod', name: 'net1', ...set },
    ])
    expect(errors).toEqual(['pod:ip link set dev net1 netns host name eth5: EEXIST'])
    expect(ran).toEqual(['pod:ip link set dev net1 up'])
  })
})

describe('fault points', () => {
  beforeEach(() => vi.stubGlobal('VF_FLOWER_TEST_BUILD', true))
  afterEach(() => {
    vi.unstubAllGlobals()
    vi.unstubAllEnvs()
  })

  test('before an operation: it is not carried out', () => {
    vi.stubEnv('VF_FLOWER_FAULT', 'op:2:before:EBUSY')
    const failure = failureOf(() => transaction.apply([add('a'), add('b'), add('c')]))
    expect(shelf.ran).toEqual(['add a', 'del a'])
    expect(failure.op).toEqual(add('b'))
    expect(failure.cause).toMatchObject({ code: 'EBUSY', errno: 16 })
  })

  test('after an operation: it is taken back as well', () => {
    vi.stubEnv('VF_FLOWER_FAULT', 'op:2:after:ENOMEM')
    failureOf(() => transaction.apply([add('a'), add('b'), add('c')]))
    expect(shelf.ran).toEqual(['add a', 'add b', 'del b', 'del a'])
    expect(shelf.content).toEqual([])
  })

  test('in a teardown: the others are carried out', () => {
    vi.stubEnv('VF_FLOWER_FAULT', 'op:1:before:EIO')
    expect(applyAll(shelf, [add('a'), add('b')])).toEqual([
      `${line('add', 'a')}: EIO: injected fault at op 1 before`,
    ])
    expect(shelf.content).toEqual(['b'])
  })

  test('in a rollback: counted by themselves, and the others are taken back', () => {
    vi.stubEnv('VF_FLOWER_FAULT', 'op:4:before:EBUSY,undo:2:before:ENOSPC')
    const failure = failureOf(() => transaction.apply([add('a'), add('b'), add('c'), add('d')]))
    expect(failure.cause).toMatchObject({ code: 'EBUSY' })
    expect(failure.stuck).toEqual([
      `not undone: ${line('del', 'b')}: ENOSPC: injected fault at undo 2 before`,
    ])
    expect(shelf.content).toEqual(['b'])
  })

  test('after a step of a rollback: it is taken back all the same', () => {
    vi.stubEnv('VF_FLOWER_FAULT', 'op:3:before:EBUSY,undo:1:after:ENODEV')
    const failure = failureOf(() => transaction.apply([add('a'), add('b'), add('c')]))
    expect(failure.stuck).toHaveLength(1)
    expect(shelf.content).toEqual([])
  })

  test('of another kind or number: nothing happens', () => {
    for (const fault of [
      'file:1:before:EIO',
      'op:9:before:EIO',
      'undo:1:before:EIO',
      'op:1:during:EIO',
      '',
    ]) {
      vi.stubEnv('VF_FLOWER_FAULT', fault)
      transaction.apply([add(`a${fault}`)])
    }
    expect(shelf.content).toHaveLength(5)
  })
})

test('a build that is not for tests ignores the fault variable', () => {
  vi.stubEnv('VF_FLOWER_FAULT', 'op:1:before:SIGKILL')
  transaction.apply([add('a')])
  expect(shelf.content).toEqual(['a'])
  vi.unstubAllEnvs()
})

describe('a caller that goes', () => {
  test('in the middle of an ADD has everything taken back, before the next operation', async () => {
    const { Transaction } = await load()
    const { cancellable, inCall, ownProcess } = await import('../../src/lib/call/call.ts')
    const shelf = new Shelf()
    shelf.busy.add('del a')
    let asked = 0
    const hooks = { ...ownProcess, isCallerGone: () => ++asked > 2 }
    const transaction = new Transaction(shelf)
    const apply = () => transaction.apply([add('a'), add('b'), add('c'), add('d')])
    const failure = failureOf(() =>
      inCall({ env: {}, hooks, stderr: () => undefined }, () => cancellable(apply)),
    )
    expect(failure).toMatchObject({
      kind: 'caller-gone',
      message: 'The caller of this ADD is gone: what was done is taken back',
      stuck: [`not undone: ${line('del', 'a')}: RTM_NEWLINKPROP: EBUSY`],
    })
    expect(shelf.ran).toEqual(['add a', 'add b', 'del b', 'del a'])
  })

  test('takes back a rollback’s own list alone where alternatives are tried, and no other alternative is', async () => {
    const { Transaction } = await load()
    const { cancellable, inCall, ownProcess } = await import('../../src/lib/call/call.ts')
    const shelf = new Shelf()
    let asked = 0
    const hooks = { ...ownProcess, isCallerGone: () => ++asked > 2 }
    const transaction = new Transaction(shelf)
    const tries = () => {
      transaction.attempt([add('a')])
      transaction.attemptEach([[add('b'), add('c')], [add('d')]])
    }
    const failure = failureOf(() =>
      inCall({ env: {}, hooks, stderr: () => undefined }, () => cancellable(tries)),
    )
    expect(failure).toMatchObject({ kind: 'caller-gone' })
    expect(shelf.content).toEqual(['a'])
    expect(transaction.rollback()).toEqual([])
    expect(shelf.content).toEqual([])
  })

  test('does not hold up what takes back', async () => {
    const { Transaction, applyAll } = await load()
    const { inCall, ownProcess } = await import('../../src/lib/call/call.ts')
    const shelf = new Shelf()
    inCall({ env: {}, hooks: { ...ownProcess, isCallerGone: () => true }, stderr: () => undefined }, () => {
      new Transaction(shelf).apply([add('a')])
      expect(applyAll(shelf, [del('a')])).toEqual([])
    })
    expect(shelf.content).toEqual([])
  })
})
