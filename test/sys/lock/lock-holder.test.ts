// The holder of a lock is named: of a whole file from /proc/locks, of a byte from the descriptors of processes.
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { byteHolder, lockHolder } from '../../../src/sys/lock/lock-holder.ts'

let proc: string
let fd: number
/** The file as procfs names it. */
let file: string
beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), 'proc-'))
  const path = join(proc, 'lock')
  fd = openSync(path, 'w')
  const [major, minor, inode] = execFileSync('stat', ['-c', '%Hd %Ld %i', path], { encoding: 'utf8' })
    .trim()
    .split(' ')
    .map(Number)
  const hex = (value = 0) => value.toString(16).padStart(2, '0')
  file = `${hex(major)}:${hex(minor)}:${inode}`
  for (const [pid, state] of [
    ['11', 'S (sleeping)'],
    ['12', 'T (stopped)'],
  ] as const) {
    mkdirSync(join(proc, pid))
    writeFileSync(join(proc, pid, 'status'), `Name:\tvf-offload\nUmask:\t0022\nState:\t${state}\n`)
  }
})
afterEach(() => {
  closeSync(fd)
  rmSync(proc, { recursive: true })
})

test.each([
  ['runs', '11', 'process 11 ("vf-offload")'],
  ['is stopped', '12', 'process 12 ("vf-offload", which is stopped)'],
  ['has ended', '13', 'a child of process 13, which has ended'],
])('a holder that %s', (_, pid, words) => {
  const locks = [
    `1: FLOCK  ADVISORY  WRITE 9 ${file}9 0 EOF`,
    `2: OFDLCK ADVISORY  WRITE -1 ${file} 123 123`,
    `3: POSIX  ADVISORY  WRITE 10 ${file} 0 EOF`,
    `3: -> FLOCK  ADVISORY  WRITE 10 ${file} 0 EOF`,
    `4: FLOCK  ADVISORY  WRITE ${pid} ${file} 0 EOF`,
  ]
  writeFileSync(join(proc, 'locks'), `${locks.join('\n')}\n`)
  expect(lockHolder(fd, proc)).toBe(words)
})

test('nobody is named where no line is about the file, or there is no procfs', () => {
  writeFileSync(join(proc, 'locks'), '1: FLOCK  ADVISORY  WRITE 11 00:01:1 0 EOF\n')
  expect(lockHolder(fd, proc)).toBeUndefined()
  expect(lockHolder(fd, join(proc, 'missing'))).toBeUndefined()
})

test('who holds a byte is named from the descriptors of processes, whichever bytes of the file others hold', () => {
  const hold = (pid: string, byte: number, path = join(proc, 'lock')) => {
    for (const folder of ['fd', 'fdinfo']) mkdirSync(join(proc, pid, folder), { recursive: true })
    symlinkSync(path, join(proc, pid, 'fd', '5'))
    const locks = [
      `lock:\t1: OFDLCK ADVISORY  WRITE -1 ${file}9 ${byte} ${byte}`,
      `lock:\t2: OFDLCK ADVISORY  READ -1 ${file} ${byte} ${byte}`,
      `lock:\t3: OFDLCK ADVISORY  WRITE -1 ${file} ${byte} ${byte}`,
    ]
    writeFileSync(join(proc, pid, 'fdinfo', '5'), `pos:\t0\n${locks.join('\n')}\n`)
  }
  mkdirSync(join(proc, 'self', 'fd'), { recursive: true })
  symlinkSync(join(proc, 'lock'), join(proc, 'self', 'fd', String(fd)))
  hold('11', 2 ** 40)
  hold('12', 7)
  hold('13', 8, '/run/other')
  expect(byteHolder(fd, 2 ** 40, proc)).toBe('process 11 ("vf-offload")')
  expect(byteHolder(fd, 7, proc)).toBe('process 12 ("vf-offload", which is stopped)')
  expect([byteHolder(fd, 8, proc), byteHolder(fd, 7, join(proc, 'missing'))]).toEqual([undefined, undefined])
})
