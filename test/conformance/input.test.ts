// The compiled plugins refuse input that is wrong, and a DEL with nothing to do succeeds whatever it is given.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { call, executable } from '../support/executable.ts'
import { addEnv } from '../support/run-verb.ts'

// Input that no plan can be made of: code, key, value and what is allowed, before anything is looked at; and the DELs that
// have nothing to do there.

// Processes of 100 MB on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 })

const attach = executable('vf-attach')
const offload = executable('vf-offload')

/** Two-byte letters: an interface name has 15 bytes. */
const letters = 'é'.repeat(15)
const nul = 'a\0b'
const half = 'a\ud800'
const long = `/${'x'.repeat(300)}`
const prevResult = {
  cniVersion: '1.1.0',
  interfaces: [{ name: 'net1', sandbox: '/n' }],
  ips: [{ address: '10.1.0.5/24', interface: 0 }],
}

/** A config as JSON, where a lone surrogate is an escape. */
const config = (more: object) => JSON.stringify({ cniVersion: '1.1.0', name: 'input', type: 'any', ...more })
const as = (command: string, more: Record<string, string> = {}) => ({
  ...addEnv,
  CNI_COMMAND: command,
  ...more,
})

describe('vf-attach: ADD refuses', () => {
  const device = { device: 'eth7' }
  test.each<[string, object, string]>([
    [
      'a name with a NUL',
      { device: nul },
      'Cannot use device "a\\u0000b": must be the name of a network interface',
    ],
    ['a name that is no text', { device: half }, 'Cannot use device "a\\ud800": must be the name'],
    ['a name of 30 bytes', { device: letters }, `Cannot use device "${letters}": must be the name`],
    ['a PF with a NUL', { pf: nul }, 'Cannot use pf "a\\u0000b": must be a physical function'],
    ['a PF that is no text', { pf: half }, 'Cannot use pf "a\\ud800": must be'],
    ['a bridge with a NUL', { ...device, bridge: nul }, 'Cannot use bridge "a\\u0000b": must be'],
    [
      'a path with a NUL',
      { kernelpath: `/sys/devices/${nul}` },
      'Cannot use kernelpath "/sys/devices/a\\u0000b"',
    ],
    [
      'a state folder with a NUL',
      { ...device, stateDir: `/run/${nul}` },
      'Cannot use stateDir "/run/a\\u0000b"',
    ],
    ['a state folder that is too long', { ...device, stateDir: long }, 'Cannot use stateDir "/xxx'],
    [
      'name servers that are none',
      { ...device, dns: { nameservers: 7 } },
      'Cannot use dns.nameservers 7: must be an array of strings',
    ],
    [
      'a search list in another spelling',
      { ...device, dns: { Search: ['a', 1] } },
      'Cannot use dns.search ["a",1]: must be',
    ],
    [
      'a domain that is none',
      { ...device, dns: { domain: [] } },
      'Cannot use dns.domain []: must be a string',
    ],
  ])('%s', async (_, more, words) => {
    const { exitCode, object } = await call(attach, { env: addEnv, stdin: config(more) })
    expect({ exitCode, code: object?.code, msg: object?.msg }).toEqual({
      exitCode: 1,
      code: 7,
      msg: expect.stringContaining(words),
    })
  })

  test('a value of many megabytes, of which it shows the beginning', async () => {
    const { stdout, object } = await call(attach, {
      env: addEnv,
      stdin: config({ vlan: 'x'.repeat(20 << 20) }),
    })
    expect(object).toMatchObject({
      code: 7,
      msg: expect.stringMatching(/^Cannot use vlan "x{200}" \.\.\.: must be/),
    })
    expect(stdout.length).toBeLessThan(500)
  })
})

describe('vf-offload: ADD refuses', () => {
  const wish = { runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80 }] }, prevResult }
  test.each<[string, object, string]>([
    [
      'an uplink with a NUL',
      { uplink: nul },
      'Cannot use uplink "a\\u0000b": must be the name of a network interface',
    ],
    ['an uplink that is no text', { uplink: half }, 'Cannot use uplink "a\\ud800": must be'],
    ['a state folder with a NUL', { stateDir: `/run/${nul}` }, 'Cannot use stateDir "/run/a\\u0000b"'],
    ['a state folder that is too long', { stateDir: '/x'.repeat(3000) }, 'Cannot use stateDir "/x/x'],
  ])('%s', async (_, more, words) => {
    const { exitCode, object } = await call(offload, { env: addEnv, stdin: config({ ...wish, ...more }) })
    expect({ exitCode, code: object?.code, msg: object?.msg }).toEqual({
      exitCode: 1,
      code: 7,
      msg: expect.stringContaining(words),
    })
  })

  test('a route in prevResult that the kernel has no room for', async () => {
    const routes = [{ dst: '0.0.0.0/0', scope: 256 }]
    const stdin = config({ ...wish, prevResult: { ...prevResult, routes } })
    const { object } = await call(offload, { env: addEnv, stdin })
    const msg = 'Cannot use prevResult.routes[0].scope 256: must be an integer from 0 to 255'
    expect(object).toMatchObject({ code: 6, msg })
  })
})

describe('nothing is to do', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'input-'))
    writeFileSync(join(folder, 'file'), '')
    symlinkSync('loop', join(folder, 'loop'))
    mkdirSync(join(folder, 'empty'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const stateDirs: readonly (readonly [string, (folder: string) => string])[] = [
    ['with a NUL', () => `/run/${nul}`],
    ['too long in one part', () => long],
    ['too long in all', () => '/x'.repeat(3000)],
    ['no text', () => `/run/${half}`],
    ['below a file', (folder) => `${folder}/file/state`],
    ['in a loop of links', (folder) => `${folder}/loop/state`],
    ['empty', (folder) => `${folder}/empty`],
  ]
  const names: readonly (readonly [string, Record<string, string>])[] = [
    ['a container ID of 230 characters', { CNI_CONTAINERID: 'c'.repeat(230) }],
    ['a container ID of 10,000 characters', { CNI_CONTAINERID: 'c'.repeat(10_000) }],
    ['a namespace of another kind', { CNI_NETNS: '/proc/self/ns/mnt' }],
    ['a path of a namespace that is too long', { CNI_NETNS: long }],
  ]

  describe.each([
    ['vf-attach', attach],
    ['vf-offload', offload],
  ])('%s', (_, file) => {
    test.each(stateDirs)('DEL and GC with a state folder that is %s', async (_, path) => {
      const stdin = config({ stateDir: path(folder), 'cni.dev/valid-attachments': [] })
      for (const command of ['DEL', 'GC'])
        expect(await call(file, { env: as(command), stdin })).toMatchObject({ exitCode: 0, stdout: '' })
    })

    test.each(names)('DEL with %s', async (_, more) => {
      const stdin = config({ stateDir: join(folder, 'empty') })
      expect(await call(file, { env: as('DEL', more), stdin })).toMatchObject({ exitCode: 0, stdout: '' })
    })

    test('DEL with a network name of 230 characters', async () => {
      const stdin = config({ name: 'n'.repeat(230), stateDir: join(folder, 'empty') })
      expect(await call(file, { env: as('DEL'), stdin })).toMatchObject({ exitCode: 0, stdout: '' })
    })
  })
})
