// The log of the compiled program, on stderr and in files, costs no call its result.
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { call, callByShell, executable } from '../support/executable.ts'
import { linesIn, linesOf } from '../support/log.ts'
import { addEnv } from '../support/run-verb.ts'

// The log of the built executable, from outside. Needs root and strace.

// Processes of 100 MB on machines that may be busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'log-'))
  file = join(folder, 'vf.log')
})
afterEach(() => rmSync(folder, { recursive: true }))

/** An ADD that succeeds on any machine: without port mappings vf-offload prints prevResult. */
const offload = executable('vf-offload')
const config = (more: object = {}) =>
  JSON.stringify({
    cniVersion: '1.0.0',
    name: 'net',
    type: 'vf-offload',
    prevResult: { cniVersion: '1.0.0' },
    ...more,
  })
const added = { exitCode: 0, object: { cniVersion: '1.0.0' } }
const info = { VF_FLOWER_LOG_LEVEL: 'info' }

/** Runs an ADD on a node whose /etc holds nothing but these files of ours, and whose /var/log is the test's folder. */
const onNode = (
  files: Readonly<Record<string, string>>,
  options: { env: Record<string, string>; stdin: string },
) => {
  const etc = join(folder, 'etc')
  mkdirSync(etc, { recursive: true })
  for (const [name, content] of Object.entries(files)) writeFileSync(join(etc, name), content)
  const mounts = `mount -t tmpfs none /etc && cp -r ${etc} /etc/vf-flower && rm -r ${etc} && mount --bind ${folder} /var/log`
  const env = { ...options.env, PATH: process.env.PATH }
  return callByShell(`exec unshare -m /bin/sh -c '${mounts} && exec "$0"' "$0"`, offload, { ...options, env })
}

const ms = expect.any(Number)
const line = {
  level: 'info',
  plugin: 'vf-offload',
  verb: 'ADD',
  containerID: addEnv.CNI_CONTAINERID,
  ifname: addEnv.CNI_IFNAME,
  network: 'net',
  netns: addEnv.CNI_NETNS,
  result: 'ok',
  ms,
  steps: [
    { step: 'parse', ms },
    { step: 'lock', ms },
  ],
}

describe('an ADD', () => {
  test.each([{}, { logLevel: '' }, { logLevel: 'warning' }, { logLevel: 'panic' }])(
    'that succeeds says nothing by default and at warning (%j)',
    async (more) => {
      expect(await call(offload, { env: addEnv, stdin: config(more) })).toMatchObject({
        ...added,
        stderr: '',
      })
    },
  )

  test('says one line at info, on stderr, with its steps', async () => {
    const outcome = await call(offload, { env: { ...addEnv, ...info }, stdin: config() })
    expect(outcome).toMatchObject(added)
    expect(linesOf(outcome.stderr)).toMatchObject([line])
  })

  test('says it in the file of its config, for root only', async () => {
    const stdin = config({ logLevel: 'info', logFile: '/var/log/vf.log' })
    const outcome = await onNode({ 'policy.json': '{}' }, { env: addEnv, stdin })
    expect(outcome).toMatchObject({ ...added, stderr: '' })
    expect(linesIn(file)).toMatchObject([line])
    expect((statSync(file).mode & 0o7777).toString(8)).toBe('600')
  })

  test('that fails says why at error, and to the runtime as ever', async () => {
    const env = { ...addEnv, VF_FLOWER_LOG_FILE: file }
    const outcome = await call(executable('vf-attach'), { env, stdin: config({ logLevel: 'error' }) })
    expect(outcome).toMatchObject({ exitCode: 1, stderr: '', object: { code: 7 } })
    const { code, msg } = outcome.object ?? {}
    expect(linesIn(file)).toMatchObject([
      { level: 'error', plugin: 'vf-attach', result: 'error', error: { code, msg } },
    ])
  })

  test('that fails says nothing on stderr by default', async () => {
    const outcome = await call(executable('vf-attach'), { env: addEnv, stdin: config() })
    expect(outcome).toMatchObject({ exitCode: 1, stderr: '', object: { code: 7 } })
  })

  test.each([
    ['loud', 'Cannot use logLevel "loud": must be panic, error, warning, info or debug'],
    [5, 'Cannot use logLevel 5: must be panic, error, warning, info or debug'],
  ])('names a level that there is not, %j, in a plain line, and succeeds', async (logLevel, words) => {
    const outcome = await call(offload, { env: addEnv, stdin: config({ logLevel }) })
    expect(outcome).toMatchObject({ ...added, stderr: `vf-offload: ${words}\n` })
  })

  test('twenty at once write whole lines', async () => {
    const prevResult = { cniVersion: '1.0.0', 'x.padding': 'x'.repeat(10_000) }
    const stdin = config({ logLevel: 'debug', prevResult })
    const env = { ...addEnv, VF_FLOWER_LOG_FILE: file }
    await Promise.all(Array.from({ length: 20 }, () => call(offload, { env, stdin })))
    const lines = linesIn(file)
    expect(lines).toHaveLength(40)
    expect(lines.filter(({ result }) => result === 'ok')).toHaveLength(20)
  })
})

describe("the node's file", () => {
  test('wins over environment and config', async () => {
    const env = { ...addEnv, VF_FLOWER_LOG_LEVEL: 'error', VF_FLOWER_LOG_FILE: `${folder}/by-env` }
    const stdin = config({ logLevel: 'panic', logFile: '/var/log/by-config' })
    const files = { 'log.json': JSON.stringify({ level: 'debug', file }), 'policy.json': '{}' }
    const outcome = await onNode(files, { env, stdin })
    expect(outcome).toMatchObject({ ...added, stderr: '' })
    expect(linesIn(file)).toMatchObject([{ level: 'debug', config: { logLevel: 'panic' } }, line])
    expect(readdirSync(folder)).toEqual(['vf.log'])
  })

  test('that is broken is named, and the rest counts', async () => {
    const outcome = await onNode(
      { 'log.json': '{"level":' },
      { env: { ...addEnv, ...info }, stdin: config() },
    )
    expect(outcome).toMatchObject(added)
    const msg =
      'vf-offload: Cannot use /etc/vf-flower/log.json: line 1, column 10: found the end, expected a value'
    expect(linesOf(outcome.stderr)).toMatchObject([{ level: 'warning', msg }, line])
  })
})

describe('a file that can not be', () => {
  const refusals = [
    ['in a folder that is missing', '/missing/vf.log', 'ENOENT'],
    ['a folder', '', 'EISDIR'],
  ] as const
  test.each(refusals)('opened (%s): stderr, which says so', async (_, below, errno) => {
    const path = `${folder}${below}`
    const env = { ...addEnv, ...info, VF_FLOWER_LOG_FILE: path }
    const outcome = await call(offload, { env, stdin: config() })
    expect(outcome).toMatchObject(added)
    expect(linesOf(outcome.stderr)).toMatchObject([
      {
        level: 'error',
        msg: expect.stringMatching(`^Cannot write log file "${path}": ${errno}.*; logging to stderr$`),
      },
      line,
    ])
    expect(readdirSync(folder)).toEqual([])
  })

  test('written (the disk is full): stderr, which says so', async () => {
    const disk = `mount -t tmpfs -o size=4k none ${folder} && head -c 4096 /dev/zero >${file}`
    const outcome = await callByShell(`exec unshare -m /bin/sh -c '${disk} && exec "$0"' "$0"`, offload, {
      env: { ...addEnv, ...info, VF_FLOWER_LOG_FILE: file, PATH: process.env.PATH },
      stdin: config(),
    })
    expect(outcome).toMatchObject(added)
    expect(linesOf(outcome.stderr)).toMatchObject([
      { level: 'error', msg: expect.stringContaining('ENOSPC') },
      line,
    ])
  })
})

describe('surroundings', () => {
  const debug = { ...addEnv, VF_FLOWER_LOG_LEVEL: 'debug' }

  test.each(['2>&-', '2>/dev/full', '2>/dev/null'])('%s costs nobody the result', async (redirection) => {
    const outcome = await callByShell(`exec "$0" ${redirection}`, offload, { env: debug, stdin: config() })
    expect(outcome).toMatchObject(added)
  })

  test.each(['2>&-', '2>/dev/full'])('%s costs the file no line', async (redirection) => {
    const env = { ...debug, VF_FLOWER_LOG_FILE: file }
    expect(await callByShell(`exec "$0" ${redirection}`, offload, { env, stdin: config() })).toMatchObject(
      added,
    )
    expect(linesIn(file)).toMatchObject([{ level: 'debug' }, line])
  })

  test('a closed stdin is an error object and a line', async () => {
    const env = { ...debug, VF_FLOWER_LOG_FILE: file }
    const outcome = await callByShell('exec "$0" <&-', offload, { env })
    expect(outcome).toMatchObject({ exitCode: 1, object: { code: expect.any(Number) } })
    expect(linesIn(file)).toMatchObject([{ level: 'error', error: { code: outcome.object?.code } }])
  })

  test('a missing HOME and read-only folders for temporary files do not matter', async () => {
    const readOnly = (path: string) => `mount --bind ${path} ${path} && mount -o remount,bind,ro ${path}`
    const shell = `exec unshare -m /bin/sh -c '${readOnly('/tmp')} && ${readOnly('/var/tmp')} && exec "$0"' "$0"`
    const env = { ...debug, PATH: process.env.PATH, HOME: '/nowhere', TMPDIR: folder, BUN_TMPDIR: folder }
    const outcome = await callByShell(shell, offload, { env, stdin: config() })
    expect(outcome).toMatchObject(added)
    expect(linesOf(outcome.stderr)).toMatchObject([{ level: 'debug' }, line])
  })

  test('no file is created but the log, and nothing is looked for outside the executable', async () => {
    const temporary = join(folder, 'tmp')
    mkdirSync(temporary)
    const trace = join(folder, 'trace')
    const env = { ...debug, VF_FLOWER_LOG_FILE: file, TMPDIR: temporary }
    const variables = Object.entries(env).flatMap(([key, value]) => ['-E', `${key}=${value}`])
    const options = ['-f', '-qq', '-e', 'trace=%file,clone,clone3,fork,vfork', '-o', trace]
    await execa('strace', [...options, ...variables, offload], {
      env: { PATH: process.env.PATH } as Record<string, string>,
      extendEnv: false,
      cwd: folder,
      input: config(),
    })
    expect(linesIn(file)).toHaveLength(2)
    const calls = readFileSync(trace, 'utf8').trim().split('\n')
    const creates =
      /O_CREAT|O_TMPFILE|\b(creat|mkdir|mkdirat|mknod|mknodat|link|linkat|symlink|symlinkat|rename|renameat2?)\(/
    // The locks of all attachments are in one file, which stays.
    const isLock = (one: string) => one.includes('/run/vf-flower/attachments')
    const created = calls.filter((one) => creates.test(one) && !one.includes('= -1') && !isLock(one))
    expect(created).toEqual([expect.stringContaining(file)])
    expect(created[0]).toContain('O_CLOEXEC')
    expect(calls.filter((one) => /pino|node_modules|package\.json|thread-stream/.test(one))).toEqual([])
    expect(readdirSync(temporary)).toEqual([])
  })
})

test('what was logged before a SIGKILL is in the file', async () => {
  const plugin = join(folder, 'ipam')
  writeFileSync(plugin, '#!/bin/sh\ncat >/dev/null\n')
  chmodSync(plugin, 0o755)
  const fault = {
    VF_FLOWER_FAULT: 'ipam:1:after:SIGKILL',
    VF_FLOWER_LOG_LEVEL: 'debug',
    VF_FLOWER_LOG_FILE: file,
  }
  const outcome = await call(executable('test/vf-attach'), {
    env: { CNI_COMMAND: 'STATUS', CNI_PATH: folder, ...fault },
    stdin: JSON.stringify({ cniVersion: '1.1.0', name: 'net', type: 'vf-attach', ipam: { type: 'ipam' } }),
  })
  expect(outcome).toMatchObject({ exitCode: undefined, stdout: '' })
  expect(linesIn(file)).toMatchObject([{ level: 'debug', verb: 'STATUS', msg: 'network config' }])
})
