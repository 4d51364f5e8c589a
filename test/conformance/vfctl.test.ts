// vfctl from outside, on a node without attachments; what it shows of real ones is in test/lab.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { executable } from '../support/executable.ts'

let stateDir: string

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'vfctl-'))
})
afterEach(() => rmSync(stateDir, { recursive: true }))

const vfctl = async (...args: string[]) => {
  const { exitCode, stdout, stderr } = await execa(executable('vfctl'), args, { reject: false })
  return { exitCode, stdout, stderr }
}
const show = (...args: string[]) => vfctl('show', '--state-dir', stateDir, ...args)

const owner = {
  containerID: 'c0ffee',
  ifname: 'net1',
  network: 'n',
  netns: '/gone',
  netnsId: '4:1',
  bootId: 'b',
}
const device = { id: '0000:3b:02.1', pfPci: '0000:3b:00.0', vfIndex: 3, driver: 'mlx5_core', parents: [] }

function write(folder: string, name: string, record: unknown): void {
  mkdirSync(join(stateDir, folder, 'report'), { recursive: true })
  const text = typeof record === 'string' ? record : JSON.stringify(record)
  writeFileSync(join(stateDir, folder, name), text)
}

test('help lists what there is, and nothing else', async () => {
  const { exitCode, stdout } = await vfctl('--help')
  expect(exitCode).toBe(0)
  expect([...stdout.matchAll(/^ {2}vfctl (\S+)/gm)].map(([, word]) => word)).toEqual([
    'show',
    'node',
    'agent',
    'schema',
    '--help',
    '--version',
  ])
  expect((await vfctl()).stdout).toBe(stdout)
})

test('agent says that none is there, and what that means', async () => {
  const { exitCode, stderr } = await vfctl('agent', '--json')
  expect(exitCode).toBe(1)
  expect(stderr).toContain('vfctl: No vf-agent answers at /run/vf-flower/agent-status.sock')
  expect(stderr).toContain('Each call of a plugin runs by itself then')
})

test('node tells the same to people and to programs, and that no agent is there', async () => {
  const [people, programs] = [await vfctl('node'), await vfctl('node', '--json')]
  const look = JSON.parse(programs.stdout) as { cards: unknown[]; missing: string[]; unanswered: string[] }
  expect(look).toMatchObject({ agent: { absent: expect.stringContaining('No vf-agent answers at') } })
  for (const line of [...look.missing, ...look.unanswered]) expect(people.stdout).toContain(`: ${line}\n`)
  expect(people.stdout).toMatch(/^this node:\n/)
  expect(people.stdout.match(/^ {2}card /gm) ?? []).toHaveLength(look.cards.length)
  const code = look.unanswered.length > 0 ? 1 : 0
  expect([people.exitCode, programs.exitCode]).toEqual([code, code])
})

test('node says what a process of a user namespace can not find out, and claims nothing', async () => {
  const words = ['--user', '--map-root-user', executable('vfctl'), 'node']
  const { exitCode, stdout } = await execa('unshare', words, { reject: false })
  expect(exitCode).toBe(1)
  expect(stdout).toContain(
    'not known: the kernel: setns: EPERM: no way back to the network namespace of this process',
  )
  expect(stdout).not.toContain('all that port mappings and limits need')
})

test('schema prints the file of docs/schema, or the names of all', async () => {
  const { exitCode, stdout } = await vfctl('schema')
  expect(exitCode).toBe(0)
  expect(stdout.split('\n')).toEqual(['vf-attach', 'vf-offload', 'policy'])
  for (const name of stdout.split('\n')) {
    const file = join(import.meta.dirname, '../../docs/schema', `${name}.json`)
    expect((await vfctl('schema', name)).stdout).toBe(readFileSync(file, 'utf8').trimEnd())
  }
})

test.each([
  ['shw'],
  ['show', '--jsn'],
  ['show', 'a', 'b', 'c'],
  ['show', '--state-dir', 'relative'],
  ['show', '--state-dir'],
  ['node', 'x'],
  ['agent', '--jsn'],
  ['schema', 'vf-atach'],
  ['schema', 'vf-attach', 'x'],
])('not understood: %j %j', async (...args) => {
  const { exitCode, stdout, stderr } = await vfctl(...args)
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
  expect(stderr).toMatch(/^vfctl: .*\n\n.*Usage:/s)
})

test('no attachments, and a folder that is not there', async () => {
  expect(await show()).toEqual({ exitCode: 0, stdout: 'no attachments', stderr: '' })
  expect(await show('--json')).toEqual({ exitCode: 0, stdout: '[]', stderr: '' })
  expect((await vfctl('show', '--state-dir', '/nowhere')).stdout).toBe('no attachments')
})

test('by container, by the beginning of its ID, by the pod of its report, by interface; a broken record is told', async () => {
  const base = { schema: 1, phase: 'attached', owner }
  write('attach', '0000:3b:02.1 c0ffee@net1.json', {
    ...base,
    plugin: 'vf-attach',
    journal: { device, original: {} },
  })
  const journal = { keys: [], ops: [], rules: [], notes: [] }
  write('offload', 'n c0ffee@net1.json', { ...base, plugin: 'vf-offload', journal })
  writeFileSync(join(stateDir, 'offload/report/n c0ffee@net1.json'), JSON.stringify({ pod: 'shop/web-0' }))
  write('offload', 'n other@net1.json', '{')
  for (const words of [['c0ffee'], ['c0f'], ['web-0'], ['shop/web-0'], ['c0ffee', 'net1']]) {
    const { exitCode, stdout } = await show('--json', ...words)
    const shown = JSON.parse(stdout) as { plugin: string }[]
    expect([exitCode, shown.map(({ plugin }) => plugin)]).toEqual([0, ['vf-attach', 'vf-offload']])
  }
  for (const words of [['nobody'], ['shop']])
    expect((await show(...words)).stdout).toBe(`no attachments of "${words[0]}"`)
  expect((await show('c0ffee', 'net2')).stdout).toBe('no attachments of "c0ffee", interface "net2"')
  const all = await show()
  expect(all.exitCode).toBe(1)
  expect(all.stderr).toMatch(/Cannot read record ".*n other@net1\.json": it is not JSON/)
  expect(all.stdout).toContain('device 0000:3b:02.1 (VF 3 of 0000:3b:00.0), driver mlx5_core')
  expect(all.stdout).toContain('its network namespace is gone')
})
