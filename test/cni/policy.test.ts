// A policy bounds the state folder and the log file of a config, and a policy that cannot be used stops ADD and no DEL.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CniError, code } from '../../src/cni/error.ts'
import {
  bounded,
  boundedLogFile,
  type CallPolicy,
  callPolicy,
  defaultPolicy,
  unboundedWords,
} from '../../src/cni/policy.ts'
import type { Request } from '../../src/cni/request.ts'
import { refusalOf, requestOf } from '../support/request.ts'

let top: string
let call: CallPolicy
let lines: string[]
beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'policy-')))
  mkdirSync(join(top, 'state'), { mode: 0o755 })
  symlinkSync('/etc', join(top, 'state/out'))
  symlinkSync('state', join(top, 'link'))
  call = {
    policy: { ...defaultPolicy, file: '/policy.json', stateDirs: [`${top}/state`] },
    problem: undefined,
  }
  lines = []
})
afterEach(() => rmSync(top, { recursive: true }))

const within = (request: Request, policy = call) => bounded(request, policy, (line) => lines.push(line))
const stateDirOf = ({ config }: Request) => config.stateDir
const of = (command: string, config: Record<string, unknown>) => requestOf(config, { CNI_COMMAND: command })

describe('the state folder of a config', () => {
  test.each(['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'])('in bounds counts (%s)', (command) => {
    const request = within(of(command, { stateDir: `${top}/state/a` }))
    expect(stateDirOf(request)).toBe(`${top}/state/a`)
    expect(request.policy).toBe(call.policy)
    expect(lines).toEqual([])
  })

  test('counts as the path that its links lead to, however it is spelled', () => {
    const request = within(requestOf(`{"cniVersion":"1.1.0","name":"net","STATEDIR":"${top}/link/a"}`))
    expect(request.config).toEqual({ cniVersion: '1.1.0', name: 'net', stateDir: `${top}/state/a` })
    expect(JSON.parse(request.stdin)).toHaveProperty('STATEDIR')
  })

  test.each(['ADD', 'CHECK', 'STATUS'])('out of bounds is code 7: %s', (command) => {
    const { code, message } = refusalOf(() => within(of(command, { stateDir: `${top}/state/out/x` })))
    expect(message).toBe(
      `Cannot use stateDir "${top}/state/out/x": it leads to "/etc/x"; must be below ${top}/state, says /policy.json`,
    )
    expect(code).toBe(7)
  })

  test.each(['DEL', 'GC'])('out of bounds is not touched by %s, which goes on and says so', (command) => {
    const request = within(of(command, { statedir: '/etc', StateDir: '/etc/cni' }))
    expect(Object.keys(request.config)).toEqual(['cniVersion', 'name'])
    expect(lines).toEqual([
      `Cannot use stateDir "/etc/cni": must be below ${top}/state, says /policy.json; ${command} goes on with the default folder`,
    ])
  })

  test.each([undefined, null, '', 'state', 7])('%j is the plugin’s to judge', (stateDir) => {
    const request = of('ADD', { stateDir })
    expect(within(request).config).toBe(request.config)
  })

  test('without a file the defaults are the bounds', () => {
    const policy = { policy: defaultPolicy, problem: undefined }
    for (const stateDir of ['/var/lib/cni/x', '/run/x'])
      expect(stateDirOf(within(of('ADD', { stateDir }), policy))).toBe(realpathOf(stateDir))
    for (const stateDir of ['/var/log/x', '/etc/x', '/var/lib/x', '/'])
      expect(refusalOf(() => within(of('ADD', { stateDir }), policy)).message).toBe(
        `Cannot use stateDir "${stateDir}": must be below /var/lib/cni or /run`,
      )
  })
})

describe('a file that can not be used', () => {
  const broken = (): CallPolicy =>
    callPolicy({
      file: '/policy.json',
      isFirst: () => false,
      read: () => {
        throw new CniError(code.invalidConfig, 'Cannot use /policy.json: why')
      },
    })

  test.each(['ADD', 'CHECK', 'STATUS'])('refuses %s', (command) => {
    expect(refusalOf(() => within(of(command, {}), broken()))).toMatchObject({
      code: 7,
      message: 'Cannot use /policy.json: why',
    })
  })

  test.each(['DEL', 'GC'])('does not keep %s from taking away', (command) => {
    expect(within(of(command, {}), broken()).policy).toBe(defaultPolicy)
    expect(lines).toEqual([
      `Cannot use /policy.json: why; ${command} goes on with the policy that counts without that file`,
    ])
  })
})

test('a log file must be below its own folders', () => {
  const policy = { ...call, policy: { ...call.policy, logFiles: [`${top}/state`] } }
  expect(boundedLogFile(policy, `${top}/link/log`)).toBe(`${top}/state/log`)
  expect(() => boundedLogFile(policy, '/run/nologin')).toThrow(
    `must be below ${top}/state, says /policy.json`,
  )
  for (const path of ['/run/nologin', '/var/lib/cni/networks/net/10.0.0.1'])
    expect(() => boundedLogFile({ policy: defaultPolicy, problem: undefined }, path)).toThrow(
      'must be below /var/log',
    )
})

test('what an operator without a file should know is told of configs that name paths alone', () => {
  const without: CallPolicy = { policy: defaultPolicy, problem: undefined }
  const words = (config: Record<string, string>, policy = without) =>
    unboundedWords(policy, '/policy.json', config)
  for (const config of [{ stateDir: '/run/x' }, { LOGFILE: '/var/log/x' }])
    expect(words(config)).toBe(
      'there is no /policy.json: network configs may set logFile below /var/log and stateDir below /var/lib/cni or /run (told once until the next boot)',
    )
  for (const config of [{}, { stateDir: '' }, { logLevel: 'info' }]) expect(words(config)).toBeUndefined()
  expect(words({ stateDir: '/run/x' }, call)).toBeUndefined()
})

/** The folders of this machine may be links themselves. */
function realpathOf(path: string): string {
  const slash = path.lastIndexOf('/')
  try {
    return `${realpathSync(path.slice(0, slash))}${path.slice(slash)}`
  } catch {
    return path
  }
}
