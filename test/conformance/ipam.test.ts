// The compiled program calls IPAM plugins: the distribution's host-local and static, and one that misbehaves.
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type CallOptions, call, callByShell, compileForTest } from '../support/executable.ts'
import { addEnv } from '../support/run-verb.ts'

// Delegation from the compiled executable: to the IPAM plugins of the distribution, and to some that misbehave.

// Processes of 100 MB on machines that may be busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const { file, remove } = compileForTest(new URL('ipam-plugin.ts', import.meta.url), 'ipam-plugin')
afterAll(remove)

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ipam-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const distribution = '/usr/lib/cni'

function asked(
  command: string,
  cniVersion: string,
  ipam: object,
  env: Record<string, string> = {},
): CallOptions {
  return {
    env: { ...addEnv, CNI_COMMAND: command, CNI_PATH: `${folder}:${distribution}`, ...env },
    stdin: JSON.stringify({ cniVersion, name: 'net', type: 'ipam-plugin', ipam }),
  }
}

describe('host-local', () => {
  const hostLocal = (subnet = '10.1.2.0/29') => ({
    type: 'host-local',
    dataDir: folder,
    ranges: [[{ subnet }]],
    routes: [{ dst: '0.0.0.0/0' }],
  })

  test.each(['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0'])(
    'gives, checks and takes back an address as %s',
    async (version) => {
      const added = await call(file, asked('ADD', version, hostLocal()))
      expect(added).toMatchObject({ exitCode: 0, stderr: '' })
      const address = { address: '10.1.2.2/29', gateway: '10.1.2.1' }
      const routes = [{ dst: '0.0.0.0/0' }]
      const expected = {
        '0': { ip4: { ip: address.address, gateway: address.gateway, routes } },
        '3': { ips: [{ version: '4', ...address }], routes },
        '1': { ips: [address], routes },
      }[version < '0.3.0' ? '0' : version < '1.0.0' ? '3' : '1']
      expect(added.object).toEqual({ cniVersion: version, ...expected, dns: {} })
      expect(existsSync(join(folder, 'net/10.1.2.2'))).toBe(true)

      if (version >= '0.4.0') {
        expect(await call(file, asked('CHECK', version, hostLocal()))).toMatchObject({
          exitCode: 0,
          stdout: '',
        })
      }
      for (const _ of ['once', 'again']) {
        expect(await call(file, asked('DEL', version, hostLocal()))).toMatchObject({
          exitCode: 0,
          stdout: '',
        })
        expect(existsSync(join(folder, 'net/10.1.2.2'))).toBe(false)
      }
      if (version >= '0.4.0') {
        const checked = await call(file, asked('CHECK', version, hostLocal()))
        expect(checked.exitCode).toBe(1)
        expect(checked.object?.msg).toMatch(/^IPAM plugin "host-local": .*Failed to find address/)
      }
    },
  )

  test('that has no address left says so in its own words, and keeps nothing for the container that failed', async () => {
    expect(await call(file, asked('ADD', '1.0.0', hostLocal('10.1.2.0/30')))).toMatchObject({ exitCode: 0 })
    const second = await call(
      file,
      asked('ADD', '1.0.0', hostLocal('10.1.2.0/30'), { CNI_CONTAINERID: 'second' }),
    )
    expect(second.exitCode).toBe(1)
    expect(second.object?.msg).toMatch(/^IPAM plugin "host-local": .*no IP addresses available in range set/)
    expect(readFileSync(join(folder, 'net/10.1.2.2'), 'utf8')).not.toContain('second')
  })

  test('that is older than the config refuses it, and the refusal is passed on with its code', async () => {
    const added = await call(file, asked('ADD', '1.1.0', hostLocal()))
    expect(added).toMatchObject({
      exitCode: 1,
      object: { cniVersion: '1.1.0', code: 1, msg: 'IPAM plugin "host-local": incompatible CNI versions' },
    })
  })
})

test('static gives addresses of both families', async () => {
  const addresses = [{ address: '10.1.2.3/24', gateway: '10.1.2.1' }, { address: 'fd00::3/64' }]
  const added = await call(file, asked('ADD', '0.4.0', { type: 'static', addresses }))
  expect(added).toMatchObject({
    exitCode: 0,
    object: {
      ips: [
        { version: '4', address: '10.1.2.3/24' },
        { version: '6', address: 'fd00::3/64' },
      ],
    },
  })
})

describe('a plugin that misbehaves', () => {
  const fake = { type: 'fake' }
  const script = (body: string) =>
    writeFileSync(join(folder, 'fake'), `#!/bin/sh\n${body}\n`, { mode: 0o755 })
  const log = () => readFileSync(join(folder, 'log'), 'utf8')

  test('by printing garbage is quoted, and its DEL is run', async () => {
    script(`echo $CNI_COMMAND >>${folder}/log; echo 'panic: oh no'`)
    const added = await call(file, asked('ADD', '1.0.0', fake))
    expect(added).toMatchObject({
      exitCode: 1,
      object: { code: 105, msg: 'IPAM plugin "fake" printed no result: "panic: oh no\\n"' },
    })
    expect(log()).toBe('ADD\nDEL\n')
  })

  test('by failing keeps its code, text and details; what it says on stderr arrives there', async () => {
    script(
      `echo 'to stderr' >&2; echo '{"cniVersion":"1.0.0","code":11,"msg":"pool busy","details":"lock held"}'; exit 1`,
    )
    const checked = await call(file, asked('CHECK', '1.0.0', fake))
    expect(checked).toMatchObject({ exitCode: 1, stderr: 'to stderr\n' })
    expect(checked.object).toEqual({
      cniVersion: '1.0.0',
      code: 11,
      msg: 'IPAM plugin "fake": pool busy',
      details: 'lock held',
    })
  })

  test('gets a clean environment, whatever ours is', async () => {
    script(`env >>${folder}/log; echo '{"ips":[]}'`)
    const hostile = {
      LD_LIBRARY_PATH: folder,
      LD_BIND_NOW: '1',
      NODE_OPTIONS: '--no-warnings',
      BUN_CONFIG_MAX_HTTP_REQUESTS: '1',
      BASH_ENV: '/nowhere',
      HOME: folder,
      TMPDIR: folder,
      PATH: '/usr/bin:/bin',
      CNI_ARGS: 'IgnoreUnknown=1',
    }
    expect(await call(file, asked('ADD', '1.0.0', fake, hostile))).toMatchObject({ exitCode: 0 })
    const shellsOwn = ['PWD', 'OLDPWD', 'SHLVL', '_']
    const names = log()
      .trim()
      .split('\n')
      .map((line) => line.split('=')[0] as string)
    expect(names.filter((name) => !shellsOwn.includes(name)).sort()).toEqual([
      'CNI_ARGS',
      'CNI_COMMAND',
      'CNI_CONTAINERID',
      'CNI_IFNAME',
      'CNI_NETNS',
      'CNI_PATH',
      'PATH',
    ])
  })

  test('inherits no descriptors but the three', async () => {
    script(`exec ls -l /proc/self/fd >>${folder}/log`)
    await callByShell('exec "$0" 7</dev/null', file, asked('STATUS', '1.1.0', fake))
    const numbers = [...log().matchAll(/ (\d+) -> (.*)$/gm)].map(
      ([, number, target]) => `${number} ${target}`,
    )
    expect(numbers.filter((line) => !line.includes('/fd'))).toHaveLength(3)
    expect(numbers.map((line) => Number(line.split(' ')[0]))).toEqual(expect.arrayContaining([0, 1, 2]))
  })

  test('gets the config byte for byte and may ignore it', async () => {
    script(`cat >${folder}/log; echo '{"ips":[]}'`)
    const { env } = asked('ADD', '1.0.0', fake)
    const stdin = ' {"name":"net","ipam":{"type":"fake"},\n"cniVersion":"1.0.0","n":18446744073709551615}\n\n'
    expect(await call(file, { env, stdin })).toMatchObject({ exitCode: 0 })
    expect(log()).toBe(stdin)

    script(`exec <&-; echo '{"ips":[]}'`)
    const long = stdin.replace('"n"', `"filler":"${'x'.repeat(1 << 20)}","n"`)
    expect(await call(file, { env, stdin: long })).toMatchObject({ exitCode: 0, object: { ips: [] } })
  })

  test.each([
    ['is no program', '', 'could not be run: ENOEXEC'],
    ['has an interpreter that is missing', '#!/nowhere\n', 'could not be run: ENOENT'],
    ['kills itself', '#!/bin/sh\nkill -9 $$\n', 'was ended by SIGKILL'],
    [
      'never stops printing',
      '#!/bin/sh\n[ $CNI_COMMAND = DEL ] || exec cat /dev/zero\n',
      'printed more than 16 MiB and was ended',
    ],
  ])('because it %s is an error that says so', async (_, text, message) => {
    writeFileSync(join(folder, 'fake'), text, { mode: 0o755 })
    const added = await call(file, asked('ADD', '1.0.0', fake))
    expect(added).toMatchObject({ exitCode: 1, object: { code: 105, msg: expect.stringContaining(message) } })
  })

  test.each([
    ['ADD', '../fake', 7],
    ['ADD', 'missing', 105],
    ['STATUS', 'missing', 50],
    ['DEL', 'missing', 105],
  ])('%s with ipam.type %j is error %i', async (command, type, code) => {
    expect(await call(file, asked(command, '1.1.0', { type }))).toMatchObject({
      exitCode: 1,
      object: { code },
    })
  })

  test('because it is being replaced is waited for', async () => {
    writeFileSync(join(folder, 'fake'), readFileSync('/bin/true'), { mode: 0o755 })
    const writer = openSync(join(folder, 'fake'), 'r+')
    const trace = join(folder, 'trace')
    const { env, stdin } = asked('STATUS', '1.1.0', fake)
    const running = execa('strace', ['-f', '-e', 'trace=execve', '-o', trace, file], {
      env: { ...env, PATH: process.env.PATH } as Record<string, string>,
      extendEnv: false,
      input: stdin as string,
    })
    await vi.waitFor(() => expect(readFileSync(trace, 'utf8').split('ETXTBSY').length).toBeGreaterThan(2), {
      timeout: 30_000,
    })
    closeSync(writer)
    expect(await running).toMatchObject({ exitCode: 0, stdout: '' })
  })

  test('GC hands it the list of valid attachments', async () => {
    script(`cat >${folder}/log`)
    const { env } = asked('GC', '1.1.0', fake)
    const list = '"cni.dev/valid-attachments":[{"containerID":"a","ifname":"net1"}]'
    const outcome = await call(file, {
      env,
      stdin: `{"cniVersion":"1.1.0","name":"net","ipam":{"type":"fake"},${list}}`,
    })
    expect(outcome).toMatchObject({ exitCode: 0, stdout: '' })
    expect(log()).toContain(list)
  })
})
