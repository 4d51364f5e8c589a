// A compiled process that holds the lock of a device keeps all others out.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { probe, programOf } from '../../hack/lab/driver/client.ts'
import { executable } from '../support/executable.ts'

// The lock as compiled, held against flock(1).

// Processes of 100 MB on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 })

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

test.each([
  ['share it', '-s'],
  ['have it alone', '-x'],
])('who holds the lock keeps out who would %s', (_, how) => {
  const path = join(folder, 'lock')
  const input = programOf([probe('lockAndRun', path, 0, ['flock', '-n', how, path, 'true'])])
  expect(JSON.parse(execaSync(executable('test/driver'), { input }).stdout)).toEqual([{ value: 1 }])
  expect(execaSync('flock', ['-n', how, path, 'true'], { reject: false }).exitCode).toBe(0)
})
