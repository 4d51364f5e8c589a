// Lines of the log are whole, and the log's file is never a trap.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { addLogFields, isLogConfigured, isLogged, log, startLog } from '../../../src/lib/log/log.ts'
import { fileWriter } from '../../../src/lib/log/log-file.ts'
import { defaultSettings, levels } from '../../../src/lib/log/log-settings.ts'
import { notice } from '../../../src/lib/log/notice.ts'
import { logged } from '../../support/log.ts'

const sayAll = () => {
  log.panic({}, 'panic')
  log.error({}, 'error')
  log.warn({}, 'warning')
  log.info({}, 'info')
  log.debug({}, 'debug')
}

describe('log', () => {
  test.each(levels)('at %s writes that level and worse ones, by their names', (level) => {
    const lines = logged(level, sayAll)
    const expected = levels.slice(0, levels.indexOf(level) + 1)
    expect(lines.map((line) => line.level)).toEqual(expected)
    expect(lines.map((line) => line.msg)).toEqual(expected)
  })

  test.each(levels)('at %s isLogged says what is written', (level) => {
    startLog(() => ({ ...defaultSettings, level, configured: true }), {})
    expect(levels.filter(isLogged)).toEqual(levels.slice(0, levels.indexOf(level) + 1))
    startLog(() => defaultSettings, {})
  })

  test('by default is not configured, and takes warnings and worse', () => {
    startLog(() => defaultSettings, {})
    expect(isLogConfigured()).toBe(false)
    expect(levels.filter(isLogged)).toEqual(['panic', 'error', 'warning'])
  })

  test('a line has its time, the process, what all lines have, its own fields and the message', () => {
    const before = Date.now()
    const [line] = logged('debug', () => {
      addLogFields({ verb: 'ADD', ifname: 'net1' })
      log.info({ big: { value: 2n ** 64n }, ifname: 'net2', absent: undefined }, 'a "message"')
    })
    expect(Object.keys(line ?? {})).toEqual(['level', 'time', 'pid', 'verb', 'ifname', 'big', 'msg'])
    expect(line).toMatchObject({ pid: process.pid, verb: 'ADD', ifname: 'net2', msg: 'a "message"' })
    expect(Date.parse(String(line?.time))).toBeGreaterThanOrEqual(before)
  })

  test('integers beyond 2^53 are written digit by digit', () => {
    const folder = mkdtempSync(join(tmpdir(), 'log-'))
    const file = join(folder, 'log')
    startLog(() => ({ ...defaultSettings, file, configured: true }), {})
    log.warn({ value: { rate: 18446744073709551615n } }, 'x')
    startLog(() => defaultSettings, {})
    expect(readFileSync(file, 'utf8')).toContain('"value":{"rate":18446744073709551615}')
    rmSync(folder, { recursive: true })
  })

  test('a notice is a warning', () => {
    expect(logged('warning', () => notice('vf-attach: look'))).toMatchObject([
      { level: 'warning', msg: 'vf-attach: look' },
    ])
    expect(logged('error', () => notice('vf-attach: look'))).toEqual([])
  })

  test('settings that can not be used are warnings of the first who asks, once', () => {
    let asked = 0
    const folder = mkdtempSync(join(tmpdir(), 'log-'))
    const file = join(folder, 'log')
    const find = () => {
      asked++
      return { level: 'info' as const, file, configured: true, warnings: ['Cannot use x'] }
    }
    startLog(find, { plugin: 'vf-attach' })
    expect(asked).toBe(0)
    isLogged('debug')
    isLogged('debug')
    startLog(() => defaultSettings, {})
    expect(asked).toBe(1)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      level: 'warning',
      msg: 'vf-attach: Cannot use x',
    })
    rmSync(folder, { recursive: true })
  })
})

describe('fileWriter', () => {
  let folder: string
  let file: string
  let complaints: string[]
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'log-file-'))
    file = join(folder, 'log')
    complaints = []
  })
  afterEach(() => rmSync(folder, { recursive: true }))
  const writer = (path: string) => fileWriter(path, (line) => complaints.push(line))

  test('opens nothing before there is a text', () => {
    writer(file)
    expect(() => statSync(file)).toThrow('ENOENT')
  })

  test('creates the file for its owner only, appends, and leaves the mode of one that is there', () => {
    const mode = () => (statSync(file).mode & 0o7777).toString(8)
    writer(file)('one\n')
    writer(file)('two\n')
    expect(readFileSync(file, 'utf8')).toBe('one\ntwo\n')
    expect(mode()).toBe('600')
    rmSync(file)
    writeFileSync(file, 'zero\n', { mode: 0o644 })
    writer(file)('one\n')
    expect(readFileSync(file, 'utf8')).toBe('zero\none\n')
    expect(mode()).toBe('644')
    expect(complaints).toEqual([])
  })

  test('does not create folders, and complains once', () => {
    const write = writer(join(folder, 'missing/log'))
    write('')
    write('')
    expect(complaints).toEqual([expect.stringMatching(/^Cannot write log file ".*\/missing\/log": ENOENT/)])
    expect(() => statSync(join(folder, 'missing'))).toThrow('ENOENT')
  })

  test('complains of a FIFO that nobody reads, at once', () => {
    execFileSync('mkfifo', [file])
    writer(file)('')
    expect(complaints).toEqual([expect.stringContaining('ENXIO')])
  })

  test('complains of a FIFO that somebody reads, and of a device: neither is a file', () => {
    execFileSync('mkfifo', [file])
    const reader = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
    writer(file)('')
    writer('/dev/null')('')
    closeSync(reader)
    expect(complaints).toEqual([
      expect.stringContaining('it is a FIFO; must be a regular file'),
      expect.stringContaining('it is a device; must be a regular file'),
    ])
  })

  describe('whose path is a network config’s', () => {
    const strict = (path: string) => fileWriter(path, (line) => complaints.push(line), true)

    test('makes the file, and appends to a log of ours', () => {
      strict(file)('{"level":"info","n":1}\n')
      strict(file)('{"level":"info","n":2}\n')
      expect(readFileSync(file, 'utf8')).toBe('{"level":"info","n":1}\n{"level":"info","n":2}\n')
      expect((statSync(file).mode & 0o7777).toString(8)).toBe('600')
      expect(complaints).toEqual([])
    })

    test('takes a file that is there and empty, as one is after a rotation', () => {
      writeFileSync(file, '', { mode: 0o600 })
      strict(file)('{"level":"info"}\n')
      expect(complaints).toEqual([])
    })

    test.each([
      ['that others may read', '', 0o640, 'its mode is 0640; must be 0600'],
      ['of somebody else’s words', 'type=LOGIN msg=audit\n', 0o600, 'it is there already and is no log'],
      ['that is shorter than any line of ours', '{', 0o600, 'it is there already and is no log'],
    ])('leaves a file %s as it is', (_, text, mode, words) => {
      writeFileSync(file, text)
      chmodSync(file, mode)
      strict(file)('x')
      expect(readFileSync(file, 'utf8')).toBe(text)
      expect(complaints).toEqual([expect.stringContaining(words)])
    })

    test('leaves a file of another user, and follows no link', () => {
      writeFileSync(file, '', { mode: 0o600 })
      symlinkSync('log', join(folder, 'link'))
      strict(join(folder, 'link'))('x')
      chownSync(file, 65534, 0)
      strict(file)('x')
      expect(readFileSync(file, 'utf8')).toBe('')
      expect(complaints).toEqual([
        expect.stringContaining('ELOOP'),
        expect.stringContaining('it belongs to user 65534; must belong to root'),
      ])
    })
  })
})
