// An IPAM plugin is found, called and judged as libcni does it, whatever it does.
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as delegate from '../../src/cni/delegate.ts'
import { findPlugin, ipamType } from '../../src/cni/delegate.ts'
import { defaultPolicy } from '../../src/cni/policy.ts'
import type { Request } from '../../src/cni/request.ts'
import { type JsonObject, stringify } from '../../src/lib/json.ts'
import { spawnInNode } from '../support/spawn.ts'

// Real children throughout: shell scripts that misbehave in one way each, and the distribution's own IPAM plugins.

const ipamAdd = (request: Request, spawn = spawnInNode) => delegate.ipamAdd(request, spawn)
const [ipamDel, ipamCheck, ipamGc, ipamStatus] = [
  delegate.ipamDel,
  delegate.ipamCheck,
  delegate.ipamGc,
  delegate.ipamStatus,
].map((verb) => (request: Request) => verb(request, spawnInNode)) as [Verb, Verb, Verb, Verb]
type Verb = (request: Request) => void

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'delegate-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** An IPAM plugin in `folder`; `$LOG` is a file that keeps what several calls say. */
function script(body: string, name = 'fake-ipam'): string {
  const file = join(folder, name)
  writeFileSync(file, `#!/bin/sh\nLOG=${folder}/log\n${body}\n`)
  chmodSync(file, 0o755)
  return file
}

const log = () => readFileSync(join(folder, 'log'), 'utf8')

function requestFor(ipam: unknown, more: JsonObject = {}): Request {
  const config = { cniVersion: '1.0.0', name: 'net', type: 'vf-attach', ipam, ...more } as JsonObject
  const env = {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/n',
    CNI_IFNAME: 'net1',
    CNI_PATH: folder,
  }
  return {
    command: 'ADD',
    containerID: 'c1',
    netns: '/n',
    ifname: 'net1',
    args: new Map(),
    path: [folder],
    cniVersion: config.cniVersion as string,
    name: 'net',
    type: 'vf-attach',
    config,
    stdin: `${stringify(config)}\n`,
    prevResult: undefined,
    validAttachments: undefined,
    policy: defaultPolicy,
    env: { ...env, PATH: process.env.PATH ?? '' },
  }
}

const fake = (more: JsonObject = {}) => requestFor({ type: 'fake-ipam' }, more)
const failure = (action: () => unknown): { code: number; message: string; details?: string } => {
  try {
    action()
  } catch (error) {
    return error as { code: number; message: string; details?: string }
  }
  throw new Error('it did not fail')
}

describe('ipamType', () => {
  test.each([[undefined], [null], [{}], [{ type: '' }], [{ type: null }]])(
    '%j wants no IPAM, and nothing is run',
    (ipam) => {
      const request = requestFor(ipam)
      expect(ipamType(request)).toBeUndefined()
      expect(ipamAdd({ ...request, path: [] })).toBeUndefined()
      for (const call of [ipamDel, ipamCheck, ipamGc, ipamStatus]) call({ ...request, path: [] })
    },
  )

  test.each([['host-local'], [[]], [{ type: 7 }], [{ type: {} }]])('%j is error 7', (ipam) => {
    expect(failure(() => ipamType(requestFor(ipam)))).toMatchObject({ code: 7 })
  })

  test('keys match in any case', () => {
    expect(ipamType(requestFor(undefined, { IPAM: { Type: 'x' } }))).toBe('x')
  })
})

describe('findPlugin', () => {
  test('takes the first regular executable of that name, also through a link', () => {
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
      string,
    ]
    for (const directory of [a, b, c, d]) mkdirSync(directory)
    mkdirSync(join(a, 'x'))
    writeFileSync(join(b, 'x'), '', { mode: 0o644 })
    symlinkSync(script('exit 0'), join(c, 'x'))
    script('exit 0', 'd/x')
    expect(findPlugin('x', [join(folder, 'missing'), a, b, c, d])).toBe(join(c, 'x'))
  })

  test('passes over what is no folder, or can’t be looked into', () => {
    const file = script('exit 0', 'x')
    symlinkSync('loop', join(folder, 'loop'))
    const strange = [file, join(folder, 'loop'), `/${'y'.repeat(300)}`, `${folder}/loop/${'/z'.repeat(3000)}`]
    expect(findPlugin('x', [...strange, folder])).toBe(file)
    expect(failure(() => findPlugin('x', strange.slice(1)))).toMatchObject({
      code: 105,
      details: expect.stringMatching(/loop.x can't be looked at .ELOOP.*ENAMETOOLONG/),
    })
  })

  test('names what it found that is not executable', () => {
    writeFileSync(join(folder, 'x'), '', { mode: 0o644 })
    expect(failure(() => findPlugin('x', [folder]))).toMatchObject({
      code: 105,
      message: `Cannot find IPAM plugin "x" in CNI_PATH: ${folder}`,
      details: `${folder}/x is not executable`,
    })
  })

  test.each(['../x', 'a/b', '/bin/sh', '.', '..', 'a\0b'])('refuses %j, which is no file name', (type) => {
    expect(failure(() => findPlugin(type, [folder]))).toMatchObject({ code: 7 })
  })

  test('needs CNI_PATH', () => {
    expect(failure(() => findPlugin('x', []))).toMatchObject({
      code: 4,
      message: expect.stringContaining('CNI_PATH'),
    })
  })
})

describe('what the child gets', () => {
  test('the config byte for byte, CNI_ variables with its own command, PATH, and nothing else', () => {
    script(`env >>$LOG; cat >>$LOG; echo '{"cniVersion":"1.0.0","ips":[]}'`)
    const request = fake({ burst: 18446744073709551615n })
    const hostile = {
      LD_PRELOAD: '/x.so',
      LD_LIBRARY_PATH: '/x',
      BUN_OPTIONS: '--preload=/x',
      NODE_OPTIONS: '-r/x',
      BASH_ENV: '/x',
      HOME: '/root',
      TMPDIR: '/x',
      CNIX: '1',
    }
    ipamDel({ ...request, env: { ...request.env, ...hostile, CNI_ARGS: 'A=1', CNI_NETNS_OVERRIDE: '1' } })
    const seen = log()
    expect(seen.endsWith(request.stdin)).toBe(true)
    expect(seen).toContain('"burst":18446744073709551615')
    // PWD, SHLVL and _ are the shell's own.
    const names = seen
      .slice(0, -request.stdin.length)
      .trim()
      .split('\n')
      .map((line) => line.split('=')[0])
    expect(names.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name ?? '')).sort()).toEqual([
      'CNI_ARGS',
      'CNI_COMMAND',
      'CNI_CONTAINERID',
      'CNI_IFNAME',
      'CNI_NETNS',
      'CNI_NETNS_OVERRIDE',
      'CNI_PATH',
      'PATH',
    ])
    expect(seen).toContain('CNI_COMMAND=DEL\n')
  })

  test.each([
    ['ADD', ipamAdd],
    ['DEL', ipamDel],
    ['CHECK', ipamCheck],
    ['GC', ipamGc],
    ['STATUS', ipamStatus],
  ] as const)('%s as CNI_COMMAND', (command, call) => {
    script(`echo $CNI_COMMAND >>$LOG; echo '{"ips":[]}'`)
    call(fake())
    expect(log()).toBe(`${command}\n`)
  })

  test('may leave its input unread', () => {
    script(`exec <&-; echo '{"ips":[]}'`)
    expect(ipamAdd(fake({ filler: 'x'.repeat(1 << 20) }))).toEqual({ ips: [] })
  })
})

describe('the result of an ADD', () => {
  test.each([
    ['its own version', '1.0.0', '{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2/24"}}'],
    ["the config's version", '0.2.0', '{"ip4":{"ip":"10.0.0.2/24"}}'],
    ["the config's version", '0.4.0', '{"ips":[{"version":"4","address":"10.0.0.2/24"}]}'],
  ])('is read by %s', (_, cniVersion, text) => {
    script(`echo '${text}'`)
    expect(ipamAdd(fake({ cniVersion }))).toEqual({ ips: [{ address: '10.0.0.2/24' }] })
  })

  test('may be long', () => {
    script(`printf '{"ips":[],"x":"'; head -c 2000000 /dev/zero | tr '\\0' a; printf '"}'`)
    expect((ipamAdd(fake()) as { x: string }).x.length).toBe(2_000_000)
  })
})

describe('an ADD that fails', () => {
  const record = 'echo $CNI_COMMAND >>$LOG'

  test.each([
    [
      'prints garbage',
      `echo 'panic: oh no'`,
      105,
      'IPAM plugin "fake-ipam" printed no result: "panic: oh no\\n"',
    ],
    ['prints nothing', ':', 105, 'printed no result: nothing'],
    ['prints two documents', `echo '{}{}'`, 105, 'printed no result: "{}{}\\n"'],
    ['prints no object', `echo '[]'`, 6, 'printed no result: "[]\\n"'],
    ['prints ips that are none', `echo '{"ips":[{}]}'`, 6, 'printed no result'],
    ['prints a version that nobody knows', `echo '{"cniVersion":"9.0.0"}'`, 1, 'printed no result'],
    [
      'fails with an error object',
      `echo '{"code":11,"msg":"pool busy","details":"d"}'; exit 1`,
      11,
      'IPAM plugin "fake-ipam": pool busy',
    ],
    [
      'fails with a code of its own',
      `echo '{"CODE":102,"Msg":"m"}'; exit 3`,
      102,
      'IPAM plugin "fake-ipam": m',
    ],
    [
      'fails with garbage',
      'echo boo; exit 2',
      105,
      'failed with exit code 2 and printed no error object: "boo\\n"',
    ],
    ['fails with JSON that is no error', `echo '{"code":"x"}'; exit 2`, 105, 'printed no error object'],
    ['fails with code 0', `echo '{"code":0,"msg":"m"}'; exit 2`, 105, 'IPAM plugin "fake-ipam": m'],
    ['fails with half a code', `echo '{"code":-1.5,"msg":"m"}'; exit 2`, 105, 'IPAM plugin "fake-ipam": m'],
    ['fails with a vast code', `echo '{"code":1e300,"msg":"m"}'; exit 2`, 105, 'IPAM plugin "fake-ipam": m'],
    ['fails in silence', 'exit 2', 105, 'failed with exit code 2 and said nothing on stdout'],
    ['dies', 'kill -9 $$', 105, 'was ended by SIGKILL'],
    ['has a long tail', 'head -c 5000 /dev/zero | tr "\\0" a', 105, `${'a'.repeat(200)}" ...`],
  ])('because the plugin %s keeps the code and says what was seen; DEL is run', (_, body, code, message) => {
    script(`${record}; [ $CNI_COMMAND = DEL ] && exit 0; ${body}`)
    expect(failure(() => ipamAdd(fake()))).toMatchObject({ code, message: expect.stringContaining(message) })
    expect(log()).toBe('ADD\nDEL\n')
  })

  test('says which code it was that is none', () => {
    script(`[ $CNI_COMMAND = DEL ] && exit 0; echo '{"code":4294967296,"msg":"m","details":"d"}'; exit 1`)
    expect(failure(() => ipamAdd(fake()))).toMatchObject({
      details: 'its code is 4294967296, which must be an integer from 1 to 4294967295; d',
    })
  })

  test('keeps its own error when the DEL after it fails too', () => {
    script(
      `[ $CNI_COMMAND = DEL ] && { echo '{"code":5,"msg":"disk full"}'; exit 1; }; echo '{"code":11,"msg":"busy","details":"d"}'; exit 1`,
    )
    expect(failure(() => ipamAdd(fake()))).toMatchObject({
      code: 11,
      message: 'IPAM plugin "fake-ipam": busy',
      details: 'd; DEL after it failed too: IPAM plugin "fake-ipam": disk full',
    })
  })

  test('because the plugin is missing runs nothing', () => {
    expect(failure(() => ipamAdd(requestFor({ type: 'nowhere' })))).toMatchObject({ code: 105 })
  })

  test('because the file is no program says so', () => {
    writeFileSync(join(folder, 'fake-ipam'), '#!/nowhere\n', { mode: 0o755 })
    expect(failure(() => ipamAdd(fake()))).toMatchObject({
      code: 105,
      message: expect.stringContaining('could not be run'),
    })
  })

  test('because of endless output ends', () => {
    script('[ $CNI_COMMAND = DEL ] && exit 0; exec cat /dev/zero')
    expect(failure(() => ipamAdd(fake()))).toMatchObject({
      code: 105,
      message: 'IPAM plugin "fake-ipam" printed more than 16 MiB and was ended',
    })
  })
})

describe('other verbs', () => {
  test('propagate the error of the plugin and run nothing else', () => {
    script(`echo $CNI_COMMAND >>$LOG; echo '{"code":3,"msg":"no such container"}'; exit 1`)
    for (const call of [ipamDel, ipamCheck, ipamGc, ipamStatus])
      expect(failure(() => call(fake()))).toMatchObject({ code: 3 })
    expect(log()).toBe('DEL\nCHECK\nGC\nSTATUS\n')
  })

  test('ignore what a plugin that succeeds prints', () => {
    script('echo garbage')
    for (const call of [ipamDel, ipamCheck, ipamGc, ipamStatus]) expect(() => call(fake())).not.toThrow()
  })

  test('STATUS is 50 when the plugin is missing or says nothing', () => {
    expect(failure(() => ipamStatus(requestFor({ type: 'nowhere' })))).toMatchObject({ code: 50 })
    script('exit 1')
    expect(failure(() => ipamStatus(fake()))).toMatchObject({ code: 50 })
  })
})

test('an executable that is being replaced is waited for', () => {
  const file = join(folder, 'fake-ipam')
  // The kernel looks at the interpreter of a script only, so this needs a real program.
  const program = readFileSync('/bin/true')
  writeFileSync(file, program, { mode: 0o755 })
  const open = openSync(file, 'r+')
  let waits = 0
  const outcome = failure(() =>
    ipamAdd(fake(), (path, stdin, env) => {
      if (++waits === 3) closeSync(open)
      return spawnInNode(path, stdin, env)
    }),
  )
  expect(waits).toBeGreaterThanOrEqual(3)
  expect(outcome.message).toContain('printed no result: nothing')
})
