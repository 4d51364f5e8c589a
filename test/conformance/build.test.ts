// hack/build.ts makes one program with several names, and the name decides what it is.
import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { describe, expect, test } from 'vitest'
import { call, executable } from '../support/executable.ts'
import { buildIdOf } from '../support/shim/bed.ts'
import { compileShim } from '../support/shim/compile.ts'

const mainFile = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

// The program that hack/build.ts makes is what its name says.

test('the release has no fault hook; the test build, of the same sources, has it', () => {
  const [withHook, without] = ['test/vf-flower', 'vf-flower'].map((name) =>
    readFileSync(executable(name)).includes('VF_FLOWER_FAULT'),
  )
  expect({ withHook, without }).toEqual({ withHook: true, without: false })
})

test('shim and program have the id of their build, and a test build has one of its own', () => {
  const ids = ['', 'test/'].map((folder) => {
    const file = (name: string) => join(dirname(executable('vf-flower')), folder, name)
    const id = buildIdOf(file('vf-attach'))
    expect(readFileSync(file('vf-flower')).includes(id)).toBe(true)
    return id
  })
  expect(ids[0]).not.toBe(ids[1])
})

test('there is one program; what runtimes call is the small one in front of it, the others are links', () => {
  const folder = dirname(executable('vf-flower'))
  const [plugins, links] = [
    ['vf-attach', 'vf-offload'],
    ['vf-agent', 'vf-device-plugin', 'vfctl'],
  ]
  for (const name of links) expect(readlinkSync(join(folder, name))).toBe('vf-flower')
  // Beside it are builds for other platforms, and images.
  const files = readdirSync(folder, { withFileTypes: true })
    .filter((one) => !one.isDirectory() && !/\.(tar|json)$/.test(one.name))
    .map(({ name }) => name)
    .filter((name) => !links.includes(name))
  expect(files.sort()).toEqual([...plugins, 'vf-flower'].sort())
  for (const name of files) expect(lstatSync(join(folder, name)).mode & 0o170777).toBe(0o100755)
  for (const name of plugins) {
    const front = readFileSync(join(folder, name))
    expect(front.length).toBeLessThan(1 << 17)
    // An interpreter in the program's headers would load what LD_PRELOAD names.
    expect(front.includes('/lib64/ld-linux')).toBe(false)
  }
})

test('a shim for arm64 answers VERSION, and says why it cannot start the program', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'arm64-'))
  try {
    const shim = join(folder, 'vf-attach')
    compileShim(shim, 'aarch64-linux-gnu-gcc')
    const ask = (verb: string) =>
      execa('qemu-aarch64', [shim], { env: { CNI_COMMAND: verb }, extendEnv: false, reject: false })
    const { stdout, stderr } = await execa(executable('vf-attach'), { env: { CNI_COMMAND: 'VERSION' } })
    expect(await ask('VERSION')).toMatchObject({ exitCode: 0, stdout, stderr })
    const failed = await ask('STATUS')
    expect(failed).toMatchObject({ exitCode: 1, stderr: '' })
    expect(JSON.parse(failed.stdout)).toEqual({
      ...{ cniVersion: '1.1.0', code: 50 },
      msg: `Cannot start vf-attach: cannot execute ${folder}/vf-flower: ENOENT (No such file or directory)`,
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the shim answers VERSION as the program does, for the names of plugins that this has', async () => {
  const names = [
    ...readFileSync(mainFile, 'utf8').matchAll(/name === '([\w-]+)' \|\||name === '(bandwidth)'/g),
  ].map(([, name, last]) => name ?? last ?? '')
  expect(names).toHaveLength(6)
  const folder = mkdtempSync(join(tmpdir(), 'versions-'))
  try {
    const [shims, links] = [join(folder, 'shims'), join(folder, 'links')]
    for (const one of [shims, links]) mkdirSync(one)
    const env = { CNI_COMMAND: 'VERSION' }
    // Nothing is there that the shim could start.
    for (const name of names) {
      copyFileSync(executable('vf-attach'), join(shims, name))
      symlinkSync(executable('vf-flower'), join(links, name))
      expect(await call(join(shims, name), { env })).toEqual(await call(join(links, name), { env }))
    }
    copyFileSync(executable('vf-attach'), join(shims, 'bridge'))
    expect((await call(join(shims, 'bridge'), { env })).object?.msg).toContain('cannot execute')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

describe('the name decides', () => {
  // Without a word the device plugin serves, as its users' DaemonSets call it.
  test.each([
    ['vfctl', [[], ['--help'], ['-h']]],
    ['vf-device-plugin', [['--help'], ['-h']]],
  ])('%s prints its usage and knows no other word', async (name, questions) => {
    const ask = (args: string[]) =>
      execa(executable(name), args, { env: {}, extendEnv: false, reject: false })
    for (const args of questions) {
      const shown = await ask(args)
      expect(shown).toMatchObject({ exitCode: 0, stderr: '' })
      expect(shown.stdout).toMatch(new RegExp(`^${name} .*^Usage:$`, 'ms'))
    }
    const wrong = await ask(['no-such-word'])
    expect(wrong).toMatchObject({ exitCode: 2, stdout: '' })
    expect(wrong.stderr).toContain(`${name}: `)
    expect(wrong.stderr).toContain('"no-such-word"')
  })

  test('also that of a copy, by a relative path or through PATH; one that is none is refused', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'named-'))
    try {
      const env = { CNI_COMMAND: 'VERSION', PATH: folder }
      copyFileSync(executable('vf-flower'), join(folder, 'vf-flower'))
      for (const name of ['sriov', 'host-device']) copyFileSync(executable('vf-attach'), join(folder, name))
      for (const path of [join(folder, 'sriov'), './host-device', 'sriov'])
        expect(await call(path, { env, cwd: folder })).toMatchObject({
          exitCode: 0,
          object: { cniVersion: '1.1.0' },
        })
      copyFileSync(executable('vf-flower'), join(folder, 'nobody'))
      const unknown = await call(join(folder, 'nobody'), { env })
      expect(unknown).toMatchObject({ exitCode: 2, stdout: '' })
      expect(unknown.stderr).toContain('called as "nobody"')
      const bare = await call(join(folder, 'vf-flower'), { env })
      expect(bare).toMatchObject({ exitCode: 2, stdout: '' })
      expect(bare.stderr).toMatch(
        /^vf-flower: a command is missing; must be install or uninstall\n\n.*Usage:/s,
      )
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
