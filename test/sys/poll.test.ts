// Waiting for descriptors, signals and the end of processes. In Bun, because vitest's Node can't open libc.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { agentCalls } from './agent-calls-run.ts'

const folder = mkdtempSync(join(tmpdir(), 'vf-poll-'))
let results: Awaited<ReturnType<typeof agentCalls>>
beforeAll(async () => {
  results = await agentCalls(folder)
})
afterAll(() => rmSync(folder, { recursive: true }))

test('a wait ends with its time, or with what happened, each descriptor by itself', () => {
  expect(results.pollTime).toEqual({ bits: [0], isLate: true, both: [1, 0], invalid: [32] })
})

test('the end of a process is told by its descriptor', () => {
  expect(results.process).toEqual({ before: [0], after: [1], closed: true, absent: 'ESRCH' })
})

test('a file in memory has a name, and no child inherits it', () => {
  expect(results.memory).toEqual({ name: '/memfd:vf-flower-test (deleted)', size: 4, closed: true })
})

test('a program that blocks signals and executes itself has them blocked in every thread, and takes them one at a time', () => {
  const { masks, ...others } = results.signals as { readonly masks: readonly string[] }
  const blocked = 0x4001
  expect(masks.length).toBeGreaterThan(0)
  for (const mask of masks) expect(Number.parseInt(mask, 16) & blocked).toBe(blocked)
  expect(others).toEqual({
    none: null,
    bits: [1],
    taken: ['SIGTERM', null],
    argument: 'as it was given',
    child: { signal: 'SIGTERM', stdout: '' },
  })
})
