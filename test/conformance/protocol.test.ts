// The compiled plugins answer as the CNI specification says, by the numbers of its statements (S1 to S12).
import { afterAll, describe, expect, test, vi } from 'vitest'
import { supportedVersions } from '../../src/cni/version.ts'
import { call, callByShell, compileForTest, executable } from '../support/executable.ts'
import { addEnv } from '../support/run-verb.ts'

// The CNI protocol from outside, against what is installed on nodes and against the smallest plugin on the same protocol.
// The numbers are those of the scenarios that every plugin is held against; those that need a device are in
// test/native/program/protocol.test.ts.
//   S1 VERSION  S2 no command  S3 unknown command  S4 missing variables  S5 invalid variables  S6 bad stdin
//   S7 cniVersion unknown or absent  S8 verbs that a version lacks  S9 results of every version  S10 unknown fields kept
//   S11 garbage collection  S12 what is on stdout

// Processes of 100 MB on machines that may be busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const small = compileForTest(new URL('ipam-plugin.ts', import.meta.url), 'ipam-plugin')
afterAll(small.remove)

const programs = [
  ['vf-attach', executable('vf-attach')],
  ['vf-offload', executable('vf-offload')],
  ['ipam-plugin', small.file],
] as const

const config = (cniVersion: string | undefined, more: object = {}) =>
  JSON.stringify({ cniVersion, name: 'conformance', type: 'any', ...more })

const as = (command: string, more: Record<string, string | undefined> = {}) => ({
  ...addEnv,
  CNI_COMMAND: command,
  ...more,
})

describe.each(programs)('%s', (name, file) => {
  test('S1: VERSION needs nothing but CNI_COMMAND, not even a stdin', async () => {
    const outcome = await callByShell('exec "$0" <&-', file, { env: { CNI_COMMAND: 'VERSION' } })
    expect(outcome).toMatchObject({ exitCode: 0, stderr: '' })
    expect(outcome.object).toEqual({ cniVersion: '1.1.0', supportedVersions })
  })

  test('S1: VERSION ignores what libcni sends with it', async () => {
    const env = as('VERSION', { CNI_NETNS: 'dummy', CNI_IFNAME: 'dummy', CNI_PATH: 'dummy' })
    const outcome = await call(file, { env, stdin: '{"cniVersion":"1.1.0"}' })
    expect(outcome).toMatchObject({ exitCode: 0, stderr: '', object: { supportedVersions } })
  })

  test.each([{}, { CNI_COMMAND: '' }])(
    'S2: without CNI_COMMAND (%j) it introduces itself on stderr',
    async (env) => {
      const outcome = await call(file, { env })
      expect(outcome).toMatchObject({ exitCode: 0, stdout: '' })
      expect(outcome.stderr).toContain(name)
      expect(outcome.stderr.trimEnd().split('\n').at(-1)).toBe(
        'CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0',
      )
    },
  )

  test('S3: an unknown command is error 4', async () => {
    const outcome = await call(file, { env: as('NOPE'), stdin: config('1.0.0') })
    expect(outcome).toMatchObject({ exitCode: 1, object: { code: 4, msg: 'unknown CNI_COMMAND: NOPE' } })
  })

  test('S4: an ADD without its variables is error 4 and names all of them', async () => {
    const outcome = await call(file, {
      env: { CNI_COMMAND: 'ADD', CNI_PATH: '/opt/cni/bin' },
      stdin: config('1.0.0'),
    })
    expect(outcome).toMatchObject({
      exitCode: 1,
      object: { code: 4, msg: 'required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing' },
    })
  })

  test.each([
    { CNI_CONTAINERID: '1234%%%' },
    { CNI_IFNAME: 'a/b' },
    { CNI_IFNAME: 'a:b' },
    { CNI_IFNAME: 'a b' },
    { CNI_IFNAME: '.' },
    { CNI_IFNAME: '..' },
    { CNI_IFNAME: 'all' },
    { CNI_IFNAME: 'default' },
    { CNI_IFNAME: '0123456789abcdef' },
  ])('S5: an ADD with %j is error 4', async (variable) => {
    const outcome = await call(file, { env: as('ADD', variable), stdin: config('1.0.0') })
    expect(outcome).toMatchObject({ exitCode: 1, object: { code: 4 } })
  })

  test('S5: a name of 15 bytes is no error 4', async () => {
    const outcome = await call(file, { env: as('ADD', { CNI_IFNAME: '0123456789abcde' }), stdin: '[' })
    expect(outcome).toMatchObject({ exitCode: 1, object: { code: 6 } })
  })

  test.each([
    ['', 6],
    ['not JSON', 6],
    ['[]', 6],
    ['{"cniVersion":"1.0.0","type":"any"}', 7],
    ['{"cniVersion":"1.0.0","name":"1234%%%","type":"any"}', 7],
    ['{"cniVersion":1,"name":"conformance","type":"any"}', 6],
  ])('S6: stdin %j is error %i', async (stdin, code) => {
    const outcome = await call(file, { env: as('ADD'), stdin })
    expect(outcome).toMatchObject({
      exitCode: 1,
      object: { cniVersion: expect.any(String), code, msg: expect.any(String) },
    })
  })

  test('S6: a closed stdin is an error object', async () => {
    const outcome = await callByShell('exec "$0" <&-', file, { env: as('ADD') })
    expect(outcome).toMatchObject({
      exitCode: 1,
      object: { code: expect.toSatisfy((code: number) => code === 5 || code === 6) },
    })
  })

  test('S7: cniVersion 4.3.2 is error 1 and names both sides', async () => {
    const outcome = await call(file, { env: as('ADD'), stdin: config('4.3.2') })
    expect(outcome).toMatchObject({ exitCode: 1, object: { code: 1, msg: 'incompatible CNI versions' } })
    for (const part of ['4.3.2', '0.1.0', '1.1.0']) expect(outcome.object?.details).toContain(part)
  })

  test.each([
    ['CHECK', '0.3.1'],
    ['GC', '1.0.0'],
    ['STATUS', '1.0.0'],
  ])('S8: %s with %s is error 1', async (command, version) => {
    const outcome = await call(file, { env: as(command), stdin: config(version) })
    expect(outcome).toMatchObject({
      exitCode: 1,
      object: { code: 1, msg: `config version does not allow ${command}` },
    })
  })

  test.each(['ADD', 'CHECK'])('%s in the namespace of the plugin itself is error 8', async (command) => {
    const outcome = await call(file, {
      env: as(command, { CNI_NETNS: '/proc/self/ns/net' }),
      stdin: config('1.0.0'),
    })
    expect(outcome).toMatchObject({ exitCode: 1, object: { code: 8 } })
  })

  test('DEL in the namespace of the plugin itself goes on without one: the pod is gone', async () => {
    const env = as('DEL', { CNI_NETNS: '/proc/self/ns/net' })
    const outcome = await call(file, { env, stdin: config('1.0.0') })
    expect(outcome).toMatchObject({ exitCode: 0, stdout: '' })
  })

  test.each([
    ['missing', '/nowhere'],
    ['a file', '/etc/passwd'],
    ['too long', '/x'.repeat(3000)],
  ])(
    'a CNI_NETNS that is %s is error 8 for ADD and CHECK, and a namespace that is gone for DEL',
    async (_, netns) => {
      const stdin = config('1.0.0')
      for (const command of ['ADD', 'CHECK']) {
        const { exitCode, object } = await call(file, { env: as(command, { CNI_NETNS: netns }), stdin })
        // The plugin that has no device has no use for the namespace, and one without a prevResult says that first.
        if (exitCode !== 0) expect([7, 8]).toContain(object?.code)
      }
      const gone = await call(file, { env: as('DEL', { CNI_NETNS: netns }), stdin })
      expect(gone).toMatchObject({ exitCode: 0, stdout: '' })
    },
  )

  test('S12: a DEL of what never was prints nothing and succeeds, however often', async () => {
    const prevResult = { interfaces: 'nonsense' }
    for (const more of [{}, {}, { prevResult }]) {
      const env = as('DEL', { CNI_CONTAINERID: 'never-was', CNI_NETNS: '', CNI_ARGS: 'nonsense' })
      const outcome = await call(file, { env, stdin: config('1.0.0', more) })
      expect(outcome).toMatchObject({ exitCode: 0, stdout: '' })
    }
  })

  test.each(['cni.dev/valid-attachments', 'cni.dev/attachments'])(
    'S11, S12: GC understands %s and prints nothing',
    async (key) => {
      const list = [{ containerID: 'a', ifname: 'net1' }]
      for (const attachments of [list, []]) {
        const stdin = config('1.1.0', { [key]: attachments })
        const outcome = await call(file, { env: { CNI_COMMAND: 'GC', CNI_PATH: '/opt/cni/bin' }, stdin })
        expect(outcome).toMatchObject({ exitCode: 0, stdout: '' })
      }
      const bad = await call(file, {
        env: as('GC'),
        stdin: config('1.1.0', { [key]: [{ containerID: 'a' }] }),
      })
      expect(bad).toMatchObject({ exitCode: 1, object: { code: 7, msg: expect.stringContaining(key) } })
    },
  )

  test('S8, S12: STATUS succeeds in silence or says with 50 or 51 why it can not serve', async () => {
    const outcome = await call(file, { env: { CNI_COMMAND: 'STATUS' }, stdin: config('1.1.0') })
    if (outcome.exitCode === 0) expect(outcome.stdout).toBe('')
    else expect([50, 51]).toContain(outcome.object?.code)
    if (name === 'ipam-plugin') expect(outcome.exitCode).toBe(0)
  })
})

test('a plugin in a user namespace that could not come back from a pod says so, and does not leave', async () => {
  const line = 'exec unshare --user --map-root-user "$0"'
  const stdin = config('1.1.0', { capabilities: { portMappings: true } })
  const outcome = await callByShell(line, executable('vf-offload'), {
    ...{ env: { CNI_COMMAND: 'STATUS', PATH: process.env.PATH }, stdin },
  })
  const msg = expect.stringContaining('setns: EPERM: no way back to the network namespace of this process')
  expect(outcome).toMatchObject({ exitCode: 1, object: { code: 50, msg } })
})

describe.each(programs.filter(([name]) => name !== 'vf-attach'))(
  '%s passes a prevResult through',
  (_, file) => {
    const interfaces = [
      { name: 'host0' },
      {
        name: 'net1',
        mac: '02:00:00:00:00:01',
        sandbox: '/var/run/netns/some',
        mtu: 9000,
        pciID: '0000:81:02.3',
        'x.i': 1,
      },
    ]
    const ips = [{ address: '10.0.0.2/24', gateway: '10.0.0.1', interface: 1, 'x.a': [] }]
    const routes = [{ dst: '0.0.0.0/0', gw: '10.0.0.1', table: 100, scope: 253, priority: 5, 'x.r': null }]
    const rest = { dns: { nameservers: ['10.0.0.53'] }, 'x.top': { big: 9007199254740993n, deep: [{}] } }

    test.each(['1.0.0', '1.1.0'])('S9, S10: as %s, equal in every field', async (cniVersion) => {
      const stdin = config(cniVersion, { prevResult: { cniVersion, interfaces, ips, routes, dns: rest.dns } })
      const exact = stdin.replace('"dns"', '"x.top":{"big":9007199254740993,"deep":[{}]},"dns"')
      const outcome = await call(file, { env: as('ADD'), stdin: exact })
      expect(outcome).toMatchObject({ exitCode: 0 })
      expect(outcome.object).toEqual({ cniVersion, interfaces, ips, routes, ...rest })
    })

    test.each(['0.3.0', '0.3.1', '0.4.0'])('S9: as %s, with ips[].version', async (cniVersion) => {
      const prevResult = { cniVersion, interfaces, ips: ips.map((ip) => ({ version: '4', ...ip })), routes }
      const outcome = await call(file, { env: as('ADD'), stdin: config(cniVersion, { prevResult }) })
      expect(outcome).toMatchObject({ exitCode: 0 })
      const [host, { mtu: _, pciID: __, ...container }] = interfaces as [object, (typeof interfaces)[number]]
      expect(outcome.object).toEqual({ ...prevResult, interfaces: [host, container], dns: {} })
    })

    test.each([undefined, '0.1.0', '0.2.0'])('S7, S9: as %s, with ip4 and ip6', async (cniVersion) => {
      const prevResult = {
        ip4: { ip: '10.0.0.2/24', gateway: '10.0.0.1', routes: [{ dst: '0.0.0.0/0' }] },
        ip6: { ip: 'fd00::2/64', routes: [{ dst: '::/0', gw: 'fd00::1' }] },
        dns: {},
      }
      const outcome = await call(file, { env: as('ADD'), stdin: config(cniVersion, { prevResult }) })
      expect(outcome).toMatchObject({ exitCode: 0 })
      expect(outcome.object).toEqual({ cniVersion: cniVersion ?? '0.1.0', ...prevResult })
    })
  },
)
