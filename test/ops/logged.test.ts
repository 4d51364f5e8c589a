// Operations are lines of the log, with what they took and why they failed.
import { afterEach, describe, expect, test } from 'vitest'
import { recordedSteps, startSteps } from '../../src/lib/log/steps.ts'
import { applyAll, Transaction } from '../../src/ops/apply.ts'
import { commandLine as describeOp } from '../../src/ops/command-line.ts'
import type { Op } from '../../src/ops/op.ts'
import type { Runner } from '../../src/ops/runner.ts'
import { logged } from '../support/log.ts'
import { steer } from './examples.ts'

afterEach(() => startSteps(false))

const first: Op = { do: 'altname.add', side: 'host', name: 'pf0', altname: 'one' }
const second: Op = { do: 'addr.add', side: 'pod', link: 'net1', address: '10.0.0.2/24' }
const runner = {
  run: (op: Op) => {
    if (op.do === 'addr.add') throw new TypeError('RTM_NEWADDR: EINVAL: the kernel says no')
    return { handle: 3 }
  },
}
const attempt = (action: () => unknown) => () => expect(action).toThrow('the kernel says no')
const apply = attempt(() => new Transaction(runner).apply([first, second]))

describe('at debug', () => {
  test('every operation is a line with its command, outcome and duration, those of the rollback too', () => {
    const ms = expect.any(Number)
    const command = describeOp(first)
    expect(logged('debug', apply)).toMatchObject([
      { level: 'debug', op: 'altname.add', command, result: 'ok', outcome: { handle: 3 }, ms },
      {
        op: 'addr.add',
        command: 'pod:ip address add 10.0.0.2/24 dev net1',
        result: 'error',
        error: { msg: 'RTM_NEWADDR: EINVAL: the kernel says no' },
        ms,
      },
      { op: 'altname.del', command: command.replace(' add ', ' del '), result: 'ok', ms },
    ])
  })

  test('those of a teardown too', () => {
    const lines = logged('debug', () => applyAll(runner, [second, first]))
    expect(lines.map(({ op, result }) => [op, result])).toEqual([
      ['addr.add', 'error'],
      ['altname.add', 'ok'],
    ])
  })
})

test('of several that run at once each is a line, and all are one step', () => {
  const add = (port: number): Op => ({ do: 'steer.add', offload: 'off', rule: { ...steer, port } })
  const several: Runner = {
    run: () => ({}),
    runAll: (ops) =>
      ops.map(({ rule: { port = 0 } }) => (port === 2 ? new TypeError('no') : { handle: port })),
  }
  const lines = logged('debug', () => {
    startSteps(true)
    expect(() => new Transaction(several).apply([add(1), add(2), add(3)])).toThrow('no')
  })
  expect(lines.map(({ op, result, outcome, error }) => [op, result, outcome ?? error])).toMatchObject([
    ['steer.add', 'ok', { handle: 1 }],
    ['steer.add', 'error', { msg: 'no' }],
    ['steer.add', 'ok', { handle: 3 }],
    ['steer.del', 'ok', { handle: 3 }],
    ['steer.del', 'ok', { handle: 1 }],
  ])
  expect(lines.map(({ command }) => command)).toContain(describeOp(add(2)))
  expect(recordedSteps()).toMatchObject([{ step: 'steer.add', failed: true }, { step: 'steer.del' }])
})

test('at info nothing is written, and every operation is a step', () => {
  startSteps(true)
  expect(logged('info', apply)).toEqual([])
  const ms = expect.any(Number)
  expect(recordedSteps()).toEqual([
    { step: 'altname.add', ms },
    { step: 'addr.add', ms, failed: true },
    { step: 'altname.del', ms },
  ])
})
