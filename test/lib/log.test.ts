import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { addLogFields, isLogConfigured, isLogged, log, startLog } from '../../src/lib/log.ts'
import { fileWriter } from '../../src/lib/log-file.ts'
import { defaultSettings, levels } from '../../src/lib/log-settings.ts'
import { notice } from '../../src/lib/notice.ts'
import { logged } from '../support/log.ts'

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
})
