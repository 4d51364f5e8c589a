// The small program in front starts the plugin in surroundings that the engine alone does not survive, and says why where
// it cannot.
import { copyFileSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { code } from '../../src/cni/error.ts'
import { currentVersion } from '../../src/cni/version.ts'
import { call, callByShell, executable } from '../support/executable.ts'

// The program in front of vf-flower: surroundings in which the engine would end, or be another one, are mended or named. The
// working directory of Multus is in test/native/program/shim.test.ts.

// Programs of 100 MB on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 })

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shim-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const versions = { exitCode: 0, object: { cniVersion: currentVersion }, stderr: '' }
const status = {
  env: { CNI_COMMAND: 'STATUS', CNI_PATH: '/usr/lib/cni' },
  stdin: JSON.stringify({ cniVersion: '1.1.0', name: 'n', type: 'vf-attach' }),
}
const ready = { exitCode: 0, stdout: '', stderr: '' }

describe.each(['vf-attach', 'vf-offload'])('%s', (name) => {
  const file = executable(name)

  test.each([
    ['BUN_JSC_useJIT', '0'],
    ['BUN_JSC_useFFI', '0'],
    ['BUN_JSC_none', '1'],
    ['BUN_OPTIONS', '--preload=/nonexistent.js'],
    ['BUN_BE_BUN', '1'],
    ['BUN_INSPECT', 'ws://127.0.0.1:1/'],
    ['NODE_OPTIONS', '--none'],
    ['NODE_EXTRA_CA_CERTS', '/nonexistent'],
    ['LD_PRELOAD', '/nonexistent.so'],
    ['LD_LIBRARY_PATH', '/nonexistent'],
    ['GLIBC_TUNABLES', 'glibc.malloc.none=1'],
  ])('%s=%s in the environment has no effect', async (variable, value) => {
    const env = { ...status.env, [variable]: value }
    expect(await call(file, { ...status, env })).toMatchObject(ready)
  })

  test('variables of the protocol and of its log arrive', async () => {
    const env = { ...status.env, VF_FLOWER_LOG_LEVEL: 'info' }
    const { exitCode, stderr } = await call(file, { ...status, env })
    expect(exitCode).toBe(0)
    expect(JSON.parse(stderr)).toMatchObject({ plugin: name, verb: 'STATUS', result: 'ok' })
  })

  test('a working directory that was deleted, or that is no folder of ours, does not matter', async () => {
    const line = `cd ${folder} && mkdir gone && cd gone && rmdir ../gone && exec "$0"`
    expect(await callByShell(line, file, { env: { CNI_COMMAND: 'VERSION' } })).toMatchObject(versions)
    expect(await callByShell(line, file, status)).toMatchObject(ready)
  })

  test.each([
    ['RLIMIT_AS', '-v', 500_000, 512_000_000],
    ['RLIMIT_DATA', '-d', 100_000, 102_400_000],
    ['RLIMIT_STACK', '-s', 64, 65_536],
    ['RLIMIT_NOFILE', '-n', 4, 4],
  ])('a hard %s that is too low is named with its value', async (limit, option, value, inBytes) => {
    const outcome = await callByShell(`ulimit ${option} ${value} && exec "$0"`, file, status)
    expect(outcome).toMatchObject({ exitCode: 1, stderr: '' })
    expect(outcome.object).toEqual({
      cniVersion: currentVersion,
      code: code.pluginNotAvailable,
      msg: expect.stringMatching(
        new RegExp(`^Cannot start ${name}: ${limit} is ${inBytes}; must be \\d+ or more; .*Limit`),
      ),
    })
  })

  test.each([
    ['RLIMIT_AS', '-v 500000'],
    ['RLIMIT_DATA', '-d 100000'],
    ['RLIMIT_STACK', '-s 64'],
    ['RLIMIT_NOFILE', '-n 4'],
  ])('a soft %s that is too low is raised', async (_, words) => {
    expect(await callByShell(`ulimit -S ${words} && exec "$0"`, file, status)).toMatchObject(ready)
  })
})

describe('where vf-flower is', () => {
  test('can not be told without /proc, where the engine would crash', async () => {
    const shell = `exec unshare -m --propagation private /bin/sh -c 'mount -t tmpfs none /proc && exec "$0"' "$0"`
    const env = { ...status.env, PATH: process.env.PATH }
    const { exitCode, object, stderr } = await callByShell(shell, executable('vf-attach'), { ...status, env })
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: '' })
    expect(object).toEqual({
      cniVersion: currentVersion,
      code: code.pluginNotAvailable,
      msg: 'Cannot start vf-attach: readlink /proc/self/exe: ENOENT (No such file or directory); /proc must be mounted',
    })
  })

  test('beside the file, through symbolic links, by a relative path and through PATH', async () => {
    const [links, far] = [join(folder, 'vf-attach'), join(folder, 'sriov')]
    symlinkSync(executable('vf-attach'), links)
    symlinkSync(links, far)
    const env = { CNI_COMMAND: 'VERSION', PATH: folder }
    for (const path of [links, far, './sriov', 'sriov'])
      expect(await call(path, { env, cwd: folder })).toMatchObject(versions)
  })

  test('nowhere, no program, or a copy of the program in front: an error object with the path and the reason', async () => {
    const [front, program] = [join(folder, 'host-"device'), join(folder, 'vf-flower')]
    copyFileSync(executable('vf-attach'), front)
    const message = async () => {
      const { exitCode, object } = await call(front, status)
      expect({ exitCode, ...object }).toMatchObject({
        ...{ exitCode: 1, cniVersion: currentVersion, code: code.pluginNotAvailable },
        msg: expect.stringMatching(/^Cannot start host-"device: cannot execute .*\/vf-flower: /),
      })
      return object?.msg
    }
    expect(await message()).toContain('No such file or directory')
    writeFileSync(program, 'no program', { mode: 0o644 })
    expect(await message()).toContain('Permission denied')
    rmSync(program)
    symlinkSync(front, program)
    expect(await message()).toContain('it is a copy of this very file')
  })
})
