// The settings of the agent: defaults, ranges, and messages that name the key, the value and what is allowed.
import { expect, test } from 'vitest'
import { defaultSettings, parseSettings, readSettings } from '../../src/agent/settings.ts'

test('an empty object, and no file, mean the defaults', () => {
  expect(parseSettings('{}')).toEqual(defaultSettings)
  expect(readSettings('/nonexistent/agent.json')).toEqual(defaultSettings)
})

test('keys are taken; more workers than the most by default raise the most', () => {
  expect(parseSettings('{"workers":20,"workerMemory":64,"metrics":"[::1]:9100"}')).toEqual({
    ...defaultSettings,
    ...{ workers: 20, maxWorkers: 20, workerMemory: 64, metrics: '[::1]:9100' },
  })
})

test.each([
  ['[]', 'must be an object'],
  ['{', 'Cannot use FILE: '],
  ['{"wrokers":1,"x":2}', 'unknown key "wrokers", "x"; must be one of workers, maxWorkers'],
  ['{"workers":0}', 'workers is 0; must be an integer from 1 to 64'],
  ['{"workers":1.5}', 'workers is 1.5; must be an integer from 1 to 64'],
  ['{"maxWorkers":"3"}', 'maxWorkers is "3"; must be an integer from 1 to 64'],
  ['{"workers":4,"maxWorkers":3}', 'maxWorkers is 3; must be 4 (workers) or more'],
  ['{"metrics":"localhost:80"}', 'metrics is "localhost:80"; must be ADDRESS:PORT or [ADDRESS]:PORT'],
  ['{"metrics":9100}', 'metrics is 9100; must be ADDRESS:PORT or [ADDRESS]:PORT'],
])('%s is refused', (text, words) => {
  expect(() => parseSettings(text, 'FILE')).toThrow(words)
})
