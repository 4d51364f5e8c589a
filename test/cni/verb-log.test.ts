// Each call is one line of the log: at info when it succeeds, at its level when it fails.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ipamDel } from '../../src/cni/delegate.ts'
import { CniError } from '../../src/cni/error.ts'
import { startLog } from '../../src/lib/log/log.ts'
import { defaultSettings } from '../../src/lib/log/log-settings.ts'
import { addVerbFields, startSteps, step } from '../../src/lib/log/steps.ts'
import { linesIn } from '../support/log.ts'
import { addEnv, fakePlugin, runVerb } from '../support/run-verb.ts'
import { spawnInNode } from '../support/spawn.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'verb-log-'))
  file = join(folder, 'log')
})
afterEach(() => {
  rmSync(folder, { recursive: true })
  startLog(() => defaultSettings, {})
  startSteps(false)
})

const config = (more: object = {}) =>
  JSON.stringify({ cniVersion: '1.1.0', name: 'net', type: 'fake', logFile: file, logLevel: 'info', ...more })
const env = (command: string, more: Record<string, string> = {}) => ({
  ...addEnv,
  CNI_COMMAND: command,
  ...more,
})
const ms = expect.any(Number)
const times = { ms, steps: [{ step: 'parse', ms }] }

describe('a verb that succeeds', () => {
  test('is one line at info: who, what, where, how long', () => {
    const plugin = fakePlugin({
      add: () => {
        step('work', () => addVerbFields({ device: '0000:3b:02.1' }))
        return {}
      },
    })
    const answer = runVerb(plugin, { env: env('ADD'), stdin: config() })
    expect(answer).toMatchObject({ exitCode: 0, stderr: '', object: { cniVersion: '1.1.0' } })
    expect(linesIn(file)).toEqual([
      {
        level: 'info',
        time: expect.any(String),
        pid: process.pid,
        plugin: 'fake',
        verb: 'ADD',
        containerID: 'some-container',
        ifname: 'net1',
        network: 'net',
        netns: '/var/run/netns/some',
        device: '0000:3b:02.1',
        result: 'ok',
        ms,
        steps: [
          { step: 'parse', ms },
          { step: 'work', ms },
        ],
        msg: 'ADD succeeded',
      },
    ])
  })

  test.each(['DEL', 'CHECK', 'GC', 'STATUS'])('%s too', (command) => {
    const quiet = fakePlugin({ del() {}, check() {}, gc() {}, status() {} })
    expect(runVerb(quiet, { env: env(command), stdin: config() })).toMatchObject({ exitCode: 0, stdout: '' })
    expect(linesIn(file)).toMatchObject([{ level: 'info', verb: command, result: 'ok', ...times }])
  })

  test('is no line at warning', () => {
    const plugin = fakePlugin({ add: () => ({}) })
    expect(runVerb(plugin, { env: env('ADD'), stdin: config({ logLevel: 'warning' }) }).exitCode).toBe(0)
    expect(linesIn(file)).toEqual([])
  })

  test.each([{ deviceID: 'x' }, { PCIBusID: 'x' }, { runtimeConfig: { deviceID: 'x' } }])(
    'names the device of the config, %j, where the plugin says nothing',
    (keys) => {
      runVerb(fakePlugin({ add: () => ({}) }), { env: env('ADD'), stdin: config(keys) })
      expect(linesIn(file)).toMatchObject([{ device: 'x' }])
    },
  )
})

describe('a verb that fails', () => {
  const failing = fakePlugin({
    add: () => {
      throw new CniError(102, 'Cannot move', { details: 'EBUSY' })
    },
  })

  test.each(['error', 'warning', 'info'])(
    'is one line at error with what the runtime is told (level %s)',
    (logLevel) => {
      const answer = runVerb(failing, { env: env('ADD'), stdin: config({ logLevel }) })
      expect(answer).toMatchObject({ exitCode: 1, stderr: '', object: { code: 102 } })
      const error = { code: 102, msg: 'Cannot move', details: 'EBUSY' }
      expect(linesIn(file)).toMatchObject([
        {
          level: 'error',
          verb: 'ADD',
          network: 'net',
          result: 'error',
          error,
          ...times,
          msg: 'ADD failed: Cannot move',
        },
      ])
    },
  )

  test('by its IPAM plugin names that step', () => {
    const ipam = join(folder, 'ipam')
    writeFileSync(ipam, '#!/bin/sh\nexit 3\n', { mode: 0o755 })
    const plugin = fakePlugin({ del: (request) => ipamDel(request, spawnInNode) })
    const stdin = config({ ipam: { type: 'ipam' } })
    expect(runVerb(plugin, { env: env('DEL', { CNI_PATH: folder }), stdin })).toMatchObject({ exitCode: 1 })
    const steps = [
      { step: 'parse', ms },
      { step: 'ipam.DEL', ms, failed: true },
    ]
    expect(linesIn(file)).toMatchObject([{ level: 'error', error: { code: 105 }, steps }])
  })

  test('is none at panic', () => {
    runVerb(failing, { env: env('ADD'), stdin: config({ logLevel: 'panic' }) })
    expect(linesIn(file)).toEqual([])
  })

  test('by a defect is one at panic, with the stack, which is then not on stderr', () => {
    const defect = fakePlugin({
      add: () => {
        throw new TypeError('x is not a function')
      },
    })
    const answer = runVerb(defect, { env: env('ADD'), stdin: config({ logLevel: 'panic' }) })
    expect(answer).toMatchObject({ exitCode: 1, stderr: '', object: { code: 199 } })
    expect(linesIn(file)).toMatchObject([
      { level: 'panic', error: { code: 199 }, stack: expect.stringContaining('verb-log.test.ts') },
    ])
  })

  test.each([
    [{ CNI_IFNAME: '' }, '{}', 4],
    [{}, '{"name":', 6],
    [{}, '{"name":"net","cniVersion":"9.0.0"}', 1],
  ])('before it began (%j, %s) is logged as the environment says', (variables, stdin, code) => {
    const settings = { VF_FLOWER_LOG_LEVEL: 'info', VF_FLOWER_LOG_FILE: file }
    const answer = runVerb(failing, { env: env('ADD', { ...variables, ...settings }), stdin })
    expect(answer).toMatchObject({ exitCode: 1, stderr: '', object: { code } })
    expect(linesIn(file)).toMatchObject([
      { level: 'error', error: { code }, steps: [{ step: 'parse', ms, failed: true }] },
    ])
  })

  test('says nothing where nobody asked for a log', () => {
    const answer = runVerb(failing, { env: env('ADD'), stdin: '{"cniVersion":"1.1.0","name":"net"}' })
    expect(answer).toMatchObject({ exitCode: 1, stderr: '', object: { code: 102 } })
  })
})

test('at debug the config is a line of its own, also that of a call that is refused', () => {
  runVerb(fakePlugin({ add: () => ({}) }), {
    env: env('ADD'),
    stdin: config({ logLevel: 'debug', big: 2 ** 53 - 1 }),
  })
  expect(linesIn(file)).toMatchObject([
    { level: 'debug', config: { name: 'net', big: 2 ** 53 - 1 }, msg: 'network config' },
    { level: 'info', result: 'ok' },
  ])
  rmSync(file)
  runVerb(fakePlugin({}), { env: env('ADD'), stdin: config({ logLevel: 'debug', cniVersion: '9.0.0' }) })
  expect(linesIn(file)).toMatchObject([
    { level: 'debug', config: { cniVersion: '9.0.0' } },
    { level: 'error', error: { code: 1 } },
  ])
})

test('what DEL passes over is a warning in the log, not on stderr', () => {
  const answer = runVerb(fakePlugin({ del() {} }), { env: env('DEL'), stdin: config({ prevResult: 5 }) })
  expect(answer).toMatchObject({ exitCode: 0, stderr: '' })
  expect(linesIn(file)).toMatchObject([
    { level: 'warning', verb: 'DEL', msg: expect.stringContaining('prevResult') },
    { level: 'info', result: 'ok' },
  ])
})

test.each([{}, { CNI_COMMAND: 'VERSION' }])('%j is no verb and logs nothing', (variables) => {
  const settings = { VF_FLOWER_LOG_LEVEL: 'debug', VF_FLOWER_LOG_FILE: file }
  expect(runVerb(fakePlugin({}), { env: { ...variables, ...settings } }).exitCode).toBe(0)
  expect(linesIn(file)).toEqual([])
})
