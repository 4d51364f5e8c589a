// The compiled program works in hostile surroundings: closed descriptors, missing folders, a working directory full of
// traps.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { call, callByShell, executable } from '../support/executable.ts'
import { addEnv } from '../support/run-verb.ts'

// A plugin runs as root, in whatever folder and environment the runtime happens to have. Needs root and strace.

// Processes of 100 MB on machines that may be busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hostile-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const versions = { exitCode: 0, object: { cniVersion: '1.1.0' } }
const refused = { exitCode: 1, object: { code: 7, msg: 'missing network name' } }
const badAdd = { env: addEnv, stdin: '{"cniVersion":"1.0.0"}' } as const

describe.each(['vf-attach', 'vf-offload'])('%s', (name) => {
  const file = executable(name)

  test('works with an environment of CNI_ variables only', async () => {
    expect(await call(file, { env: { CNI_COMMAND: 'VERSION' } })).toMatchObject({ ...versions, stderr: '' })
    expect(await call(file, badAdd)).toMatchObject({ ...refused, stderr: '' })
  })

  test('works with a HOME that is missing and folders for temporary files that are read-only', async () => {
    const readOnly = (path: string) => `mount --bind ${path} ${path} && mount -o remount,bind,ro ${path}`
    const check = `! touch ${folder}/x 2>/dev/null && ! touch /tmp/x 2>/dev/null`
    const line = `${readOnly('/tmp')} && ${readOnly('/var/tmp')} && ${check} && exec "$0"`
    const env = { ...addEnv, HOME: '/nowhere', TMPDIR: folder, BUN_TMPDIR: folder, PATH: process.env.PATH }
    const shell = `exec unshare -m /bin/sh -c '${line}' "$0"`
    expect(await callByShell(shell, file, { env: { ...env, CNI_COMMAND: 'VERSION' } })).toMatchObject({
      ...versions,
      stderr: '',
    })
    expect(await callByShell(shell, file, { env, stdin: badAdd.stdin })).toMatchObject({
      ...refused,
      stderr: '',
    })
  })

  test.each(['<&-', '2>&-', '<&- 2>&-', '</dev/null 2>/dev/full'])(
    'answers with descriptors like %s',
    async (redirection) => {
      const outcome = await callByShell(`exec "$0" ${redirection}`, file, { env: { CNI_COMMAND: 'VERSION' } })
      expect(outcome).toMatchObject(versions)
      const add = await callByShell(`exec "$0" ${redirection}`, file, badAdd)
      expect(add).toMatchObject({ exitCode: 1, object: { code: expect.any(Number) } })
    },
  )

  test('ends with exit code 1 when its stdout takes nothing', async () => {
    const outcome = await callByShell('exec "$0" >/dev/full', file, { env: { CNI_COMMAND: 'VERSION' } })
    expect(outcome).toMatchObject({ exitCode: 1, stdout: '' })
    expect(outcome.stderr).toContain('error writing to stdout')
    expect(outcome.stderr).not.toContain('    at ')
  })

  test('loads nothing from a hostile working directory', async () => {
    const marker = join(folder, 'ran')
    const script = `require('node:fs').writeFileSync(${JSON.stringify(marker)}, 'x')`
    const trap = join(folder, 'trap')
    mkdirSync(join(trap, 'node_modules/pino'), { recursive: true })
    writeFileSync(join(trap, 'preload.js'), script)
    writeFileSync(
      join(trap, 'bunfig.toml'),
      'preload = ["./preload.js"]\n[run]\npreload = ["./preload.js"]\n',
    )
    for (const env of ['.env', '.env.local', '.env.production', '.env.development']) {
      writeFileSync(join(trap, env), 'CNI_COMMAND=VERSION\nBUN_OPTIONS=--preload=./preload.js\n')
    }
    writeFileSync(join(trap, 'package.json'), '{"type":"commonjs","main":"./preload.js"}')
    writeFileSync(join(trap, 'tsconfig.json'), '{"compilerOptions":{"jsxImportSource":"./preload.js"}}')
    writeFileSync(join(trap, 'node_modules/pino/index.js'), script)

    const about = await call(file, { env: {}, cwd: trap })
    expect(about).toMatchObject({ exitCode: 0, stdout: '' })
    expect(about.stderr).toContain('CNI protocol versions supported')
    expect(await call(file, { ...badAdd, cwd: trap })).toMatchObject(refused)
    expect(existsSync(marker)).toBe(false)

    for (const env of [{}, { CNI_COMMAND: 'VERSION' }, addEnv]) {
      const lines = await fileCalls(file, env, trap)
      // The shim answers VERSION by itself.
      expect(lines.length).toBeGreaterThan(env.CNI_COMMAND === 'VERSION' ? 1 : 5)
      const ownName = /execve\(|getcwd\(|chdir\(/
      expect(lines.filter((line) => line.includes('trap') && !ownName.test(line))).toEqual([])
      expect(lines.filter((line) => /bunfig|\.env|package\.json|tsconfig|node_modules/.test(line))).toEqual(
        [],
      )
    }
  })

  test.each([{}, { CNI_COMMAND: 'VERSION' }, addEnv])('creates no file (%j)', async (env) => {
    const temporary = join(folder, 'tmp')
    mkdirSync(temporary)
    const lines = await fileCalls(file, { ...env, TMPDIR: temporary }, folder)
    const creates =
      /O_CREAT|O_TMPFILE|\b(creat|mkdir|mkdirat|mknod|mknodat|link|linkat|symlink|symlinkat|rename|renameat2?)\(/
    expect(lines.filter((line) => creates.test(line) && !line.includes('= -1'))).toEqual([])
    expect(readdirSync(temporary)).toEqual([])
  })

  /** The calls of the process and all its threads about files. */
  async function fileCalls(program: string, env: Record<string, string>, cwd: string): Promise<string[]> {
    const trace = join(folder, 'trace.txt')
    const variables = Object.entries(env).flatMap(([key, value]) => ['-E', `${key}=${value}`])
    await execa('strace', ['-f', '-qq', '-e', 'trace=%file', '-o', trace, ...variables, program], {
      env: { PATH: process.env.PATH } as Record<string, string>,
      extendEnv: false,
      cwd,
      input: badAdd.stdin,
      reject: false,
    })
    return readFileSync(trace, 'utf8').trim().split('\n')
  }
})
