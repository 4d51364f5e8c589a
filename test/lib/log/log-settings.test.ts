// Level and file of the log come from the node, the environment and the config, in this order.
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { OutOfBounds } from '../../../src/lib/bounded-path.ts'
import type { JsonObject } from '../../../src/lib/json.ts'
import { levels, logSettings } from '../../../src/lib/log/log-settings.ts'

let folder: string
let nodeFile: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'log-settings-'))
  nodeFile = join(folder, 'log.json')
})
afterEach(() => rmSync(folder, { recursive: true }))

const silent = { level: 'warning', file: undefined, configured: false, warnings: [] }

test('nothing given: warnings on stderr, not configured', () => {
  expect(logSettings({})).toEqual(silent)
  expect(logSettings({ nodeFile, env: {}, config: {} })).toEqual(silent)
})

test.each(['', null])('%j is not given', (value) => {
  const env = { VF_FLOWER_LOG_LEVEL: '', VF_FLOWER_LOG_FILE: '' }
  writeFileSync(nodeFile, JSON.stringify({ level: value, file: value }))
  expect(logSettings({ nodeFile, env, config: { logLevel: value, logFile: value } })).toEqual(silent)
})

describe('level', () => {
  const spellings = levels.map((level): [string, string] => [level, level])
  test.each([...spellings, ['warn', 'warning'], ['verbose', 'debug'], ['Info', 'info']] as [
    string,
    string,
  ][])('%s is %s, by every source', (given, level) => {
    const expected = { ...silent, level, configured: true }
    expect(logSettings({ config: { logLevel: given } })).toEqual(expected)
    expect(logSettings({ config: { LOGLEVEL: given } })).toEqual(expected)
    expect(logSettings({ env: { VF_FLOWER_LOG_LEVEL: given } })).toEqual(expected)
    writeFileSync(nodeFile, JSON.stringify({ level: given }))
    expect(logSettings({ nodeFile })).toEqual(expected)
  })

  test.each([
    ['loud', '"loud"'],
    ['info ', '"info "'],
    [7, '7'],
    [{}, 'of type object'],
    [['info'], 'of type array'],
    ['constructor', '"constructor"'],
  ] as const)('%j is named and counts as not given', (value, words) => {
    const warning = `${words}: must be panic, error, warning, info or debug`
    const config = { logLevel: value } as unknown as JsonObject
    expect(logSettings({ config })).toEqual({ ...silent, warnings: [`Cannot use logLevel ${warning}`] })
    writeFileSync(nodeFile, JSON.stringify({ level: value }))
    expect(logSettings({ nodeFile, config: { logLevel: 'error' } })).toEqual({
      ...silent,
      level: 'error',
      configured: true,
      warnings: [`Cannot use level in ${nodeFile}: ${warning}`],
    })
  })
})

describe('file', () => {
  test.each(['log/vf.log', '~/log', '/var/log/\0x', 3, true])(
    '%j is named and counts as not given',
    (value) => {
      const config = { logFile: value } as JsonObject
      expect(logSettings({ config })).toEqual({
        ...silent,
        warnings: [`Cannot use logFile ${JSON.stringify(value)}: must be an absolute path`],
      })
    },
  )

  test('alone turns the log on, at the default level', () => {
    expect(logSettings({ config: { logFile: '/l' } })).toEqual({ ...silent, file: '/l', configured: true })
  })
})

describe('bounds', () => {
  const bounds = (path: string): string => {
    if (path.startsWith('/etc/')) throw new OutOfBounds('must be below /var/log')
    return `/real${path}`
  }

  test('a file of the config counts as what they make of it, and is held to more', () => {
    expect(logSettings({ config: { logFile: '/l' }, bounds })).toEqual({
      ...silent,
      file: '/real/l',
      isStrict: true,
      configured: true,
    })
  })

  test('one out of them is named and counts as not given', () => {
    expect(logSettings({ config: { logFile: '/etc/l', logLevel: 'info' }, bounds })).toEqual({
      ...silent,
      level: 'info',
      configured: true,
      warnings: ['Cannot use logFile "/etc/l": must be below /var/log'],
    })
  })

  test('the files of the node and of the environment have none', () => {
    const env = { VF_FLOWER_LOG_FILE: '/etc/l' }
    const expected = { ...silent, file: '/etc/l', configured: true }
    expect(logSettings({ config: { logFile: '/etc/x' }, env, bounds })).toEqual(expected)
    writeFileSync(nodeFile, JSON.stringify({ file: '/etc/l' }))
    expect(logSettings({ nodeFile, bounds })).toEqual(expected)
  })
})

describe('precedence', () => {
  const config = { logLevel: 'error', logFile: '/config' }
  const env = { VF_FLOWER_LOG_LEVEL: 'info', VF_FLOWER_LOG_FILE: '/env' }
  const node = { level: 'debug', file: '/node' }

  test('the node, then the environment, then the config', () => {
    expect(logSettings({ config })).toMatchObject({ level: 'error', file: '/config' })
    expect(logSettings({ config, env })).toMatchObject({ level: 'info', file: '/env' })
    writeFileSync(nodeFile, JSON.stringify(node))
    expect(logSettings({ config, env, nodeFile })).toMatchObject({ level: 'debug', file: '/node' })
  })

  test('level and file each for itself', () => {
    writeFileSync(nodeFile, JSON.stringify({ level: 'debug' }))
    expect(logSettings({ config, nodeFile })).toMatchObject({ level: 'debug', file: '/config' })
    expect(logSettings({ config, env: { VF_FLOWER_LOG_FILE: '/env' } })).toMatchObject({
      level: 'error',
      file: '/env',
    })
  })
})

describe("the node's file", () => {
  test.each([
    ['{"level": "debug"', /^Cannot use \S+log\.json: line 1, column 18: found the end/],
    ['["debug"]', /^Cannot use \S+log\.json: must be a JSON object$/],
    ['', /^Cannot use \S+log\.json: line 1, column 1/],
  ])('%j is named and passed over', (content, warning) => {
    writeFileSync(nodeFile, content)
    const settings = logSettings({ nodeFile, config: { logLevel: 'info' } })
    expect(settings).toMatchObject({ level: 'info', warnings: [expect.stringMatching(warning)] })
  })

  test('that is a folder is named and passed over', () => {
    mkdirSync(nodeFile)
    expect(logSettings({ nodeFile })).toMatchObject({
      configured: false,
      warnings: [`Cannot use ${nodeFile}: it is a folder; must be a regular file`],
    })
  })

  test('that is a FIFO is named and passed over, at once', () => {
    execFileSync('mkfifo', [nodeFile])
    expect(logSettings({ nodeFile }).warnings).toEqual([
      `Cannot use ${nodeFile}: it is a FIFO; must be a regular file`,
    ])
  })

  test('that others may write is named and passed over', () => {
    writeFileSync(nodeFile, '{"level":"debug"}')
    chmodSync(nodeFile, 0o666)
    expect(logSettings({ nodeFile })).toMatchObject({
      configured: false,
      warnings: [expect.stringContaining('others may write it (mode 0666)')],
    })
  })
})
