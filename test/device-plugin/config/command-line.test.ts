// The command line of vf-device-plugin: flags of the SR-IOV network device plugin, of glog and of its container, and our own.
import { describe, expect, test } from 'vitest'
import {
  type CommandLine,
  defaultSettings,
  readCommandLine,
} from '../../../device-plugin/config/command-line.ts'
import { defaultStateDir } from '../../../src/records/store.ts'

const serve = (...argv: readonly string[]) => {
  const line = readCommandLine(argv)
  if (line.command !== 'serve') throw new RangeError(`Cannot serve: ${JSON.stringify(line)}`)
  return line
}

test('without flags: the defaults, those of the SR-IOV network device plugin where it has them', () => {
  expect(serve()).toEqual({ command: 'serve', settings: defaultSettings, warnings: [] })
  expect(defaultSettings).toMatchObject({
    configFile: '/etc/pcidp/config.json',
    resourcePrefix: 'intel.com',
    useCdi: false,
    cdiAnnotations: false,
    listen: undefined,
    readyFile: undefined,
    logLevel: 'info',
  })
  expect(defaultSettings.roots.state).toBe(defaultStateDir)
})

test.each([
  [['--config-file', '/x'], { configFile: '/x' }],
  [['-config-file=/x'], { configFile: '/x' }],
  [['--config_file=/x'], { configFile: '/x' }],
  [['--config-file=/a', '--config-file=/b'], { configFile: '/b' }],
  [['--config-file=/etc/a=b'], { configFile: '/etc/a=b' }],
  [['-resource-prefix', 'example.com'], { resourcePrefix: 'example.com' }],
  [['--resource-prefix='], {}],
  [['-use-cdi'], { useCdi: true }],
  [['--use-cdi=true'], { useCdi: true }],
  [['--use-cdi', '--cdi-annotations'], { useCdi: true, cdiAnnotations: true }],
  [['--use-cdi=T'], { useCdi: true }],
  [['--use-cdi=0'], {}],
  [['--listen', '127.0.0.1:9100'], { listen: '127.0.0.1:9100' }],
  [['--listen=:9100'], { listen: ':9100' }],
  [['--ready-file=/run/ready'], { readyFile: '/run/ready' }],
  [['--listen=[::1]:9100'], { listen: '[::1]:9100' }],
  [['--listen='], {}],
  [['--instance', 'blue-2'], { instance: 'blue-2' }],
  // The uid of a pod, as the manifests have it.
  [['--instance=2f3a6c1e-7d0b-4b3e-9a53-0d6f1c2b4e5a'], { instance: '2f3a6c1e-7d0b-4b3e-9a53-0d6f1c2b4e5a' }],
  [['--log-level', 'debug'], { logLevel: 'debug' }],
  [['--log-level=warning'], { logLevel: 'warning' }],
  [['--log-level=10'], {}],
  [['--log-level=11'], { logLevel: 'debug' }],
  [['-v', '4'], {}],
  [['-v=99'], { logLevel: 'debug' }],
  [['--use-cdi', '--'], { useCdi: true }],
])('%j', (argv, settings) => {
  expect(serve(...argv)).toEqual({
    command: 'serve',
    settings: { ...defaultSettings, ...settings },
    warnings: [],
  })
})

test.each([
  ['sys-root', 'sys'],
  ['dev-root', 'dev'],
  ['kubelet-dir', 'kubelet'],
  ['cdi-dir', 'cdi'],
  ['device-info-dir', 'deviceInfo'],
  ['state-dir', 'state'],
])('--%s is the folder %s', (flag, root) => {
  expect(serve(`--${flag}=/x/y`).settings.roots).toEqual({ ...defaultSettings.roots, [root]: '/x/y' })
})

test('the arguments of its DaemonSet and of glog are taken, with a warning where they have no effect', () => {
  expect(
    serve('--log-dir=sriovdp', '--log-level=10', '--config-file=/etc/pcidp/node-1').settings.configFile,
  ).toBe('/etc/pcidp/node-1')
  const glog = ['-log_dir', '/var/log', '-vmodule=a=1', '-stderrthreshold', '2', '-log_backtrace_at=a.go:1']
  expect(serve(...glog, '-logtostderr', '-alsologtostderr=false', '-v', '10').warnings).toEqual([
    'flag log-dir has no effect: log lines go to stderr alone',
    'flag vmodule has no effect: there are no levels for single files',
    'flag stderrthreshold has no effect: log lines go to stderr alone',
    'flag log-backtrace-at has no effect',
  ])
})

describe('commands', () => {
  test.each<[string[], CommandLine]>([
    [['--help'], { command: 'help' }],
    [['-h'], { command: 'help' }],
    [['explain', '--help'], { command: 'help' }],
    [['--version'], { command: 'version' }],
    [['schema'], { command: 'schema' }],
    [['--check', 'f.json'], { command: 'check', file: 'f.json', settings: defaultSettings }],
    [
      ['--check=f.json', '--resource-prefix=a.b'],
      { command: 'check', file: 'f.json', settings: { ...defaultSettings, resourcePrefix: 'a.b' } },
    ],
    [['explain'], { command: 'explain', settings: defaultSettings, json: false, devices: [], warnings: [] }],
    [
      ['explain', '--json', '--config-file=/x', '0000:3b:02.1', 'mlx5_core.sf.2'],
      {
        command: 'explain',
        settings: { ...defaultSettings, configFile: '/x' },
        json: true,
        devices: ['0000:3b:02.1', 'mlx5_core.sf.2'],
        warnings: [],
      },
    ],
  ])('%j', (argv, line) => {
    expect(readCommandLine(argv)).toEqual(line)
  })
})

test.each([
  [['--nope'], 'Cannot use --nope: there is no such flag'],
  [['--constructor=1'], 'Cannot use --constructor=1: there is no such flag'],
  [['---v=1'], 'Cannot use argument "---v=1": must be a flag, or "explain" or "schema" as the first word'],
  [['x'], 'Cannot use argument "x": must be a flag, or "explain" or "schema" as the first word'],
  [
    ['-use-cdi', 'false'],
    'Cannot use argument "false": must be a flag, or "explain" or "schema" as the first word',
  ],
  [['--use-cdi=yes'], 'Cannot use --use-cdi=yes: must be true or false'],
  [['--config-file'], 'Cannot use --config-file: must be followed by FILE'],
  [['--config-file='], 'Cannot use --config-file: is ""; must be a path'],
  [['--check='], 'Cannot use --check: is ""; must be a path'],
  [['--sys-root=sys'], 'Cannot use --sys-root: is "sys"; must be an absolute path'],
  [
    ['--log-level=loud'],
    'Cannot use --log-level: is "loud"; must be one of debug, info, warning, error, or a number',
  ],
  [['-v=x'], 'Cannot use --v: is "x"; must be a number from 0 to 999999999'],
  [['--instance=A'], 'Cannot use --instance: is "A"; must be at most 36 lower-case letters, digits and -'],
  [['--json'], 'Cannot use --json: it belongs to explain'],
  [['explain', '--check=x'], 'Cannot use --check with explain: must be one of the two'],
])('%j is refused', (argv, problem) => {
  expect(readCommandLine(argv)).toEqual({ command: 'refused', problem })
})

test.each([['9100'], ['::1:9100'], ['a:b'], ['host:65536'], ['[x]:1'], ['a b:1']])(
  '--listen %s is refused',
  (text) => {
    expect(readCommandLine(['--listen', text])).toMatchObject({
      problem: `Cannot use --listen: is "${text}"; must be HOST:PORT, with an IPv6 address in brackets; HOST may be missing, PORT is 0 to 65535`,
    })
  },
)

test.each([['Intel.com'], ['kubernetes.io'], ['x.kubernetes.io'], ['a/b']])(
  '--resource-prefix %s is refused',
  (text) => {
    expect(readCommandLine(['--resource-prefix', text])).toMatchObject({
      command: 'refused',
      problem: expect.stringContaining(`Cannot use --resource-prefix: is "${text}"; must be a DNS name`),
    })
  },
)
