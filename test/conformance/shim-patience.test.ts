// The shim's two long waits have an end: for a worker that never becomes ready, and for a standard output that nobody reads.
import { closeSync } from 'node:fs'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { makeBed, makePipe, send } from '../support/shim/bed.ts'

// Programs under sanitizers on machines that may be busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })
// The shim gives an agent up that a busy machine keeps from answering for a tenth of a second, which is right and no failure.
const retry = 4

const beds: ReturnType<typeof makeBed>[] = []
beforeAll(() => {
  for (let count = 0; count < 4; count++) beds.push(makeBed('release'))
})
afterAll(() => {
  for (const bed of beds) bed.remove()
})

const greeted = ['accept', 'packet', send({ kind: 16 })]
const ETIMEDOUT = 110

// At once, because each waits for ten seconds.
test.concurrent('a worker that is never ready: as without an agent', { retry }, async () => {
  const { code, program } = (await beds[0]?.call({ agent: greeted, input: 'x' })) ?? {}
  expect([code, program?.arguments.length, program?.stdin.toString()]).toEqual([42, 1, 'x'])
})

test.concurrent('an agent that is stopped after WAIT: as without an agent', { retry }, async () => {
  const call = beds[1]?.start({ agent: [...greeted, 'stop'], input: 'x' })
  expect(await call?.exit).toEqual({ code: 42, signal: null })
  process.kill(call?.seen()[0]?.pid ?? 0, 'SIGKILL')
  expect((await call?.ended())?.program?.stdin.toString()).toBe('x')
})

test.concurrent.each([
  [2, ['filled:1']],
  [3, ['nonblocking:1', 'filled:1']],
])('a standard output that nobody reads: ETIMEDOUT (%i, %j)', { retry }, async (index, prepared) => {
  const bed = beds[index]
  if (bed === undefined) throw new Error('there are four beds')
  const pipe = makePipe(bed.folder)
  const answer = (value: number) => send({ kind: 20, files: 1, value, out: 3, err: 2 })
  const agent = [...bed.called, answer(0), 'packet', answer(9)]
  const { code, stderr, seen } = await bed.call({ agent, prepared, stdout: pipe.write })
  closeSync(pipe.write)
  closeSync(pipe.read)
  expect({ code, stderr }).toEqual({ code: 9, stderr: 'ee' })
  expect(seen).toContainEqual(expect.objectContaining({ kind: 3, value: ETIMEDOUT }))
})
