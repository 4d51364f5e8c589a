// Each verb of the protocol from the environment to stdout: versions, error objects and the guard of the own namespace.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CniError } from '../../src/cni/error.ts'
import type { Request } from '../../src/cni/request.ts'
import { supportedVersions } from '../../src/cni/version.ts'
import { addEnv, fakePlugin, runVerb } from '../support/run-verb.ts'

const env = (command: string, more: Record<string, string> = {}) => ({
  ...addEnv,
  CNI_COMMAND: command,
  ...more,
})
const config = (cniVersion: string, more: object = {}) =>
  JSON.stringify({ cniVersion, name: 'net', type: 'fake', ...more })
const nothing = fakePlugin({})
const quiet = fakePlugin({ del() {}, check() {}, gc() {}, status() {} })

describe('without CNI_COMMAND', () => {
  test.each([{}, { CNI_COMMAND: '' }])('about and versions go to stderr, exit code 0 (%j)', (variables) => {
    const answer = runVerb(nothing, { env: variables })
    expect(answer).toMatchObject({ exitCode: 0, stdout: '' })
    expect(answer.stderr).toBe(
      `CNI plugin fake\nCNI protocol versions supported: ${supportedVersions.join(', ')}\n`,
    )
  })
})

describe('VERSION', () => {
  test('needs neither stdin nor another variable, and does not load the plugin', () => {
    const fail = () => {
      throw new Error('not wanted')
    }
    const answer = runVerb(fail, { env: { CNI_COMMAND: 'VERSION' }, stdin: fail })
    expect(answer).toMatchObject({ exitCode: 0, stderr: '' })
    expect(answer.object).toEqual({ cniVersion: '1.1.0', supportedVersions })
  })
})

describe('ADD', () => {
  test.each(supportedVersions)('prints the result in the version of the config, %s', (version) => {
    const plugin = fakePlugin({ add: () => ({ ips: [{ address: '10.0.0.2/24' }] }) })
    const answer = runVerb(plugin, { env: env('ADD'), stdin: config(version) })
    expect(answer).toMatchObject({ exitCode: 0, stderr: '' })
    expect(answer.stdout.endsWith('}\n')).toBe(true)
    expect(answer.object?.cniVersion).toBe(version)
    expect('ip4' in (answer.object ?? {})).toBe(version < '0.3.0')
  })

  test('without cniVersion is an ADD of 0.1.0', () => {
    const plugin = fakePlugin({ add: () => ({ ips: [{ address: '10.0.0.2/24' }] }) })
    for (const stdin of [
      '{"name":"net"}',
      '{"name":"net","cniVersion":""}',
      '{"name":"net","cniVersion":null}',
    ]) {
      const { object } = runVerb(plugin, { env: env('ADD'), stdin })
      expect(object).toEqual({ cniVersion: '0.1.0', ip4: { ip: '10.0.0.2/24' }, dns: {} })
    }
  })

  test('that fails prints one error object with the code of the plugin and the version of the config', () => {
    const plugin = fakePlugin({
      add() {
        throw new CniError(100, 'Cannot map port 8080: taken by "a"', { details: 'since today' })
      },
    })
    const answer = runVerb(plugin, { env: env('ADD'), stdin: config('0.4.0') })
    expect(answer).toMatchObject({ exitCode: 1, stderr: '' })
    expect(answer.object).toEqual({
      cniVersion: '0.4.0',
      code: 100,
      msg: 'Cannot map port 8080: taken by "a"',
      details: 'since today',
    })
  })

  test('of a cniVersion of many characters does not repeat it', () => {
    const { object, stdout } = runVerb(nothing, {
      env: env('ADD'),
      stdin: config(`0.${'x'.repeat(100_000)}`),
    })
    expect(object).toMatchObject({ code: 1, cniVersion: '1.1.0' })
    expect(stdout.length).toBeLessThan(1_000)
  })

  test('that hits a defect prints code 199, with the stack on stderr only', () => {
    const plugin = fakePlugin({
      add() {
        throw new TypeError('x is undefined')
      },
    })
    const answer = runVerb(plugin, { env: env('ADD'), stdin: config('1.1.0') })
    expect(answer.exitCode).toBe(1)
    expect(answer.object).toEqual({ cniVersion: '1.1.0', code: 199, msg: 'Internal error: x is undefined' })
    expect(answer.stderr).toContain('dispatch.test.ts')
  })

  test('with an exhausted stack or an impossible result still prints an error object', () => {
    const deeper = (): never => deeper()
    const circular: { self?: unknown } = {}
    circular.self = circular
    for (const add of [deeper, () => circular]) {
      const answer = runVerb(fakePlugin({ add }), { env: env('ADD'), stdin: config('1.1.0') })
      expect(answer).toMatchObject({ exitCode: 1, object: { code: 199 } })
    }
  })

  test('whose result nobody takes ends with exit code 1', () => {
    const stdout = () => {
      throw new Error('EPIPE')
    }
    const call = { env: env('ADD'), stdin: config('1.1.0', { more: 1 }), stdout }
    const undone: Request[] = []
    const plugin = fakePlugin({ add: () => ({}), del: (request) => void undone.push(request) })
    const answer = runVerb(plugin, call)
    expect(answer).toMatchObject({ exitCode: 1, stdout: '' })
    expect(answer.stderr).toBe(
      'fake: error writing to stdout: EPIPE; the ADD is undone\nerror writing to stdout: EPIPE\n',
    )
    expect(undone).toMatchObject([
      {
        command: 'DEL',
        name: 'net',
        containerID: 'some-container',
        env: { CNI_COMMAND: 'DEL' },
        stdin: call.stdin,
      },
    ])
  })

  test('whose result nobody takes, and that can’t be undone, says both', () => {
    const stdout = () => {
      throw new Error('EPIPE')
    }
    const del = () => {
      throw new CniError(103, 'Cannot restore "x"', { details: 'still to do: y' })
    }
    const plugin = fakePlugin({ add: () => ({}), del })
    const { exitCode, stderr } = runVerb(plugin, { env: env('ADD'), stdin: config('1.1.0'), stdout })
    expect(exitCode).toBe(1)
    expect(stderr.split('\n')[1]).toBe('fake: Cannot undo the ADD: Cannot restore "x": still to do: y')
  })

  test('whose caller is gone does nothing; one that has lost the caller meanwhile is undone', () => {
    for (const [asked, verbs] of [
      [1, []],
      [2, ['ADD', 'DEL']],
      [3, ['ADD']],
    ] as const) {
      const seen: string[] = []
      let left: number = asked
      const plugin = fakePlugin({ add: () => ({ mtu: seen.push('ADD') }), del: () => void seen.push('DEL') })
      const isCallerGone = () => --left === 0
      const answer = runVerb(plugin, { env: env('ADD'), stdin: config('1.1.0'), isCallerGone })
      expect([asked, seen]).toEqual([asked, verbs])
      if (asked < 3)
        expect(answer.object).toMatchObject({
          code: 11,
          msg: expect.stringContaining('caller of this ADD is gone'),
        })
      else expect(answer).toMatchObject({ exitCode: 0 })
    }
  })

  test('that a worker has lost takes back what the attachment has, and then adds', () => {
    const seen: string[] = []
    const plugin = fakePlugin({
      add: ({ env: { CNI_COMMAND } }) => ({ mtu: seen.push(`ADD ${CNI_COMMAND}`) }),
      del: ({ command, env: { CNI_COMMAND } }) => void seen.push(`${command} ${CNI_COMMAND}`),
    })
    const answer = runVerb(plugin, { env: env('ADD'), stdin: config('1.1.0'), isLostWorker: true })
    expect(answer).toMatchObject({ exitCode: 0, object: { cniVersion: '1.1.0' }, stderr: '' })
    expect(seen).toEqual(['DEL DEL', 'ADD ADD'])
  })

  test('that a worker has lost and that can’t be taken back says both reasons', () => {
    const del = () => {
      throw new CniError(103, 'Cannot restore "x"', { details: 'still to do: y' })
    }
    const { object } = runVerb(fakePlugin({ del }), {
      env: env('ADD'),
      stdin: config('1.1.0'),
      isLostWorker: true,
    })
    expect(object).toEqual({
      cniVersion: '1.1.0',
      code: 11,
      msg: 'Cannot repeat the ADD: the worker of vf-agent that served it has died, and what it left could not be taken back',
      details: 'Cannot restore "x": still to do: y',
    })
  })

  test('whose result can’t be printed is undone too', () => {
    let isUndone = false
    const plugin = fakePlugin({
      add: () => ({ mtu: Number.NaN }),
      del() {
        isUndone = true
      },
    })
    const answer = runVerb(plugin, { env: env('ADD'), stdin: config('1.1.0') })
    expect(answer).toMatchObject({ exitCode: 1, object: { code: 199 } })
    expect(isUndone).toBe(true)
  })
})

describe('DEL, CHECK, GC and STATUS', () => {
  test.each(['DEL', 'CHECK', 'GC', 'STATUS'] as const)(
    '%s goes on without a caller, and is repeated',
    (command) => {
      for (const call of [{ isCallerGone: () => true }, { isLostWorker: true }]) {
        const seen: string[] = []
        const verb = () => void seen.push(command)
        const plugin = fakePlugin({ [command.toLowerCase()]: verb })
        const answer = runVerb(plugin, { env: env(command), stdin: config('1.1.0'), ...call })
        expect([answer.exitCode, seen]).toEqual([0, [command]])
      }
    },
  )

  test.each(['DEL', 'CHECK', 'GC', 'STATUS'])('%s that succeeds prints nothing', (command) => {
    const answer = runVerb(quiet, { env: env(command), stdin: config('1.1.0') })
    expect(answer).toMatchObject({ exitCode: 0, stdout: '', stderr: '' })
  })

  test.each(['DEL', 'CHECK', 'GC', 'STATUS'])(
    '%s calls its own verb and reports what that throws',
    (command) => {
      const answer = runVerb(nothing, { env: env(command), stdin: config('1.1.0') })
      expect(answer.object).toMatchObject({ code: 199, msg: `Internal error: ${command} was called` })
    },
  )
})

describe('versions', () => {
  test.each(['ADD', 'DEL'])('%s of 4.3.2 names both sides', (command) => {
    const answer = runVerb(nothing, { env: env(command), stdin: config('4.3.2') })
    expect(answer.exitCode).toBe(1)
    expect(answer.object).toEqual({
      cniVersion: '4.3.2',
      code: 1,
      msg: 'incompatible CNI versions',
      details: 'config is "4.3.2", plugin supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]',
    })
  })

  test.each([
    ['CHECK', ['0.1.0', '0.2.0', '0.3.0', '0.3.1']],
    ['GC', ['0.1.0', '0.4.0', '1.0.0']],
    ['STATUS', ['0.1.0', '0.4.0', '1.0.0']],
  ])('%s is refused for configs from before it existed', (command, versions) => {
    for (const version of versions) {
      const { object } = runVerb(nothing, { env: env(command), stdin: config(version) })
      expect(object).toMatchObject({ code: 1, msg: `config version does not allow ${command}` })
    }
  })

  test.each([
    ['CHECK', '1.2.0', 1, 'plugin version does not allow CHECK'],
    ['STATUS', '10.0', 1, 'plugin version does not allow STATUS'],
    ['CHECK', '0.4.1', 1, 'incompatible CNI versions'],
    ['CHECK', '1.1', 1, 'incompatible CNI versions'],
    ['CHECK', 'one', 6, 'Cannot use cniVersion "one"'],
    ['GC', '1.1.0.0', 6, 'Cannot use cniVersion "1.1.0.0"'],
    ['ADD', 'one', 1, 'incompatible CNI versions'],
  ])('%s of %s fails', (command, version, code, msg) => {
    const { object } = runVerb(nothing, { env: env(command), stdin: config(version) })
    expect(object).toMatchObject({ code, msg: expect.stringContaining(msg) })
  })
})

describe('the guard of the own namespace', () => {
  const own = { ownNetns: addEnv.CNI_NETNS, stdin: config('1.1.0') }

  test.each(['ADD', 'CHECK'])('refuses %s before the plugin is even loaded', (command) => {
    const load = () => {
      throw new Error('loaded')
    }
    const answer = runVerb(load, { ...own, env: env(command) })
    expect(answer).toMatchObject({ exitCode: 1, object: { code: 8, details: addEnv.CNI_NETNS } })
  })

  test('lets a DEL go on without a namespace, that of an IPAM plugin too, and says so', () => {
    let seen: unknown
    const plugin = fakePlugin({
      del: ({ netns, env: { CNI_NETNS } }) => {
        seen = [netns, CNI_NETNS]
      },
    })
    const answer = runVerb(plugin, { ...own, env: env('DEL') })
    expect(seen).toEqual(['', ''])
    expect(answer).toMatchObject({ exitCode: 0, stdout: '' })
    expect(answer.stderr).toContain(`"${addEnv.CNI_NETNS}" is the host's own namespace now`)
  })

  test.each(['1', 'true', 'TRUE'])('is off with CNI_NETNS_OVERRIDE=%s', (value) => {
    const answer = runVerb(quiet, { ...own, env: env('DEL', { CNI_NETNS_OVERRIDE: value }) })
    expect(answer.exitCode).toBe(0)
  })

  test('does not look at GC, STATUS, nor at a DEL without namespace', () => {
    for (const command of ['GC', 'STATUS'])
      expect(runVerb(quiet, { ...own, env: env(command) }).exitCode).toBe(0)
    expect(
      runVerb(quiet, { ownNetns: '', stdin: config('1.1.0'), env: env('DEL', { CNI_NETNS: '' }) }).exitCode,
    ).toBe(0)
  })
})

describe('bad input', () => {
  test.each([
    ['', 6],
    ['[', 6],
    ['[]', 6],
    ['null', 6],
    ['"x"', 6],
    ['{"name":"a"} {}', 6],
    ['{}', 7],
    ['{"name":""}', 7],
    ['{"name":null}', 7],
    ['{"name":"1234%%%"}', 7],
    ['{"name":7}', 6],
    ['{"name":"a","cniVersion":1}', 6],
    ['{"name":"a","type":{}}', 6],
    ['{"name":"a","type":"../x"}', 7],
    ['{"name":"a","prevResult":[]}', 6],
    ['{"name":"a","prevResult":{"cniVersion":"7.0.0"}}', 1],
  ])('stdin %s is error %i', (stdin, code) => {
    expect(runVerb(nothing, { env: env('ADD'), stdin })).toMatchObject({
      exitCode: 1,
      stderr: '',
      object: { code },
    })
  })

  test('stdin that cannot be read is error 5', () => {
    const stdin = () => {
      throw new Error('EBADF: bad file descriptor')
    }
    const { object } = runVerb(nothing, { env: env('ADD'), stdin })
    expect(object).toMatchObject({ code: 5, msg: 'error reading from stdin: EBADF: bad file descriptor' })
  })

  test('a prevResult that cannot be read does not keep a DEL from cleaning up', () => {
    let seen: Request | undefined
    const plugin = fakePlugin({
      del(request) {
        seen = request
      },
    })
    const answer = runVerb(plugin, { env: env('DEL'), stdin: config('1.0.0', { prevResult: { ips: 'x' } }) })
    expect(answer).toMatchObject({ exitCode: 0, stdout: '' })
    expect(answer.stderr).toContain('Cannot read prevResult: Cannot decode ips: must be an array')
    expect(seen?.prevResult).toBeUndefined()
  })

  test('of any kind gets exactly one JSON object on stdout, never a stack there', () => {
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc.uint8Array({ maxLength: 64 }).map((bytes) => new TextDecoder().decode(bytes)),
      fc
        .dictionary(
          fc.constantFrom('name', 'NAME', 'cniVersion', 'type', 'prevResult', 'ipam', 'cni.dev/attachments'),
          fc.jsonValue({ maxDepth: 2 }),
        )
        .map((object) => JSON.stringify(object)),
    )
    const variable = fc.oneof(
      fc.constant(undefined),
      fc.string(),
      fc.constantFrom('a', 'net1', '/n', 'K=V;', 'true'),
    )
    const environment = fc.record({
      CNI_COMMAND: fc.constantFrom('ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'BOGUS'),
      CNI_CONTAINERID: variable,
      CNI_NETNS: variable,
      CNI_IFNAME: variable,
      CNI_ARGS: variable,
      CNI_PATH: variable,
    })
    const plugin = fakePlugin({ add: () => ({}), del() {}, check() {}, gc() {}, status() {} })
    const codes = new Set<unknown>()
    const judge = (stdin: string, variables: Record<string, string | undefined>) => {
      const answer = runVerb(plugin, { env: variables, stdin })
      if (answer.exitCode === 0) return
      codes.add(answer.object?.code)
      expect(answer.stdout.trimEnd()).not.toContain('\n')
      expect(answer.object).toMatchObject({
        cniVersion: expect.any(String),
        code: expect.any(Number),
        msg: expect.any(String),
      })
      expect(answer.object?.code).not.toBe(199)
    }
    fc.assert(
      fc.property(text, (stdin) => judge(stdin, env('ADD'))),
      { numRuns: 500 },
    )
    fc.assert(fc.property(text, environment, judge), { numRuns: 500 })
    expect([...codes].sort()).toEqual(expect.arrayContaining([4, 6, 7]))
  })
})
