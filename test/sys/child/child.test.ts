// A child starts at once and is waited for later, in Bun, which has children of its own. It gets the descriptors that are meant for it
// and no signal mask of ours.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, expect, test } from 'vitest'

let seen: Readonly<Record<string, unknown>>

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'child-'))
  try {
    const { stdout } = await execa('sh', ['hack/bun.sh', 'test/sys/child/child-probe.ts', folder], {
      cwd: join(import.meta.dirname, '../../..'),
      stdin: 'ignore',
    })
    seen = JSON.parse(stdout)
  } finally {
    rmSync(folder, { recursive: true })
  }
}, 60_000)

const ended = { status: 0, signal: null, stdout: '', stderr: '', isTooLong: false, isLate: false }

test('its exit code, its signal and both streams are told', () => {
  expect(seen.exits).toEqual({ ...ended, status: 7, stdout: 'in ü a=b c\n', stderr: 'err\n' })
  expect(seen.signal).toEqual({ ...ended, status: null, signal: 'SIGKILL' })
})

test('a program that can’t be started is the errno of execve', () => {
  expect(seen.started).toEqual(['ENOENT', 'EACCES', 'EINVAL'])
})

test('streams may be longer than a pipe; one without an end ends the child', () => {
  expect(seen.long).toEqual([200_000, 200_000, false])
  expect(seen.tooLong).toMatchObject({ status: null, isTooLong: true, isLate: false })
  expect(seen.stderrTooLong).toBe(true)
})

test('several run at once, and are waited for in any order', () => {
  expect(seen.beside).toEqual(['went\n', 'went\n'])
})

test('it has four descriptors, also where this process was started with more; its input can be read again', () => {
  expect(seen.descriptors).toBe('0\n1\n2\n3\n')
  expect(seen.heldFile).toMatch(/\/go\n$/)
  expect(seen.stdinPlace).toBe('twice twice ')
})

test('no signal is blocked or ignored in it that is here', () => {
  expect(seen.ours).toEqual([true, true])
  expect(seen.signals).toEqual(['0000000000000000', '0000000000000000'])
})

test('signals that this process gets do not end a wait', () => {
  expect(seen.interrupted).toBe('done\n')
})

test('Bun does not take its exit code away, and has those of its own children', () => {
  expect(seen.besideBun).toEqual([9, 4, 5])
  expect(seen.twice).toBe('ECHILD')
})

test('nothing is left open', () => {
  expect(seen.left).toBe(0)
})
