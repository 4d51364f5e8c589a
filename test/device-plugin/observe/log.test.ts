// The log of the device plugin: JSON lines on stderr that no exit loses, and lines that repeat are held back and counted.
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { limited } from '../../../device-plugin/observe/log.ts'

const top = join(import.meta.dirname, '../../..')

function collected(now: () => number, isLogged?: (level: string) => boolean) {
  const lines: (readonly [string, string, unknown])[] = []
  const log = limited((level, message, fields) => lines.push([level, message, fields]), {
    now,
    ...(isLogged && { isLogged }),
  })
  return { log, lines }
}

test('a text is written five times a minute, and then with the number of those that were not', () => {
  let time = 0
  const { log, lines } = collected(() => time)
  for (let count = 0; count < 100; count++) log.warn('socket is gone', { count })
  log.warn('another text')
  log.error('socket is gone')
  expect(lines.map(([level, message]) => `${level} ${message}`)).toEqual([
    ...Array.from({ length: 5 }, () => 'warning socket is gone'),
    ...['warning another text', 'error socket is gone'],
  ])
  time = 60_000
  log.warn('socket is gone', { count: 100 })
  log.warn('another text')
  expect(lines.slice(7)).toEqual([
    ['warning', 'socket is gone', { count: 100, heldBack: 95 }],
    ['warning', 'another text', {}],
  ])
})

test('twenty thousand different texts are forgotten again', () => {
  const { log, lines } = collected(() => 0)
  const before = process.memoryUsage().heapUsed
  for (let count = 0; count < 20_000; count++) {
    log.info(`text ${count}`)
    lines.length = 0
  }
  for (let count = 0; count < 10; count++) log.info('text 19999')
  expect(lines).toHaveLength(4)
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(50e6)
})

test('a level that is not wanted costs nothing and is not counted', () => {
  const { log, lines } = collected(
    () => 0,
    (level) => level !== 'debug',
  )
  for (let count = 0; count < 10; count++) log.debug('detail')
  log.info('text')
  expect(lines).toEqual([['info', 'text', {}]])
})

test('lines are JSON with level, time, message and fields, and all are there after an exit', () => {
  const script = `
    const { startPluginLog } = await import('${top}/device-plugin/observe/log.ts')
    const log = startPluginLog('info', { node: 'n1' })
    log.debug('not wanted')
    log.info('begins', { pools: 2 })
    log.warn('as it is')
    for (let count = 0; count < 1000; count++) log.error('text ' + count)
    process.kill(process.pid, 'SIGKILL')
  `
  const bun = join(top, 'hack/bun.sh')
  expect(execFileSync('sh', [bun, '--version'], { encoding: 'utf8' })).toMatch(/^\d/)
  const { stderr } = spawnSync('sh', [bun, '-e', script], { encoding: 'utf8', cwd: top })
  const lines = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(lines).toHaveLength(1_002)
  expect(lines[0]).toMatchObject({
    ...{ level: 'info', msg: 'begins', pools: 2, program: 'vf-device-plugin', node: 'n1' },
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
  })
  expect(lines[1]).toMatchObject({ level: 'warning', msg: 'as it is' })
  expect(lines.at(-1)).toMatchObject({ level: 'error', msg: 'text 999' })
})
