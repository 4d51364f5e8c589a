// Those who wait for one lock, as compiled: they get it in the order of their coming, and whoever dies or is stopped in line or
// with the lock holds nobody up for longer than it must. Who waits is counted in /proc/locks; who has had the lock has written it
// into a file.
// needs: namespaces
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { argvOf, drive, probe, programOf, tryDrive } from '../../../hack/lab/driver/client.ts'
import type { Lab, LabProcess } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'

const path = '/run/line/lock'
const written = '/run/line/written'
const slow = { timeout: 60_000 }

let vm: Lab
let running: LabProcess[] = []
beforeAll(async () => {
  vm = await lab()
})
beforeEach(() => vm.must(`rm -rf /run/line; mkdir /run/line; touch ${path} ${written}`))
afterEach(async () => {
  for (const one of running) one.kill('SIGKILL')
  await Promise.all(running.map((one) => one.wait()))
  running = []
})
afterAll(() => vm.must('rm -rf /run/line'))

async function spawn(argv: readonly string[], stdin?: string): Promise<LabProcess> {
  const one = await vm.spawn(argv, { timeoutMs: 0, ...(stdin === undefined ? {} : { stdin }) })
  running.push(one)
  return one
}

/** Somebody who has the lock by flock(1), until it is ended. */
async function holder(): Promise<LabProcess> {
  const one = await spawn(['flock', '-o', path, 'sh', '-c', 'echo held; cat'])
  await expect.poll(() => one.stdout(), slow).toBe('held\n')
  return one
}

/**
 * The number of processes in line. Locks of other programs come and go while /proc/locks is read, and the kernel goes on by the number of
 * the line: it may show a lock twice, or leave one out. So each place counts once, and whoever asks asks again.
 */
async function standing(): Promise<number> {
  const { stdout } = await vm.sh(
    `sed -n 's/^[0-9]*: *\\(OFDLCK.* WRITE .*:'$(stat -c %i ${path})' \\)/\\1/p' /proc/locks | sort -u | wc -l`,
  )
  return Number(stdout)
}

/** Comes for the lock, and waits until it stands in line behind all others. With the lock it writes its name down. */
async function comes(name: string, milliseconds = 60_000): Promise<LabProcess> {
  const before = await standing()
  // Holders that overlap show as two beginnings in a row.
  const script = `echo ${name} >>${written}; sleep 0.02; echo . >>${written}`
  const one = await spawn(
    argvOf(),
    programOf([probe('lockAndRun', path, milliseconds, ['sh', '-c', script])]),
  )
  await expect.poll(standing, { ...slow, interval: 5 }).toBe(before + 1)
  return one
}

async function come(names: readonly string[]): Promise<LabProcess[]> {
  const all: LabProcess[] = []
  for (const name of names) all.push(await comes(name))
  return all
}

const order = async () => (await vm.readFile(written)).trim().split('\n')
/** Each of these has had the lock alone, and as one of the first who were still waiting: four try at once, and a busy machine lets others in between. */
function expectInTurn(lines: readonly string[], names: readonly string[]): void {
  const had = lines.filter((line) => line !== '.')
  expect(lines).toEqual(had.flatMap((name) => [name, '.']))
  expect([...had].sort()).toEqual([...names].sort())
  const waiting = [...names]
  const places = had.map((name) => {
    const place = waiting.indexOf(name)
    waiting.splice(place, 1)
    return place
  })
  expect(Math.max(...places), `the order was ${had.join(' ')}`).toBeLessThan(8)
}
const ended = (all: readonly LabProcess[]) => Promise.all(all.map(async (one) => (await one.wait()).stdout))
const names = (count: number) => Array.from({ length: count }, (_, at) => `w${at}`)

test('the first in line has the lock first', slow, async () => {
  const first = await holder()
  const all = await come(names(24))
  first.end()
  expect(await ended(all)).toEqual(all.map(() => '[{"value":0}]'))
  expectInTurn(await order(), names(24))
  await expect.poll(standing, slow).toBe(0)
})

test('a process that dies in line, or with the lock, holds nobody up', slow, async () => {
  const first = await holder()
  const all = await come(names(6))
  for (const at of [0, 3]) all[at]?.kill()
  await expect.poll(standing, slow).toBe(4)
  first.kill()
  await ended(all)
  expectInTurn(await order(), ['w1', 'w2', 'w4', 'w5'])
})

test.each([
  ['one', 1],
  ['more than may try at once', 5],
])(
  'a process that is stopped in line is passed by, and has the lock when it goes on: %s',
  slow,
  async (_, count) => {
    const first = await holder()
    const all = await come(names(count + 10))
    const [stopped, others] = [all.slice(0, count), all.slice(count)]
    for (const one of stopped) one.kill('SIGSTOP')
    first.end()
    await expect.poll(order, { timeout: 20_000 }).toHaveLength(20)
    await ended(others)
    expectInTurn(await order(), names(count + 10).slice(count))
    // A process that comes now does not wait for them either, and one that may not wait at all has it at once.
    for (const milliseconds of [60_000, 0])
      expect(await drive(vm, [probe('lockAndRun', path, milliseconds, ['true'])])).toEqual([0])
    await expect.poll(standing, slow).toBe(count)
    for (const one of stopped) one.kill('SIGCONT')
    await ended(stopped)
    expectInTurn((await order()).slice(20), names(count))
  },
)

test(
  'a process that is stopped with the lock keeps it, and one that has waited in vain names the holder',
  slow,
  async () => {
    const script = `echo held >>${written}; sleep 1000`
    const program = programOf([probe('lockAndRun', path, 0, ['sh', '-c', script])])
    const first = await spawn(argvOf(), program)
    await expect.poll(order, slow).toEqual(['held'])
    first.kill('SIGSTOP')
    const all = await come(names(3))
    const [late] = await tryDrive(vm, [probe('lockAndRun', path, 400, ['true'])])
    expect(late.error?.message).toBe(
      `Cannot lock "${path}" within 400 ms: process ${first.pid} ("driver", which is stopped) holds it`,
    )
    expect(await order()).toEqual(['held'])
    await expect.poll(standing, slow).toBe(3)
    first.kill('SIGKILL')
    await ended(all)
    expectInTurn((await order()).slice(1), names(3))
  },
)

test(
  'programs that know only flock get the lock too, and no two processes have it at once',
  slow,
  async () => {
    const first = await holder()
    const stranger = (name: string) => {
      const script = `echo ${name} >>${written}; sleep 0.02; echo . >>${written}`
      return spawn(['flock', path, 'sh', '-c', script])
    }
    const all: LabProcess[] = []
    for (const name of names(4)) all.push(await comes(name), await stranger(`f${name}`))
    first.end()
    await ended(all)
    const lines = await order()
    expect(lines.filter((_, at) => at % 2 === 1)).toEqual(Array(8).fill('.'))
    expect(lines.filter((line) => line !== '.').sort()).toEqual(
      [...names(4), ...names(4).map((name) => `f${name}`)].sort(),
    )
  },
)

test('a child that has inherited the lock has it, and stands in no line', slow, async () => {
  await vm.must('mkfifo /run/line/wait')
  const first = await holder()
  const script = `echo child >>${written}; read x </run/line/wait; echo . >>${written}`
  const program = programOf([probe('lockAndHandOn', path, 60_000, ['sh', '-c', script])])
  const parent = await spawn(argvOf(), program)
  await expect.poll(standing, slow).toBe(1)
  first.end()
  await parent.wait()
  await expect.poll(order, slow).toEqual(['child'])
  await expect.poll(standing, slow).toBe(0)
  const next = await comes('next')
  expect(await order()).toEqual(['child'])
  await vm.must('echo >/run/line/wait')
  await next.wait()
  expect(await order()).toEqual(['child', '.', 'next', '.'])
})

test(
  'a file with a text keeps it, and one on a read-only file system is waited for without a line',
  slow,
  async () => {
    await vm.must(`mount -t tmpfs line /run/line && echo text >${path} && mount -o remount,ro /run/line`)
    try {
      const first = await holder()
      const [late] = await tryDrive(vm, [probe('lockAndRun', path, 100, ['true'])])
      expect(late.error).toMatchObject({ name: 'LockTimeout' })
      const next = await spawn(argvOf(), programOf([probe('lockAndRun', path, 60_000, ['true'])]))
      const opened = () => vm.sh(`ls -l /proc/${next.pid}/fd | grep -c ${path}`)
      await expect.poll(async () => (await opened()).stdout, slow).toBe('1\n')
      first.end()
      expect((await next.wait()).stdout).toBe('[{"value":0}]')
      await vm.must('mount -o remount,rw /run/line')
      const other = await holder()
      const waiting = await spawn(argvOf(), programOf([probe('lockAndRun', path, 60_000, ['true'])]))
      await expect.poll(standing, slow).toBe(1)
      other.end()
      expect((await waiting.wait()).stdout).toBe('[{"value":0}]')
      expect(await vm.readFile(path)).toBe('text\n')
    } finally {
      await vm.must('umount /run/line')
    }
  },
)
