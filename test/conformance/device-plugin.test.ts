// The commands of vf-device-plugin that serve nobody: --check, schema, explain, --help, and arguments that are not understood. The
// service is in test/native/device-plugin.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeRoot } from '../../hack/lab/fake-root/fake-root.ts'
import { PF, withVfs } from '../support/device-plugin/program.ts'
import { executable } from '../support/executable.ts'

let top: string
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'device-plugin-'))
})
afterEach(() => rmSync(top, { recursive: true }))

const run = async (...args: string[]) => {
  const { exitCode, stdout, stderr } = await execa(executable('vf-device-plugin'), args, { reject: false })
  return { exitCode, stdout, stderr }
}
function file(text: string): string {
  const path = join(top, 'config.json')
  writeFileSync(path, text)
  return path
}

test('help names all commands, version is one line', async () => {
  const { exitCode, stdout, stderr } = await run('--help')
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
  for (const word of ['explain [flags] [DEVICE..]', 'schema', '--check FILE', '--state-dir', 'Exit code: 0'])
    expect(stdout).toContain(word)
  expect((await run('-h')).stdout).toBe(stdout)
  expect((await run('-version')).stdout).toMatch(/^\d+\.\d+\.\d+$/)
})

test.each([
  [['--nothing'], 'Cannot use --nothing: there is no such flag'],
  [['start'], 'Cannot use argument "start": must be a flag, or "explain" or "schema" as the first word'],
  [['--sys-root', 'sys'], 'Cannot use --sys-root: is "sys"; must be an absolute path'],
  [['--config-file'], 'Cannot use --config-file: must be followed by FILE'],
  [['--json'], 'Cannot use --json: it belongs to explain'],
  [['explain', '--check', 'x'], 'Cannot use --check with explain: must be one of the two'],
] as const)('%j is not understood: code 2, and the sentence', async (args, words) => {
  expect(await run(...args)).toEqual({
    ...{ exitCode: 2, stdout: '' },
    stderr: `vf-device-plugin: ${words}; --help shows all flags`,
  })
})

describe('--check', () => {
  test('a config that is fit for use: code 0, and its pools', async () => {
    const path = file('{"resourceList": [{"resourceName": "net", "selectors": {"IsRdma": false}}]}')
    const { exitCode, stdout, stderr } = await run('--check', path)
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout).toContain(`${path}: fit for use; pools: intel.com/net`)
    expect((await run('--check', path, '--resource-prefix', 'x.org')).stdout).toContain('pools: x.org/net')
    expect(await run('--check', file('{"resourceList": null}'))).toEqual({
      ...{ exitCode: 0, stderr: '' },
      stdout: `${path}: fit for use; pools: none`,
    })
  })

  test('mistakes: code 1, and each with line, column, key and what is allowed', async () => {
    const path = file(
      '{\n "resourceList": [\n  {"resourceName": "a", "selectors": [{"vendors": ["intel"]}],\n   "reset": "pm"}\n ]\n}\n',
    )
    const { exitCode, stdout } = await run('--check', path)
    expect(exitCode).toBe(1)
    const at = (line: number) =>
      expect.stringMatching(new RegExp(`^${path}:${line}:\\d+: resourceList\\[0\\]`))
    expect(stdout.split('\n')).toEqual([at(3), at(4), `${path}: not fit for use; mistakes: 2`])
    expect(stdout).toContain('is "intel"; must be four hexadecimal digits')
    expect(stdout).toContain('is "pm"; must be "none" or "flr"')
  })

  test.each([
    ['{', /not fit for use/],
    ['', /not fit for use/],
    ['[]', /must be/],
  ])('%j is none: code 1', async (text, words) => {
    const { exitCode, stdout, stderr } = await run('--check', file(text))
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: '' })
    expect(stdout).toMatch(words)
  })

  test('a file that is not there: code 1', async () => {
    const { exitCode, stdout } = await run('--check', join(top, 'nothing'))
    expect(exitCode).toBe(1)
    expect(stdout).toMatch(/^Cannot read .*nothing/)
  })
})

test('schema is the file of docs/schema', async () => {
  const { exitCode, stdout } = await run('schema')
  expect(exitCode).toBe(0)
  const path = join(import.meta.dirname, '../../docs/schema/vf-device-plugin.json')
  expect(stdout).toBe(readFileSync(path, 'utf8').trimEnd())
})

describe('explain', () => {
  let root: FakeRoot
  let flags: string[]
  beforeEach(() => {
    root = new FakeRoot()
    withVfs(root, 2)
    const own = ['kubelet', 'state'].flatMap((name) => [`--${name}-dir`, join(top, name)])
    flags = ['--sys-root', root.sys, '--dev-root', root.dev, ...own]
  })
  afterEach(() => root.remove())
  const explain = (text: string, ...words: string[]) =>
    run('explain', ...flags, '--config-file', file(text), ...words)
  const config = `{"resourceList": [
    {"resourceName": "first", "selectors": [{"rootDevices": ["${PF}#0"]}]},
    {"resourceName": "dpdk", "selectors": [{"drivers": ["vfio-pci"]}]}]}`

  test('a table: each device with its pool, or the selector that rejected it', async () => {
    const { exitCode, stdout, stderr } = await explain(config)
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    const line = (id: string) => stdout.split('\n').find((one) => one.includes(id))
    expect(line('0000:3b:10.0')).toMatch(/intel\.com\/first/)
    expect(line('0000:3b:10.2')).not.toMatch(/intel\.com\/first +/)
    expect(stdout).toMatch(/vfio-pci/)
  })

  test('JSON, of the devices that are named alone', async () => {
    const { exitCode, stdout } = await explain(config, '--json', '0000:3b:10.2')
    expect(exitCode).toBe(0)
    const value = JSON.parse(stdout) as { devices: readonly { id: string }[] }
    expect(value.devices.map(({ id }) => id)).toEqual(['0000:3b:10.2'])
  })

  test('a device that is not there, a config with a mistake, and none: code 1, and a sentence', async () => {
    const missing = await explain(config, '0000:ff:00.0')
    expect(missing).toMatchObject({ exitCode: 1, stdout: '' })
    expect(missing.stderr).toMatch(
      /^vf-device-plugin: Cannot explain "0000:ff:00\.0": it is no network device/,
    )
    const bad = await explain('{"resourceList": 1}')
    expect(bad).toMatchObject({ exitCode: 1, stdout: '' })
    expect(bad.stderr).toMatch(/config\.json: .*resourceList is 1; must be a list of objects, or null/s)
    const none = await run('explain', ...flags, '--config-file', join(top, 'nothing'))
    expect(none).toMatchObject({ exitCode: 1, stdout: '' })
    expect(none.stderr).toMatch(/Cannot read/)
  })
})
