// An answer that the runtime's standard output does not take is reported to the worker, which answers again; a slow reader gets all of
// it. Standard error never costs the answer.
import { closeSync, readSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { forms, makeBed, makePipe, send } from '../support/shim/bed.ts'

// Programs under sanitizers on machines that may be busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const errno = { EBADF: 9, EPIPE: 32 }
const unwritten = (value: number) => expect.objectContaining({ kind: 3, value, bytes: 256, files: [] })
const answer = (out: number, err: number, value = 0) => send({ kind: 20, files: 1, value, out, err })

// The shim gives an agent up that a busy machine keeps from answering for a tenth of a second, which is right and no failure.
describe.each(forms)('%s', { retry: 4 }, (form) => {
  let bed: ReturnType<typeof makeBed>
  beforeAll(() => {
    bed = makeBed(form)
  })
  afterAll(() => bed.remove())

  /** An agent that is told of a failure, and answers again. */
  const twice = (first: string, second: string) => [...bed.called, first, 'packet', second]

  test('a closed standard output: EBADF, and the second answer has the exit code and the errors', async () => {
    const call = { agent: twice(answer(3, 1), answer(4, 2, 1)), prepared: ['without:1'] }
    const { code, stderr, seen } = await bed.call(call)
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'ee' })
    expect(seen).toContainEqual(unwritten(errno.EBADF))
    expect(seen.at(-1)).toEqual({ closed: true })
  })

  test('a pipe that nobody reads: EPIPE', async () => {
    const pipe = makePipe(bed.folder)
    closeSync(pipe.read)
    const agent = twice(answer(3, 0), answer(0, 3, 1))
    const { code, signal, stderr, seen } = await bed.call({ agent, stdout: pipe.write })
    closeSync(pipe.write)
    expect({ code, signal, stderr }).toEqual({ code: 1, signal: null, stderr: 'eee' })
    expect(seen).toContainEqual(unwritten(errno.EPIPE))
  })

  test('a worker that dies instead of the second answer is lost', async () => {
    const call = { agent: [...bed.called, answer(3, 0), 'packet', 'close'], prepared: ['without:1'] }
    const { code, program } = await bed.call({ ...call, input: 'all' })
    expect(code).toBe(42)
    expect(program).toMatchObject({
      ...{ arguments: [bed.shim, '--lost-worker'], descriptors: [0, 2], diesOfPipe: true },
      stdin: Buffer.from('all'),
    })
  })

  test('an answer without output needs none', async () => {
    const { code, seen } = await bed.call({ agent: [...bed.called, answer(0, 0)], prepared: ['without:1'] })
    expect([code, seen.filter(({ kind }) => kind === 3)]).toEqual([0, []])
  })

  test('after a part of the first answer nothing of the second one follows', async () => {
    const pipe = makePipe(bed.folder)
    const agent = twice(answer(1_000_000, 0), answer(7, 1, 5))
    const { exit, ended } = bed.start({ agent, stdout: pipe.write, input: '' })
    closeSync(pipe.write)
    const some = Buffer.alloc(100_000)
    await expect.poll(() => tryRead(pipe.read, some), { timeout: 30_000 }).toBeGreaterThan(0)
    closeSync(pipe.read)
    expect(await exit).toEqual({ code: 5, signal: null })
    const { stderr, seen } = await ended()
    expect(stderr).toBe('e')
    expect(seen).toContainEqual(unwritten(errno.EPIPE))
  })

  test.each([[[]], [['nonblocking:1']], [['filled:1']], [['nonblocking:1', 'filled:1']]])(
    'a slow reader gets all of it (%j)',
    async (prepared) => {
      const pipe = makePipe(bed.folder)
      const agent = [...bed.called, answer(1_000_000, 0, 2)]
      const { exit } = bed.start({ agent, stdout: pipe.write, prepared, input: '' })
      closeSync(pipe.write)
      let [all, ended] = [0, 0]
      const piece = Buffer.alloc(3000)
      const read = () => {
        const got = tryRead(pipe.read, piece)
        if (got === 0) ended++
        if (got > 0) all += piece.subarray(0, got).filter((byte) => byte === 'o'.charCodeAt(0)).length
        return ended
      }
      await expect.poll(read, { interval: 1, timeout: 30_000 }).toBeGreaterThan(0)
      closeSync(pipe.read)
      expect(await exit).toEqual({ code: 2, signal: null })
      expect(all).toBe(1_000_000)
    },
  )

  test.each([[['without:2']], [['filled:2']], [['nonblocking:2', 'filled:2']]])(
    'a standard error that takes nothing costs neither answer nor exit code (%j)',
    async (prepared) => {
      const { code, stdout } = await bed.call({ agent: [...bed.called, answer(3, 5, 4)], prepared })
      expect({ code, stdout }).toEqual({ code: 4, stdout: 'ooo' })
    },
  )
})

/** Bytes read from a non-blocking pipe; 0 at its end, -1 if nothing is there. */
function tryRead(file: number, target: Buffer): number {
  try {
    return readSync(file, target)
  } catch {
    return -1
  }
}
