// The agent's answer is the answer of the call: the agent gets input, environment and descriptors as the runtime gave them, and each byte
// of the answer arrives, in the shim of the build, in one compiled with musl,
// and in one under ASan and UBSan.

import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { execaSync } from 'execa'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { forms, makeBed, send } from '../support/shim/bed.ts'

// Programs under sanitizers on machines that may be busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })
/** As long for a condition. */
const patient = { timeout: 30_000 }

/** Flags of open(2) as fcntl(2) gives them. */
const flags = { path: 0o10000000, nonBlocking: 0o4000 }

// The shim gives an agent up that a busy machine keeps from answering for a tenth of a second, which is right and no failure.
describe.each(forms)('%s', { retry: 4 }, (form) => {
  let bed: ReturnType<typeof makeBed>
  beforeAll(() => {
    bed = makeBed(form)
  })
  afterAll(() => bed.remove())

  /** An answer of so many bytes. */
  const answer = (out: number, err: number, value = 0) => send({ kind: 20, files: 1, value, out, err })

  test('the call is what the runtime gave, and the answer what the agent gave', async () => {
    const env = { CNI_COMMAND: 'DEL', CNI_NETNS: '/proc/self/ns/net', TRACEPARENT: 'x', LD_PRELOAD: '' }
    const input = '{"a":1}'
    const { program, seen, ...outcome } = await bed.call({
      agent: [...bed.called, answer(3, 2, 7)],
      ...{ env, input },
    })
    expect(outcome).toEqual({ code: 7, signal: null, stdout: 'ooo', stderr: 'ee' })
    expect(program).toBeUndefined()
    const [, , hello, , , commit, , end] = seen
    expect(hello).toMatchObject({ kind: 1, value: 2, bytes: 256, files: [] })
    expect(commit).toMatchObject({ kind: 2, bytes: 256, first: input.length })
    const [memfd, root, netns, ...others] = commit?.files ?? []
    expect(others).toEqual([])
    expect([root?.inode, (root?.flags ?? 0) & flags.path]).toEqual([statSync('/').ino, flags.path])
    expect(netns?.inode).toBe(statSync('/proc/self/ns/net').ino)
    expect((netns?.flags ?? 0) & flags.nonBlocking).toBe(flags.nonBlocking)
    const { stdin, rest } = bed.received()
    expect(stdin.toString()).toBe(input)
    expect(rest).toEqual([bed.shim, ...bed.environment(env), ''])
    expect([commit?.second, memfd?.size]).toEqual([rest.join('\0').length, 7 + rest.join('\0').length])
    expect(end).toEqual({ closed: true })
  })

  test.each([
    ['ADD', 1],
    ['DEL', 2],
    ['CHECK', 3],
    ['GC', 4],
    ['STATUS', 5],
  ])('%s is verb %i', async (verb, value) => {
    const agent = [...bed.called, answer(1, 0)]
    const { code, stdout, seen } = await bed.call({ agent, env: { CNI_COMMAND: verb } })
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'o' })
    expect(seen[2]).toMatchObject({ kind: 1, value })
  })

  test.each(['sriov', 'host-device', 'vf-offload', 'portmap', 'bandwidth'])(
    'as %s, the first of its strings has that name',
    async (name) => {
      await bed.call({ agent: [...bed.called, answer(0, 0)], name })
      expect(bed.received().rest[0]).toBe(`${bed.folder}/${name}`)
    },
  )

  test('an environment of 1 MB with odd bytes arrives whole, and of two variables of one name the second counts', async () => {
    const many = Array.from(
      { length: 440 },
      (_, at) => [`N ${at}=`, `${'\u0001\n"\\ü'.repeat(400)}`] as const,
    )
    const env = { ...Object.fromEntries(many), CNI_COMMAND: 'ADD' }
    const prepared = ['also:CNI_COMMAND=CHECK', 'also:no name', 'also:']
    const { code, seen } = await bed.call({ agent: [...bed.called, answer(0, 0)], env, prepared })
    expect([code, seen[2]?.value]).toEqual([0, 3])
    const { rest } = bed.received()
    const utf8 = rest.map((one) => Buffer.from(one, 'latin1').toString())
    expect(utf8).toEqual([bed.shim, ...bed.environment(env), 'CNI_COMMAND=CHECK', 'no name', '', ''])
    expect(rest.join().length).toBeGreaterThan(1e6)
  })

  test.each([0, 1, 65_536, 5_000_000])('an input of %i bytes arrives whole', async (bytes) => {
    const input = Buffer.alloc(bytes, 'a\0b')
    expect((await bed.call({ agent: [...bed.called, answer(0, 0)], input })).code).toBe(0)
    expect(bed.received().stdin.equals(input)).toBe(true)
  })

  test('nothing is open but the input as long as that has not ended; then all of it arrives', async () => {
    const { child, ended, seen } = bed.start({ agent: [...bed.called, answer(2, 0)] })
    child.stdin?.write('first')
    // Waiting in read(0, ...): number and first argument of the system call.
    const waits = () => readFileSync(`/proc/${child.pid}/syscall`, 'utf8')
    await expect.poll(waits, patient).toMatch(/^(0|63) 0x0 /)
    const open = readdirSync(`/proc/${child.pid}/fd`).map((at) => readlinkSync(`/proc/${child.pid}/fd/${at}`))
    expect(open.slice(3)).toEqual(['/', expect.stringContaining('memfd:vf-flower')])
    expect(seen().filter(({ accepted }) => accepted)).toEqual([])
    child.stdin?.end(' second')
    expect(await ended()).toMatchObject({ code: 0, stdout: 'oo' })
    expect(bed.received().stdin.toString()).toBe('first second')
  })

  test('a non-blocking input that is late is waited for', async () => {
    const { child, ended } = bed.start({ agent: [...bed.called, answer(0, 0)], prepared: ['nonblocking:0'] })
    const name = () => readFileSync(`/proc/${child.pid}/comm`, 'utf8')
    await expect.poll(name, patient).toBe('vf-attach\n')
    child.stdin?.write('late')
    await expect.poll(() => readFileSync(`/proc/${child.pid}/wchan`, 'utf8'), patient).toMatch(/poll/)
    child.stdin?.end(' end')
    expect((await ended()).code).toBe(0)
    expect(bed.received().stdin.toString()).toBe('late end')
  })

  test('while the worker works the shim keeps no namespace alive; killed, it closes the connection', async () => {
    const { child, ended, seen } = bed.start({
      ...{ agent: bed.called, env: { CNI_NETNS: '/proc/self/ns/net' }, input: '' },
    })
    await expect.poll(() => seen().some(({ kind }) => kind === 2), patient).toBe(true)
    // Waiting in ppoll(2), without a time limit.
    await expect
      .poll(() => readFileSync(`/proc/${child.pid}/syscall`, 'utf8'), patient)
      .toMatch(/^(271|73) \S+ 0x1 0x0 /)
    const open = readdirSync(`/proc/${child.pid}/fd`).map((at) => readlinkSync(`/proc/${child.pid}/fd/${at}`))
    expect(open.slice(3).filter((target) => target.startsWith('net:'))).toEqual([])
    child.kill('SIGKILL')
    expect(await ended()).toMatchObject({ signal: 'SIGKILL', stdout: '', program: undefined })
    expect(seen().at(-1)).toEqual({ closed: true })
  })

  test('READY may come at once, without WAIT', async () => {
    const agent = bed.called.filter((step) => step !== send({ kind: 16 }))
    expect(await bed.call({ agent: [...agent, answer(1, 0)] })).toMatchObject({ code: 0, stdout: 'o' })
  })

  test.each(['/nonexistent', ''])('a CNI_NETNS "%s" that cannot be opened is no descriptor', async (path) => {
    const agent = [...bed.called, answer(0, 0)]
    const { seen } = await bed.call({ agent, env: { CNI_NETNS: path } })
    expect(seen[5]?.files).toHaveLength(2)
  })

  test('a CNI_NETNS that is a FIFO without a writer holds nobody up', async () => {
    const fifo = `${bed.folder}/fifo`
    execaSync('mkfifo', [fifo])
    const { code, seen } = await bed.call({ agent: [...bed.called, answer(0, 0)], env: { CNI_NETNS: fifo } })
    expect([code, seen[5]?.files?.[2]?.inode]).toEqual([0, statSync(fifo).ino])
  })

  test.each([
    [0, 0, 0],
    [5_000_000, 0, 1],
    [4096, 5_000_000, 255],
    [1, 1, 200],
  ])('an answer of %i and %i bytes and exit code %i arrives whole', async (out, err, value) => {
    const { code, stdout, stderr } = await bed.call({ agent: [...bed.called, answer(out, err, value)] })
    expect(code).toBe(value)
    expect(stdout === 'o'.repeat(out)).toBe(true)
    expect(stderr === 'e'.repeat(err)).toBe(true)
  })

  test('VERSION is answered without the agent and without an end of the input', async () => {
    const { child, exit, ended, seen } = bed.start({ agent: ['accept'], env: { CNI_COMMAND: 'VERSION' } })
    expect(await exit).toEqual({ code: 0, signal: null })
    child.stdin?.end()
    expect((await ended()).stdout).toBe(form === 'sanitized' ? '{}\n' : bed.versions)
    expect(seen()).toEqual([{ pid: expect.any(Number) }])
  })
})
