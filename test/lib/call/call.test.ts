// The state of a call is gone with the call: a second call in the same process sees nothing of the first.
import { expect, test } from 'vitest'
import {
  atCallEnd,
  type Call,
  CallerGone,
  type CallHooks,
  callEnvironment,
  cancellable,
  inCall,
  isUnwanted,
  ownProcess,
  perCall,
  requireCaller,
  tellCaller,
  waiting,
} from '../../../src/lib/call/call.ts'
import { addLogFields, isLogConfigured, log, startLog } from '../../../src/lib/log/log.ts'
import { addVerbFields, recordedSteps, startSteps, step, verbFields } from '../../../src/lib/log/steps.ts'

/** A call with hooks; what it says on stderr is appended to `told`. */
function call(hooks: Partial<CallHooks> = {}, told: string[] = []): Call {
  return {
    env: { CNI_COMMAND: 'ADD' },
    hooks: { ...ownProcess, ...hooks },
    stderr: (text) => void told.push(text),
  }
}

test('each call has a value of its own, and the process one outside of calls', () => {
  const list = perCall<string[]>(() => [])
  list().push('outside')
  inCall(call(), () => {
    expect(list()).toEqual([])
    list().push('first')
    expect(list()).toEqual(['first'])
  })
  inCall(call(), () => expect(list()).toEqual([]))
  expect(list()).toEqual(['outside'])
})

test('the environment is the call’s, or outside of calls the process’s', () => {
  expect(inCall(call(), callEnvironment)).toEqual({ CNI_COMMAND: 'ADD' })
  expect(callEnvironment()).toBe(process.env)
})

test('a call ends after an error too: what it left open is closed, the last one first', () => {
  const ends: number[] = []
  const fail = () =>
    inCall(call(), () => {
      atCallEnd(() => void ends.push(1))
      atCallEnd(() => void ends.push(2))
      throw new RangeError('x')
    })
  expect(fail).toThrow(RangeError)
  expect(ends).toEqual([2, 1])
  expect(callEnvironment()).toBe(process.env)
  atCallEnd(() => void ends.push(3))
  inCall(call(), () => undefined)
  expect(ends).toEqual([2, 1])
})

test('log lines go to the stderr of their call, with settings and fields of their call', () => {
  const told: string[] = []
  inCall(call({}, told), () => {
    startLog(() => ({ level: 'debug', file: undefined, configured: true, warnings: [] }), { verb: 'ADD' })
    addLogFields({ ifname: 'net1' })
    startSteps(true)
    addVerbFields({ device: 'x' })
    step('a', () => log.info({}, 'one'))
  })
  const later: string[] = []
  inCall(call({}, later), () => {
    expect(isLogConfigured()).toBe(false)
    expect([recordedSteps(), verbFields()]).toEqual([[], {}])
    log.info({}, 'two')
    log.warn({}, 'three')
  })
  expect(told.map((text) => JSON.parse(text))).toMatchObject([{ verb: 'ADD', ifname: 'net1', msg: 'one' }])
  expect(later).toEqual(['three\n'])
  expect(tellCaller('x')).toBe(false)
})

test('waits are told to the process that serves the call, also when they end with an error', () => {
  const seen: string[] = []
  const hooks = { waits: (on: string) => void seen.push(on), works: () => void seen.push('works') }
  inCall(call(hooks), () => {
    expect(waiting('lock', () => 1)).toBe(1)
    expect(() => waiting('ipam', () => JSON.parse('{'))).toThrow(SyntaxError)
  })
  expect(seen).toEqual(['lock', 'works', 'ipam', 'works'])
  expect(waiting('kernel', () => 2)).toBe(2)
})

test('a caller is asked for in the part that can be cancelled alone', () => {
  inCall(call({ isCallerGone: () => true }), () => {
    expect(isUnwanted()).toBe(false)
    expect(requireCaller).not.toThrow()
    expect(() => cancellable(requireCaller)).toThrow(CallerGone)
    expect(isUnwanted()).toBe(false)
  })
  inCall(call(), () => cancellable(requireCaller))
  cancellable(requireCaller)
})
