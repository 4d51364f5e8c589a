// An error that nobody catches ends the process with exit code 1 and one line of the log.
import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { endOnUncaughtErrors } from '../../../device-plugin/last-resort.ts'

test.each([
  [
    'uncaughtException',
    new TypeError('x is no function'),
    /^The process ends: an error was not caught: TypeError: x is no function\n.* at /,
  ],
  ['unhandledRejection', 'no', /^The process ends: a rejection was not handled: no$/],
])('%s', (event, error, line) => {
  const codes: number[] = []
  const lines: string[] = []
  const program = Object.assign(new EventEmitter(), { exit: (code: number) => void codes.push(code) })
  endOnUncaughtErrors({ error: (text) => void lines.push(text) }, 1, program)
  program.emit(event, error)
  expect(codes).toEqual([1])
  expect(lines).toEqual([expect.stringMatching(line)])
})
