// Steps of a call are recorded in order, with their times and failures.
import { afterEach, expect, test } from 'vitest'
import {
  addVerbFields,
  beginStep,
  recordedSteps,
  startSteps,
  step,
  verbFields,
} from '../../../src/lib/log/steps.ts'

afterEach(() => startSteps(false))

test('runs the action and keeps nothing while nobody records', () => {
  startSteps(false)
  expect(step('a', () => 7)).toBe(7)
  expect(() => step('b', () => JSON.parse('{'))).toThrow(SyntaxError)
  beginStep('c')()
  addVerbFields({ device: 'x' })
  expect(recordedSteps()).toEqual([])
  expect(verbFields()).toEqual({})
})

test('records in the order of beginnings, what is inside another too, and what failed', () => {
  startSteps(true)
  step('outer', () => step('inner', () => undefined))
  expect(() => step('bad', () => JSON.parse('{'))).toThrow(SyntaxError)
  const ms = expect.any(Number)
  expect(recordedSteps()).toEqual([
    { step: 'outer', ms },
    { step: 'inner', ms },
    { step: 'bad', ms, failed: true },
  ])
  const [outer, inner] = recordedSteps()
  expect(outer?.ms).toBeGreaterThanOrEqual(inner?.ms ?? Number.NaN)
})

test('a step that was begun ends once', () => {
  startSteps(true)
  const end = beginStep('lock')
  end()
  const [first] = recordedSteps()
  end(true)
  expect(recordedSteps()).toEqual([first])
})

test('fields add up until the next start', () => {
  startSteps(true)
  addVerbFields({ device: 'x' })
  addVerbFields({ uplink: 'y' })
  expect(verbFields()).toEqual({ device: 'x', uplink: 'y' })
  startSteps(true)
  expect([verbFields(), recordedSteps()]).toEqual([{}, []])
})
